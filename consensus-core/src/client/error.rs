//! What callers are told when a call has no reply.

use std::time::Duration;

use crate::{
    error::{Outcome, SubmitError},
    log::Index,
    members::NodeId,
    replica::Rejection,
};

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The deadline passed.
    #[error("no answer before the deadline")]
    Deadline {
        /// Whether the command may have been applied.
        outcome: Outcome,
        /// The leader that was asked last, if any.
        leader: Option<NodeId>,
    },
    /// Too many calls are in flight, here or at the leader. Nothing was applied.
    #[error("{limit} calls are in flight, the most that are taken")]
    Busy {
        /// The window.
        limit: usize,
    },
    /// The leader's disk is full. Nothing was applied.
    #[error("the leader's disk is full")]
    StorageFull,
    /// The session expired while the command was retried: it may have been applied.
    #[error("the session expired while the command was on its way")]
    SessionExpired,
    /// The replicas decided that there is no reply.
    #[error(transparent)]
    Rejected(Rejection),
    /// A query has no answer. Queries change nothing.
    #[error("{0}")]
    Unanswered(Rejection),
    /// The replica could not prove its state to be as fresh as a query wants it.
    #[error("no state was proven that is at most {max_lag:?} old")]
    TooStale {
        /// How old it might have been.
        max_lag: Duration,
        /// How old it is at most by the clock of the replica; `None` if nothing is known.
        age: Option<Duration>,
    },
    /// The replica has not applied what a query must see.
    #[error("the replica has not applied all up to {index}")]
    Behind {
        /// The index that it must see.
        index: Index,
    },
    /// The group does not do what was asked for, and would not if asked again.
    #[error(transparent)]
    Refused(SubmitError),
}

impl CallError {
    /// Tells whether the command has been applied.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Deadline { outcome, .. } => *outcome,
            Self::Busy { .. }
            | Self::StorageFull
            | Self::Unanswered(_)
            | Self::TooStale { .. }
            | Self::Behind { .. } => Outcome::NotApplied,
            Self::SessionExpired => Outcome::Unknown,
            Self::Rejected(rejection) => rejection.outcome(),
            Self::Refused(error) => error.outcome(),
        }
    }
}
