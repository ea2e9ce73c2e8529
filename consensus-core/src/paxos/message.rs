//! What proposers, acceptors and learners say to each other, on other nodes and on their own.

use super::ballot::{Ballot, Proposal};
use crate::members::NodeId;

/// A message between roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks an acceptor to take part in no ballot before this one, and what it has accepted (phase
    /// 1a).
    Prepare {
        /// The sender's ballot.
        ballot: Ballot,
    },
    /// Answers [`Message::Prepare`]: the sender keeps out of earlier ballots (phase 1b).
    ///
    /// That nothing was accepted is said by it, and a refusal is another message.
    Promise {
        /// The ballot that it answers.
        ballot: Ballot,
        /// The proposal with the highest number that the sender has accepted.
        accepted: Option<Proposal>,
    },
    /// Asks an acceptor to accept a proposal (phase 2a).
    Accept {
        /// The proposal.
        proposal: Proposal,
    },
    /// Tells the proposer and learners that the sender has accepted a proposal (phase 2b, 2.3).
    Accepted {
        /// The proposal.
        proposal: Proposal,
    },
    /// Refuses to take part in a ballot, so that its proposer need not wait (2.2, end).
    Nack {
        /// The ballot that is refused.
        ballot: Ballot,
        /// The later one that the sender has promised itself to.
        promised: Ballot,
    },
    /// A learner asks what was accepted, or chosen; or its node's proposer to find out (2.3).
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
            // Nobody speaks for the proposer of another node.
            Self::Prepare { ballot } => ballot.is_plausible() && ballot.node == from,
            Self::Accept { proposal } => {
                proposal.ballot.is_plausible() && proposal.ballot.node == from
            }
            Self::Promise { ballot, accepted } => {
                let earlier = |it: &Proposal| it.ballot.is_plausible() && it.ballot < *ballot;
                ballot.is_plausible() && accepted.as_ref().is_none_or(earlier)
            }
            Self::Nack { ballot, promised } => {
                ballot.is_plausible() && promised.is_plausible() && ballot < promised
            }
            Self::Accepted { proposal } | Self::Chosen { proposal } => {
                proposal.ballot.is_plausible()
            }
            Self::Ask => true,
        }
    }
}
