//! Why a membership does not change.

use super::{CONTACT_BYTES_MAX, MEMBERS_MAX};
use crate::members::NodeId;

/// Why a membership does not change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Another change is under way.
    #[error("another change of the membership is under way; wait until it is over")]
    Underway,
    /// The leader is new, and has not committed anything in its term.
    #[error("the leader has just been elected and knows too little yet; ask again")]
    NotReady,
    /// A learner lacks too much to vote.
    #[error(
        "{node} has {matched} of {last} log entries: it may vote when it has caught up; wait, and \
         see that it runs"
    )]
    CatchingUp {
        /// The learner.
        node: NodeId,
        /// Up to where its log is known to be the leader's.
        matched: u64,
        /// Where the leader's log ends.
        last: u64,
    },
    /// Too few of those that would vote are heard of.
    #[error(
        "of the {voters} voters that there would be, the leader hears of {heard} only: nothing \
         could be decided any more; start the others, or replace those that are lost, first"
    )]
    NoMajority {
        /// How many voters there would be.
        voters: usize,
        /// How many of them the leader hears of.
        heard: usize,
    },
    /// The id was a member's that was removed.
    #[error("{node} was removed, and an id is never used again; choose a new one")]
    Retired {
        /// The id.
        node: NodeId,
    },
    /// The group's protocol has no witnesses.
    #[error("a group under Multi-Paxos has no witnesses: all of its members store commands")]
    NoWitnesses,
    /// The sizes of quorums that were set do not fit the voters that there would be.
    #[error(
        "there would be {voters} voters, for whom phase1 = {prepare} and phase2 = {accept} do not \
         fit: neither may be more than there are voters, and together they must be more; set \
         others on all members and start them again, or leave both out, first"
    )]
    QuorumSizes {
        /// How many voters there would be.
        voters: usize,
        /// How many would have to promise.
        prepare: usize,
        /// How many would have to accept.
        accept: usize,
    },
    /// The node takes no part.
    #[error("{node} is not a member of the group")]
    NotAMember {
        /// The node.
        node: NodeId,
    },
    /// The node is a member, and elsewhere.
    #[error("{node} is a member already, at {contact}; choose another id, or move that member")]
    Elsewhere {
        /// The node.
        node: NodeId,
        /// Where it is reached.
        contact: String,
    },
    /// A node would take its own place.
    #[error("{node} cannot take its own place: a node without its disk needs a new id")]
    SameNode {
        /// The node.
        node: NodeId,
    },
    /// Nobody would vote.
    #[error("a group needs a voter; add another one first")]
    NoVoter,
    /// Witnesses would be half of the voters, or more.
    #[error(
        "{witnesses} of {voters} voters would store no commands; witnesses must be fewer than half"
    )]
    TooManyWitnesses {
        /// How many witnesses there would be among the voters.
        witnesses: usize,
        /// How many voters there would be.
        voters: usize,
    },
    /// The leader would be a witness, and a witness cannot lead.
    #[error("{node} leads, and a witness cannot; transfer the lead to another voter first")]
    WitnessLeads {
        /// The leader.
        node: NodeId,
    },
    /// A witness would be counted on for the state, which it has not.
    #[error(
        "{node} is a witness, has no data, and stays one; add a node with another id for the data, \
         and remove {node}"
    )]
    StaysWitness {
        /// The witness.
        node: NodeId,
    },
    /// More members than a group may have.
    #[error("there would be {members} members, and {MEMBERS_MAX} are the most")]
    TooMany {
        /// How many there would be.
        members: usize,
    },
    /// An address that is too long to be one.
    #[error("an address of {bytes} bytes is longer than {CONTACT_BYTES_MAX}")]
    LongContact {
        /// Its length.
        bytes: usize,
    },
}

impl ChangeError {
    /// Returns what to say of it: where members have had no time to answer yet, nothing is made of
    /// their silence.
    pub(crate) fn unless_early(self, is_early: bool) -> Self {
        match self {
            Self::CatchingUp { .. } | Self::NoMajority { .. } if is_early => Self::NotReady,
            other => other,
        }
    }

    /// Tells whether the same change may be taken in a moment, without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Underway | Self::NotReady => true,
            Self::CatchingUp { .. }
            | Self::NoMajority { .. }
            | Self::Retired { .. }
            | Self::NotAMember { .. }
            | Self::Elsewhere { .. }
            | Self::SameNode { .. }
            | Self::NoVoter
            | Self::NoWitnesses
            | Self::QuorumSizes { .. }
            | Self::TooManyWitnesses { .. }
            | Self::WitnessLeads { .. }
            | Self::StaysWitness { .. }
            | Self::TooMany { .. }
            | Self::LongContact { .. } => false,
        }
    }
}
