//! What the roles make durable, as it stands in the journal.

use bytes::Bytes;

use super::ballot::{Ballot, Proposal, Round};
use crate::{
    codec::{Decode, DecodeError, Encode, put_u64, take_u8, take_u64},
    error::RecoverError,
    process::Token,
};

/// One durable fact of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A proposer uses this round: it is durable before a Prepare leaves, so that none is used
    /// twice (2.5).
    Round(Round),
    /// An acceptor takes part in no earlier ballot.
    Promised(Ballot),
    /// An acceptor has accepted a proposal, and takes part in no earlier ballot: in one, so that no
    /// crash can come between.
    Accepted(Proposal),
    /// A learner knows which proposal was chosen.
    Chosen(Proposal),
}

impl Encode for Record {
    fn size_hint(&self) -> usize {
        match self {
            Self::Round(_) | Self::Promised(_) => 17,
            Self::Accepted(proposal) | Self::Chosen(proposal) => 1 + proposal.size_hint(),
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
            Self::Accepted(proposal) => {
                out.push(3);
                proposal.encode(out);
            }
            Self::Chosen(proposal) => {
                out.push(4);
                proposal.encode(out);
            }
        }
    }
}

impl Decode for Record {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_u8(input)? {
            1 => Ok(Self::Round(Round(take_u64(input)?))),
            2 => Ok(Self::Promised(Ballot::decode(input)?)),
            3 => Ok(Self::Accepted(Proposal::decode(input)?)),
            4 => Ok(Self::Chosen(Proposal::decode(input)?)),
            tag => Err(DecodeError::UnknownTag { what: "Paxos record", tag }),
        }
    }
}

/// Refuses a record that cannot follow the ones before it.
pub(crate) fn contradiction<T>(token: Token, reason: &'static str) -> Result<T, RecoverError> {
    Err(RecoverError::Contradiction { token: token.0, reason })
}
