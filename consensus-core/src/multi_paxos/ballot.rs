//! Ballots: the numbers under which a leader proposes, each in the era of a configuration.

use std::fmt;

use bytes::Bytes;

use crate::{
    codec::{Decode, DecodeError, Encode, put_u64, take_u64},
    log::Index,
    members::NodeId,
    paxos::{self, Round},
};

/// The slots that there may be; see [`super::message`].
const ERA_MAX: Index = Index(u64::MAX >> 1);

/// The number of a tenure: an era, and in it a ballot of Paxos ("Paxos Made Simple", 2.2, 2.5).
///
/// Ballots of a later era are later than all of an earlier one, so that whoever takes part in one
/// is done with configurations that hold no more. Within an era rounds order them, then nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// The slot of the configuration under which the ballot proposes, in slots behind it only; zero
    /// for the one that a group begins with.
    pub era: Index,
    /// The round.
    pub round: Round,
    /// Whose it is.
    pub node: NodeId,
}

impl Ballot {
    /// How many bytes it takes in messages and records.
    pub(super) const BYTES: usize = 24;

    /// Tells whether a proposer could have come this far.
    pub(super) fn is_plausible(self) -> bool {
        let Self { era, round, node } = self;
        paxos::Ballot { round, node }.is_plausible() && era <= ERA_MAX
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.era > Index::ZERO {
            write!(f, "{}/", self.era)?;
        }
        write!(f, "{}.{}", self.round.0, self.node.number())
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for Ballot {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.era.0);
        put_u64(out, self.round.0);
        put_u64(out, self.node.number());
    }
}

impl Decode for Ballot {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let (era, round) = (Index(take_u64(input)?), Round(take_u64(input)?));
        let node = NodeId::new(take_u64(input)?).ok_or(DecodeError::Invalid("node of a ballot"))?;
        Ok(Self { era, round, node })
    }
}
