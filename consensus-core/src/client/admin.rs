//! What operators ask of a group's protocol. It travels as calls do: any node takes it, and sends it
//! to the leader until that has answered. So each request must bear to be repeated.

use bytes::Bytes;

use crate::{
    change::Change,
    codec::{Decode, DecodeError, Encode, put_u64, take_u8, take_u64},
    members::NodeId,
};

/// An operator's request. Its reply is the leader's number in MessagePack, nil for none known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// Hand the lead over.
    Transfer {
        /// To this member; to whoever is fit best if to nobody in particular.
        to: Option<NodeId>,
    },
    /// Change who takes part.
    Change(Change),
}

impl Admin {
    /// Returns the reply of a request that is done, while `leader` leads.
    pub fn reply(leader: Option<NodeId>) -> Bytes {
        let encoded = rmp_serde::to_vec_named(&leader);
        encoded.expect("a number can be encoded").into()
    }

    /// Tells whether `leader` leading is all that was asked for, after `asked` was asked for it.
    pub(super) fn is_met_by(&self, leader: NodeId, asked: Option<NodeId>) -> bool {
        match self {
            // Asked again, the next leader would hand over too.
            Self::Transfer { to: None } => asked.is_some_and(|asked| asked != leader),
            Self::Transfer { to: Some(_) } | Self::Change(_) => false,
        }
    }
}

impl Encode for Admin {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Transfer { to } => {
                out.push(1);
                put_u64(out, to.map_or(0, NodeId::number));
            }
            Self::Change(change) => {
                out.push(2);
                change.encode(out);
            }
        }
    }
}

impl Decode for Admin {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_u8(input)? {
            1 => Ok(Self::Transfer { to: NodeId::new(take_u64(input)?) }),
            2 => Ok(Self::Change(Change::decode(input)?)),
            tag => Err(DecodeError::UnknownTag { what: "operator's request", tag }),
        }
    }
}
