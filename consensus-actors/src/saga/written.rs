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
        Self::encoded(self)
    }
}

/// Why a method cannot be called: the output of a step cannot be read.
#[derive(Debug)]
pub struct Lacking(String);

impl Lacking {
    fn new(name: &str, why: impl Display) -> Self {
        Self(format!(
            "what step {name:?} brought is not what it is declared to bring; give the saga another \
             version when that changes: {why}"
        ))
    }

    /// Returns what comes of the step that needs it: a program that can read it may have asked for
    /// the step.
    pub fn outcome(self, cx: &SagaCx) -> Outcome<Bytes> {
        tracing::error!(key = %cx.key(), "{}", self.0);
        Outcome::Unknown
    }

    /// Returns what comes of the compensation that needs it.
    pub fn undo(self, _: &SagaCx) -> Undo {
        Undo::Failed(self.0)
    }
}

/// Returns what a step brought that is done: operators cannot skip what others wait for.
///
/// # Errors
/// [`Lacking`] when it brought something else.
pub fn needed<T: DeserializeOwned>(cx: &SagaCx, step: StepId, name: &str) -> Result<T, Lacking> {
    let output = cx.output(step).map_err(|error| Lacking::new(name, error))?;
    output.ok_or_else(|| Lacking::new(name, "it brought nothing"))
}

/// Returns what the step brought that is to be undone, if that is known.
///
/// # Errors
/// [`Lacking`] when it brought something else.
pub fn own<T: DeserializeOwned>(output: &Option<Bytes>, name: &str) -> Result<Option<T>, Lacking> {
    output
        .as_ref()
        .map(|output| decode(output))
        .transpose()
        .map_err(|error| Lacking::new(name, error))
}

/// Returns the graph of steps that the macro has checked.
pub fn graph(named: (&str, u32), deadline: Option<Duration>, steps: Vec<Step>) -> Graph {
    Graph::new(named, deadline, steps).unwrap_or_else(|error| panic!("{}: {error}", named.0))
}

/// Says that nothing was defined for a step.
pub fn none(step: StepId) -> ! {
    panic!("the saga defines nothing for step number {}", step.0)
}
