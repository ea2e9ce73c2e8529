//! How messages between roles are encoded; a tag never changes its meaning.

use bytes::Bytes;

use super::{message::Message, round::Proposal};
use crate::{
    codec::{Decode, DecodeError, Encode, put_bytes, take_bool, take_bytes, take_u8},
    paxos::Ballot,
};

impl Encode for Message {
    fn size_hint(&self) -> usize {
        const BESIDES_PROPOSAL: usize = 18;
        match self {
            Self::Accept { proposal }
            | Self::Accepted { proposal }
            | Self::Chosen { proposal }
            | Self::Promise { voted: Some(proposal), .. } => {
                BESIDES_PROPOSAL + proposal.size_hint()
            }
            Self::Prepare { .. } | Self::Any { .. } | Self::Promise { voted: None, .. } => {
                BESIDES_PROPOSAL
            }
            Self::Propose { value } => 5 + value.len(),
            Self::Nack { .. } => 33,
            Self::Ask => 1,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Prepare { ballot } => {
                out.push(1);
                ballot.encode(out);
            }
            Self::Promise { ballot, voted } => {
                out.push(2);
                ballot.encode(out);
                out.push(u8::from(voted.is_some()));
                voted.iter().for_each(|proposal| proposal.encode(out));
            }
            Self::Accept { proposal } => {
                out.push(3);
                proposal.encode(out);
            }
            Self::Accepted { proposal } => {
                out.push(4);
                proposal.encode(out);
            }
            Self::Nack { ballot, promised } => {
                out.push(5);
                ballot.encode(out);
                promised.encode(out);
            }
            Self::Ask => out.push(6),
            Self::Chosen { proposal } => {
                out.push(7);
                proposal.encode(out);
            }
            Self::Any { ballot } => {
                out.push(8);
                ballot.encode(out);
            }
            Self::Propose { value } => {
                out.push(9);
                put_bytes(out, value);
            }
        }
    }
}

impl Decode for Message {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(match take_u8(input)? {
            1 => Self::Prepare { ballot: Ballot::decode(input)? },
            2 => {
                let (ballot, has_voted) = (Ballot::decode(input)?, take_bool(input)?);
                let voted = if has_voted { Some(Proposal::decode(input)?) } else { None };
                Self::Promise { ballot, voted }
            }
            3 => Self::Accept { proposal: Proposal::decode(input)? },
            4 => Self::Accepted { proposal: Proposal::decode(input)? },
            5 => Self::Nack { ballot: Ballot::decode(input)?, promised: Ballot::decode(input)? },
            6 => Self::Ask,
            7 => Self::Chosen { proposal: Proposal::decode(input)? },
            8 => Self::Any { ballot: Ballot::decode(input)? },
            9 => Self::Propose { value: take_bytes(input)? },
            tag => return Err(DecodeError::UnknownTag { what: "Fast Paxos message", tag }),
        })
    }
}
