//! What proposers, coordinators, acceptors and learners say to each other, on other nodes and on
//! their own.

use bytes::Bytes;

use super::round::{Kind, Proposal};
use crate::{members::NodeId, paxos::Ballot};

/// A message between roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks an acceptor to take part in no ballot before this one, and what it has voted for last
    /// (phase 1a, of both rounds of the ballot).
    Prepare {
        /// The sender's ballot.
        ballot: Ballot,
    },
    /// Answers [`Message::Prepare`]: the sender keeps out of earlier ballots (phase 1b).
    ///
    /// That it has voted for nothing is said by it, and a refusal is another message.
    Promise {
        /// The ballot that it answers.
        ballot: Ballot,
        /// What the sender has voted for last, and in which round.
        voted: Option<Proposal>,
    },
    /// Asks an acceptor to vote for a value in a classic round (phase 2a).
    Accept {
        /// The round and its value.
        proposal: Proposal,
    },
    /// Lets an acceptor vote in the fast round of this ballot, for whatever value it is asked for
    /// first (phase 2a with the value "any", 3.1).
    Any {
        /// The ballot.
        ballot: Ballot,
    },
    /// A proposer asks an acceptor to vote for this value in a fast round (3.1).
    Propose {
        /// The value.
        value: Bytes,
    },
    /// Tells the round's coordinator and learners what the sender has voted for (phase 2b).
    Accepted {
        /// The vote.
        proposal: Proposal,
    },
    /// Refuses to take part in a ballot, so that its coordinator need not wait.
    Nack {
        /// The ballot that is refused.
        ballot: Ballot,
        /// The later one that the sender has promised itself to.
        promised: Ballot,
    },
    /// A learner asks what was voted for, or chosen; or its node's coordinator to find out.
    Ask,
    /// Tells which proposal was chosen.
    Chosen {
        /// The proposal.
        proposal: Proposal,
    },
}

impl Message {
    /// Tells whether `from` could have sent this if it follows the protocol; what it says may still
    /// be untrue.
    pub(super) fn is_plausible(&self, from: NodeId) -> bool {
        match self {
            // Nobody speaks for the coordinator of another node.
            Self::Prepare { ballot } | Self::Any { ballot } => {
                ballot.is_plausible() && ballot.node == from
            }
            Self::Accept { proposal } => {
                let round = proposal.round;
                let own = round.ballot.is_plausible() && round.ballot.node == from;
                own && round.kind == Kind::Classic
            }
            Self::Promise { ballot, voted } => {
                let earlier =
                    |it: &Proposal| it.round.ballot.is_plausible() && it.round.ballot < *ballot;
                ballot.is_plausible() && voted.as_ref().is_none_or(earlier)
            }
            Self::Nack { ballot, promised } => {
                ballot.is_plausible() && promised.is_plausible() && ballot < promised
            }
            Self::Accepted { proposal } | Self::Chosen { proposal } => {
                proposal.round.ballot.is_plausible()
            }
            Self::Propose { .. } | Self::Ask => true,
        }
    }
}
