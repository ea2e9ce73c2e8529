//! What comes of a step and of its compensation.

use std::{any::TypeId, fmt};

use bytes::Bytes;
use consensus_core::saga as core;
use serde::Serialize;

use crate::{client::encode, error::Error};

/// The largest output that a step may have, and the largest input of a saga, encoded: both stand in
/// a log of which many must fit into a command.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// How much of a cause is kept.
const CAUSE_BYTES_MAX: usize = 1 << 10;

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T, E = String> {
    /// It was carried out, by this attempt or an earlier one.
    Done(T),
    /// It was refused, for good, and has changed nothing.
    Rejected(E),
    /// Nobody can say: it is asked for again, under the same key.
    Unknown,
}

impl<T, E> Outcome<T, E> {
    /// Judges a call of a replicated actor whose commands are not refused.
    ///
    /// Every error is [`Outcome::Unknown`]. One that says of itself that nothing was applied is so
    /// too: no leader, no room or a deadline are no refusals by the actor, but reasons to ask
    /// again, as the saga does.
    pub fn called(result: Result<T, Error>) -> Self {
        result.map_or(Self::Unknown, Self::Done)
    }
}

/// What a service replied: its errors are refusals. The framework's own are none, as
/// [`Outcome::called`] says.
impl<T, E: 'static> From<Result<T, E>> for Outcome<T, E> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Done(value),
            Err(_) if TypeId::of::<E>() == TypeId::of::<Error>() => Self::Unknown,
            Err(error) => Self::Rejected(error),
        }
    }
}

/// The reply of a replicated actor that may refuse; see [`Outcome::called`] for its errors.
impl<T, E: 'static> From<Result<Result<T, E>, Error>> for Outcome<T, E> {
    fn from(result: Result<Result<T, E>, Error>) -> Self {
        result.map_or(Self::Unknown, Self::from)
    }
}

/// See [`Outcome::called`] for why an error of the framework is no refusal.
impl<T, E> From<Error> for Outcome<T, E> {
    fn from(_: Error) -> Self {
        Self::Unknown
    }
}

impl<T: Serialize, E: fmt::Display> Outcome<T, E> {
    /// Returns it as it stands in the log: the value encoded, the reason as text.
    ///
    /// A value that cannot be encoded, or takes more than [`PAYLOAD_BYTES_MAX`], cannot be kept:
    /// the step has happened, and what came of it is unknown.
    pub fn encoded(self) -> Outcome<Bytes> {
        match self {
            Self::Done(value) => match encode(&value) {
                Ok(bytes) => Outcome::Done(bytes),
                Err(error) => {
                    tracing::error!("the output of a step cannot be kept: {error}");
                    Outcome::Unknown
                }
            },
            Self::Rejected(cause) => Outcome::Rejected(cause.to_string()),
            Self::Unknown => Outcome::Unknown,
        }
    }
}

/// What came of undoing a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It is undone, or there was nothing to undo.
    Done,
    /// It cannot be undone: an operator is needed.
    Failed(String),
    /// Nobody can say: it is asked for again, under the same key.
    Unknown,
}

impl<E: fmt::Display> From<Outcome<(), E>> for Undo {
    fn from(outcome: Outcome<(), E>) -> Self {
        match outcome {
            Outcome::Done(()) => Self::Done,
            Outcome::Rejected(cause) => Self::Failed(cause.to_string()),
            Outcome::Unknown => Self::Unknown,
        }
    }
}

/// See [`Outcome::called`] for why an error of the framework is no refusal.
impl From<Result<(), Error>> for Undo {
    fn from(result: Result<(), Error>) -> Self {
        result.map_or(Self::Unknown, |()| Self::Done)
    }
}

/// Returns what the planner is told of a step.
pub(super) fn of_action(outcome: Outcome<Bytes>) -> core::Outcome {
    match outcome {
        Outcome::Done(output) if output.len() > PAYLOAD_BYTES_MAX => {
            tracing::error!(
                "the output of a step takes {} bytes, more than {PAYLOAD_BYTES_MAX}, and cannot be \
                 kept; return where it is instead",
                output.len()
            );
            core::Outcome::Unknown
        }
        Outcome::Done(output) => core::Outcome::Done(output),
        Outcome::Rejected(cause) => core::Outcome::Rejected(kept(&cause)),
        Outcome::Unknown => core::Outcome::Unknown,
    }
}

/// Returns what the planner is told of a compensation.
pub(super) fn of_undo(undo: Undo) -> core::Outcome {
    match undo {
        Undo::Done => core::Outcome::Done(Bytes::new()),
        Undo::Failed(cause) => core::Outcome::Rejected(kept(&cause)),
        Undo::Unknown => core::Outcome::Unknown,
    }
}

/// Returns as much of a text as is kept.
pub(super) fn kept(cause: &str) -> Bytes {
    let end = cause.floor_char_boundary(CAUSE_BYTES_MAX);
    Bytes::copy_from_slice(cause.get(..end).unwrap_or_default().as_bytes())
}
