//! Ballots: the numbers of proposals, which no two proposers share (2.2).

use std::fmt;

use bytes::Bytes;

use crate::{
    codec::{Decode, DecodeError, Encode, put_bytes, put_u64, take_bytes, take_u64},
    members::NodeId,
};

/// How often proposers have begun anew, from 1; zero comes before the first ballot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round(pub u64);

/// Beyond it rounds are nonsense: nobody counts that far, and below it the next one always exists.
const ROUND_MAX: Round = Round(u64::MAX >> 1);

impl Round {
    /// Returns the round that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The number of a proposal: a round, and the node whose proposer it belongs to (2.2, 2.5).
///
/// Ballots are ordered by their rounds, and those of a round by their nodes. A proposer uses each
/// of its own once, whatever befalls it: the round is durable before anybody hears of it. It comes
/// from no clock, which could be set back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// The round.
    pub round: Round,
    /// Whose it is.
    pub node: NodeId,
}

impl Ballot {
    /// Tells whether a proposer could have come this far.
    pub(crate) fn is_plausible(self) -> bool {
        self.round > Round(0) && self.round <= ROUND_MAX
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        put_u64(out, self.round.0);
        put_u64(out, self.node.number());
    }
}

impl Decode for Ballot {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let round = Round(take_u64(input)?);
        let node = NodeId::new(take_u64(input)?).ok_or(DecodeError::Invalid("node of a ballot"))?;
        Ok(Self { round, node })
    }
}

/// A value under a number (2.2): a proposer issues one for each of its ballots at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// Its number.
    pub ballot: Ballot,
    /// What is to be chosen, opaque to Paxos.
    pub value: Bytes,
}

impl Encode for Proposal {
    fn size_hint(&self) -> usize {
        const BESIDES_VALUE: usize = 20;
        BESIDES_VALUE + self.value.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.ballot.encode(out);
        put_bytes(out, &self.value);
    }
}

impl Decode for Proposal {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self { ballot: Ballot::decode(input)?, value: take_bytes(input)? })
    }
}
