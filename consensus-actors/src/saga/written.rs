//! What `#[saga]` expands to, and nobody else uses.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use consensus_core::saga::{Graph, Step, StepId};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    cx::SagaCx,
    outcome::{Outcome, Undo},
};
use crate::client::decode;

pub use super::lock::check_lock;

/// What a step returns.
#[diagnostic::on_unimplemented(
    message = "a step returns `Outcome<T, E>`, and this is `{Self}`",
    label = "not the outcome of a step",
    note = "`T` is `Serialize` and `Deserialize`, and `E` is `Display`"
)]
pub trait Brings {
    /// What it brings when it is carried out.
    type Output: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Returns it as it stands in the log.
    fn encoded(self) -> Outcome<Bytes>;
}

impl<T, E> Brings for Outcome<T, E>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
    E: Display,
{
    type Output = T;

    fn encoded(self) -> Outcome<Bytes> {
        Outcome::encoded(self)
    }
}

/// Why a method cannot be called: the output of another step is not there.
#[derive(Debug)]
pub enum Lacking {
    /// An operator skipped the step, so that it brought nothing.
    Skipped(String),
    /// It brought something of another type than it is declared to.
    Undecodable(String),
}

impl Lacking {
    /// Returns what comes of the step that needs it.
    ///
    /// Without the output of a step that was skipped it was never asked for: it is refused. What
    /// another program can read it may have asked for: nobody can say.
    pub fn outcome(self, cx: &SagaCx) -> Outcome<Bytes> {
        match self {
            Self::Skipped(cause) => Outcome::Rejected(cause),
            Self::Undecodable(cause) => {
                tracing::error!(key = %cx.key(), "{cause}");
                Outcome::Unknown
            }
        }
    }

    /// Returns what comes of the compensation that needs it.
    pub fn undo(self, _: &SagaCx) -> Undo {
        let (Self::Skipped(cause) | Self::Undecodable(cause)) = self;
        Undo::Failed(cause)
    }
}

fn undecodable(name: &str) -> impl FnOnce(crate::Error) -> Lacking {
    move |error| {
        let cause = format!(
            "what step {name:?} brought is of another type than it is declared to bring; give the \
             saga another version when that changes: {error}"
        );
        Lacking::Undecodable(cause)
    }
}

/// Returns what a step brought.
///
/// # Errors
/// [`Lacking`] when it brought nothing, or something else.
pub fn needed<T: DeserializeOwned>(cx: &SagaCx, step: StepId, name: &str) -> Result<T, Lacking> {
    known(cx, step, name)?.ok_or_else(|| {
        let cause = format!("an operator skipped step {name:?}, whose output this one needs");
        Lacking::Skipped(cause)
    })
}

/// Returns what a step brought, if it did.
///
/// # Errors
/// [`Lacking`] when it brought something else.
pub fn known<T: DeserializeOwned>(
    cx: &SagaCx,
    step: StepId,
    name: &str,
) -> Result<Option<T>, Lacking> {
    cx.output(step).map_err(undecodable(name))
}

/// Returns what the step brought that is to be undone, if that is known.
///
/// # Errors
/// [`Lacking`] when it brought something else.
pub fn own<T: DeserializeOwned>(output: &Option<Bytes>, name: &str) -> Result<Option<T>, Lacking> {
    output.as_ref().map(|output| decode(output)).transpose().map_err(undecodable(name))
}

/// Returns the graph of steps that the macro has checked.
pub fn graph(named: (&str, u32), deadline: Option<Duration>, steps: Vec<Step>) -> Graph {
    Graph::new(named, deadline, steps).unwrap_or_else(|error| panic!("{}: {error}", named.0))
}

/// Says that nothing was defined for a step.
pub fn none(step: StepId) -> ! {
    panic!("the saga defines nothing for step number {}", step.0)
}
