//! Rounds: each ballot of a coordinator has two, a fast one and a classic one right behind it (3.1).

use std::fmt;

use bytes::Bytes;

use crate::{
    codec::{Decode, DecodeError, Encode, put_bytes, take_bool, take_bytes},
    paxos::Ballot,
};

/// Who picks what is voted for in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Each acceptor, of the values that proposers send to all of them.
    Fast,
    /// The coordinator.
    Classic,
}

/// A round: whether it is fast is plain from its number, as everybody must agree on that (3.1).
///
/// Rounds are ordered by their ballots. Of a ballot the fast round comes first and the classic one
/// follows at once, so that no other coordinator has a round between a collision and what recovers
/// from it (3.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round {
    /// Whose it is, and which of its coordinator's.
    pub ballot: Ballot,
    /// Which of the two of the ballot.
    pub kind: Kind,
}

impl Round {
    /// Returns the fast round of a ballot.
    pub fn fast(ballot: Ballot) -> Self {
        Self { ballot, kind: Kind::Fast }
    }

    /// Returns the classic round of a ballot.
    pub fn classic(ballot: Ballot) -> Self {
        Self { ballot, kind: Kind::Classic }
    }

    /// Tells whether acceptors vote for what proposers send them.
    pub fn is_fast(self) -> bool {
        self.kind == Kind::Fast
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_fast() { 'f' } else { 'c' };
        write!(f, "{}{kind}", self.ballot)
    }
}

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for Round {
    fn encode(&self, out: &mut Vec<u8>) {
        self.ballot.encode(out);
        out.push(u8::from(self.is_fast()));
    }
}

impl Decode for Round {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let (ballot, is_fast) = (Ballot::decode(input)?, take_bool(input)?);
        Ok(if is_fast { Self::fast(ballot) } else { Self::classic(ballot) })
    }
}

/// A value in a round, to be voted for or voted for: an acceptor votes once in a round at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// The round.
    pub round: Round,
    /// What is to be chosen, opaque to Fast Paxos.
    pub value: Bytes,
}

impl Encode for Proposal {
    fn size_hint(&self) -> usize {
        const BESIDES_VALUE: usize = 21;
        BESIDES_VALUE + self.value.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.round.encode(out);
        put_bytes(out, &self.value);
    }
}

impl Decode for Proposal {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self { round: Round::decode(input)?, value: take_bytes(input)? })
    }
}
