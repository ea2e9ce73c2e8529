//! The log of a saga: what must be known to go on where it stopped.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{barrier::EffectKey, event::Op, graph::StepId};

/// The place of a record in the log of its saga; the first is 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// Returns the place behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Why a saga turns back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A step was rejected.
    Rejected(StepId),
    /// Nobody could say what became of a step.
    Unresolved(StepId),
    /// It was not decided in time.
    Deadline,
    /// Somebody asked for it.
    Cancelled,
    /// The saga whose step it is turned back.
    Revoked,
}

/// What an operator asks for, with the reason that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Undo everything, unless it is decided already.
    Cancel,
    /// Try again what is stuck: a step, its compensation, or the saga as a whole.
    Retry(Option<StepId>),
    /// Go on as if the step, or its compensation, had been done.
    Skip(StepId),
    /// Do no more for it, whatever is half done.
    Abandon,
    /// Undo everything, also what is completed, unless its pivot was asked for: the saga whose step
    /// it is turns back.
    Revoke,
}

/// One durable fact of a saga.
///
/// An outcome says in `attempts` how often the step, or its compensation, was asked for until then,
/// since the saga began. Those are the attempts of the executor that writes it, and those that
/// stand in the log already: whoever takes a saga over does not know how often the executor before
/// it asked for what had no outcome then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// It began: its definition's fingerprint and its input.
    Begun {
        /// The definition's fingerprint.
        digest: u128,
        /// What it was started with.
        input: Bytes,
        /// The step of another saga that it is.
        parent: Option<EffectKey>,
    },
    /// A step is about to be asked for: from here on it may have been carried out.
    Intended(StepId),
    /// A step was carried out.
    Done {
        /// The step.
        step: StepId,
        /// What came of it.
        output: Bytes,
        /// How often it was asked for.
        attempts: u32,
    },
    /// A step was refused, and has changed nothing. A retriable one is asked for anew.
    Rejected {
        /// The step.
        step: StepId,
        /// Why.
        cause: Bytes,
        /// How often it was asked for.
        attempts: u32,
    },
    /// Nobody could say what became of a step, however often it was asked for.
    Unresolved {
        /// The step.
        step: StepId,
        /// How often it was asked for.
        attempts: u32,
    },
    /// It turns back, by the deadline or by a caller's wish.
    Turned(Reason),
    /// A step was undone.
    Undone {
        /// The step.
        step: StepId,
        /// How often its compensation was asked for.
        attempts: u32,
    },
    /// A step could not be undone.
    UndoFailed {
        /// The step.
        step: StepId,
        /// Why.
        cause: Bytes,
        /// How often its compensation was asked for.
        attempts: u32,
    },
    /// Another executor goes on with it.
    Resumed,
    /// An operator stepped in.
    Ordered {
        /// What for.
        order: Order,
        /// Why.
        reason: String,
    },
}

impl Record {
    /// Returns what it is the outcome of, and how often that was asked for, if it is an outcome.
    pub fn attempts(&self) -> Option<((StepId, Op), u32)> {
        match self {
            Self::Done { step, attempts, .. }
            | Self::Rejected { step, attempts, .. }
            | Self::Unresolved { step, attempts } => Some(((*step, Op::Action), *attempts)),
            Self::Undone { step, attempts } | Self::UndoFailed { step, attempts, .. } => {
                Some(((*step, Op::Undo), *attempts))
            }
            Self::Begun { .. }
            | Self::Intended(_)
            | Self::Turned(_)
            | Self::Resumed
            | Self::Ordered { .. } => None,
        }
    }
}

/// A record as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// The epoch of the executor that wrote it.
    pub epoch: Epoch,
    /// For how long the saga was at work until then, by the monotonic clocks of its executors: no
    /// clock that jumps makes it later.
    pub spent: Duration,
    /// What it says.
    pub record: Record,
}

/// Which executor may append to the log and command participants: the latest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// The place of a saga among all of its coordinator, in the order in which they began; the first is
/// 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Place(pub u64);

/// How old a saga is among those of its coordinator, which is what participants forget by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Age {
    /// The place of the saga.
    pub place: Place,
    /// Before this place all sagas have ended, durably: nothing is asked for in their name.
    pub oldest: Place,
}

impl Place {
    /// Returns the place behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
