//! What can go wrong, one enum an operation, each with what it says about the effect.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{change::ChangeError, members::NodeId};

/// Whether the operation that failed has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not happened and will not: repeating it is safe.
    NotApplied,
    /// It has happened, and this is what came of it.
    Applied,
    /// It may have happened, or may yet: only a repeat under the same identity is safe.
    Unknown,
}

/// Why a protocol did not take, or did not finish, a command or a read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// This replica does not lead; nothing was appended.
    #[error("this replica does not lead the group")]
    NotLeader {
        /// Who does, as far as this replica knows.
        leader: Option<NodeId>,
    },
    /// This replica is a witness: it stores no commands, and has no state to read.
    #[error("this replica is a witness and has no state")]
    NoState {
        /// Who leads, as far as this replica knows.
        leader: Option<NodeId>,
    },
    /// The window of commands in flight is full; nothing was appended.
    #[error("{limit} commands are in flight, the most this leader takes")]
    Busy {
        /// The window.
        limit: usize,
    },
    /// The disk is full; nothing was appended.
    #[error("the leader's disk is full")]
    StorageFull,
    /// Leadership is on its way to another member, which will take the command; nothing was
    /// appended.
    #[error("leadership is on its way to {to}")]
    Transferring {
        /// Who is to lead.
        to: NodeId,
    },
    /// Leadership does not go where it was asked to go; this replica leads.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The state cannot be proven to be as fresh as a read wants it, and there is no leader to ask.
    #[error("the state may be older than the read allows")]
    TooStale {
        /// How old it is at most; `None` if nothing is known since the replica started.
        age: Option<Duration>,
    },
    /// The group's members keep no leases, which the read is to rest on.
    #[error("the members of the group keep no leases")]
    NoLeases,
    /// The membership does not change as it was asked to; nothing was appended.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The leadership ended while the command was on its way: it may still be committed.
    #[error("leadership ended while the command was in flight")]
    LeadershipLost,
}

impl SubmitError {
    /// Tells whether the command may have happened all the same.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::NotLeader { .. }
            | Self::NoState { .. }
            | Self::Busy { .. }
            | Self::StorageFull
            | Self::Transferring { .. }
            | Self::TooStale { .. }
            | Self::NoLeases
            | Self::Transfer(_)
            | Self::Change(_) => Outcome::NotApplied,
            Self::LeadershipLost => Outcome::Unknown,
        }
    }
}

/// Why a leader does not hand its leadership over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Only a voting member can lead.
    #[error("{to} is no voting member of the group")]
    NotAVoter {
        /// Who was to lead.
        to: NodeId,
    },
    /// The leader has heard of nobody lately who could lead.
    #[error("no follower that could lead was heard of lately")]
    NoFollower,
    /// Leadership is on its way to somebody else.
    #[error("leadership is on its way to {to} already")]
    UnderWay {
        /// Who is to lead.
        to: NodeId,
    },
    /// The one that was to lead has not caught up, or has not won, within an election timeout; or it
    /// would not lead.
    #[error("{to} did not take the lead in time, or would not")]
    Aborted {
        /// Who was to lead.
        to: NodeId,
    },
}

/// Why a process cannot be rebuilt from its records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// Two records cannot both be true.
    #[error("record {token} contradicts the ones before it: {reason}")]
    Contradiction {
        /// The record that does not fit.
        token: u64,
        /// What does not fit.
        reason: &'static str,
    },
}
