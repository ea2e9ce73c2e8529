//! What the roles make durable, as it stands in the journal.

use bytes::Bytes;

use super::{
    ballot::Ballot,
    values::Values,
    wire::{put_values, take_values, values_bytes},
};
use crate::{
    codec::{
        Decode, DecodeError, Encode, put_u32, put_u64, take_bool, take_u8, take_u32, take_u64,
    },
    log::Index,
    paxos::Round,
    snapshot::Cut,
};

/// One durable fact of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A proposer uses this round: it is durable before a Prepare leaves, so that none is used
    /// twice.
    Round(Round),
    /// An acceptor takes part in no earlier ballot, in any slot.
    Promised(Ballot),
    /// An acceptor has accepted values, and takes part in no earlier ballot: in one, so that no
    /// crash can come between.
    Accepted {
        /// The ballot.
        ballot: Ballot,
        /// The slot of the first value.
        first: Index,
        /// The values.
        values: Values,
        /// Under this ballot all slots up to here are chosen. A restart need not ask for them.
        chosen: Index,
    },
    /// An acceptor has let go of all slots up to `upto`, which its node has in a snapshot. It stands
    /// for what was said before of what it promised.
    Forgotten {
        /// The last slot.
        upto: Index,
        /// The latest ballot that was promised.
        promised: Option<Ballot>,
        /// Under these ballots all slots up to here are chosen.
        chosen: Vec<(Ballot, Index)>,
    },
    /// A learner rests on a durable snapshot of all slots up to this point.
    Snapshot(Cut),
}

impl Encode for Record {
    fn size_hint(&self) -> usize {
        match self {
            Self::Accepted { values, .. } => 17 + Ballot::BYTES + values_bytes(values),
            Self::Round(_) | Self::Promised(_) => 1 + Ballot::BYTES,
            Self::Forgotten { chosen, .. } => 32 + (Ballot::BYTES + 8) * (1 + chosen.len()),
            Self::Snapshot(_) => 64,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Round(round) => {
                out.push(1);
                put_u64(out, round.0);
            }
            Self::Promised(ballot) => {
                out.push(2);
                ballot.encode(out);
            }
            Self::Accepted { ballot, first, values, chosen } => {
                out.push(3);
                ballot.encode(out);
                put_u64(out, first.0);
                put_u64(out, chosen.0);
                put_values(out, values);
            }
            Self::Forgotten { upto, promised, chosen } => {
                out.push(4);
                put_u64(out, upto.0);
                out.push(u8::from(promised.is_some()));
                promised.iter().for_each(|ballot| ballot.encode(out));
                put_u32(out, chosen.len() as u32);
                for (ballot, slot) in chosen {
                    ballot.encode(out);
                    put_u64(out, slot.0);
                }
            }
            Self::Snapshot(cut) => {
                out.push(5);
                cut.encode(out);
            }
        }
    }
}

impl Decode for Record {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_u8(input)? {
            1 => Ok(Self::Round(Round(take_u64(input)?))),
            2 => Ok(Self::Promised(Ballot::decode(input)?)),
            3 => Ok(Self::Accepted {
                ballot: Ballot::decode(input)?,
                first: Index(take_u64(input)?),
                chosen: Index(take_u64(input)?),
                values: take_values(input)?,
            }),
            4 => {
                let (upto, has_promised) = (Index(take_u64(input)?), take_bool(input)?);
                let promised = if has_promised { Some(Ballot::decode(input)?) } else { None };
                let mut chosen = Vec::new();
                for _ in 0..take_u32(input)? {
                    chosen.push((Ballot::decode(input)?, Index(take_u64(input)?)));
                }
                Ok(Self::Forgotten { upto, promised, chosen })
            }
            5 => Ok(Self::Snapshot(Cut::decode(input)?)),
            tag => Err(DecodeError::UnknownTag { what: "Multi-Paxos record", tag }),
        }
    }
}
