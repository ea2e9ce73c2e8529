//! What a replicated state keeps so that steps of sagas change it once and in their order.

use bytes::Bytes;
use consensus_core::saga::{Admission, Answer, Barrier, Op, Request};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::outcome::{Outcome, Undo};
use crate::{client, deterministic::Deterministic, error::Error};

/// What a guarded state replies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guarded<T> {
    /// It was carried out, by this request or one before.
    Done(T),
    /// It was refused, by this request or one before, and has changed nothing.
    Rejected(String),
    /// Nothing was done: the request comes too late, of an executor that was replaced or for a step
    /// that is undone, or what it asks for broke off before.
    Refused,
}

/// A member of a replicated state that has each effect of a saga come about once and in its order,
/// whatever the network does to requests: repeated ones are answered as the first was, a step that
/// comes after its compensation is refused, a compensation without its step does nothing, and an
/// executor that was replaced has no say.
///
/// ```
/// use consensus_actors::{
///     prelude::*,
///     saga::{Guard, Guarded, Request},
/// };
///
/// #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
/// struct Stock {
///     left: u32,
///     guard: Guard,
/// }
///
/// #[replicated]
/// impl Stock {
///     #[command]
///     fn take(&mut self, of: Request, count: u32) -> Guarded<u32> {
///         self.guard.act(of, || {
///             let left = self.left.checked_sub(count).ok_or("not enough in stock")?;
///             self.left = left;
///             Ok::<_, &str>(count)
///         })
///     }
///
///     #[command]
///     fn put_back(&mut self, of: Request) -> Guarded<()> {
///         self.guard.undo(of, |taken: u32| {
///             self.left += taken;
///             Ok::<_, &str>(())
///         })
///     }
/// }
/// # fn main() {}
/// ```
///
/// It remembers what it answered until all sagas of the coordinator that are as old have ended,
/// which each request says, and refuses what still comes for those: so it grows with the sagas that
/// began since the oldest that goes on, and is not told to forget. One that is stuck and that nobody
/// sees to keeps what came behind it.
///
/// An effect that panics is never answered: what it had changed by then stays, so nobody can tell
/// what there is to undo, and the saga gets stuck. Check before you change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Guard(Barrier);

impl Guard {
    /// Carries a step out, unless it was answered or undone before.
    pub fn act<T, E>(&mut self, of: Request, act: impl FnOnce() -> Result<T, E>) -> Guarded<T>
    where
        T: Serialize + DeserializeOwned,
        E: std::fmt::Display,
    {
        if of.key.op != Op::Action {
            return Guarded::Refused;
        }
        self.carry_out(of, |_| act())
    }

    /// Undoes a step, unless that was answered before or there is nothing to undo; `undo` gets what
    /// the step brought.
    pub fn undo<T, E>(&mut self, of: Request, undo: impl FnOnce(T) -> Result<(), E>) -> Guarded<()>
    where
        T: DeserializeOwned,
        E: std::fmt::Display,
    {
        if of.key.op != Op::Undo {
            return Guarded::Refused;
        }
        self.carry_out(of, |output| {
            let output = output.unwrap_or_default();
            let output = client::decode(&output).map_err(|error| error.to_string())?;
            undo(output).map_err(|error| error.to_string())
        })
    }

    /// Returns how many steps it remembers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether it remembers no step.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn carry_out<T, E>(
        &mut self,
        of: Request,
        effect: impl FnOnce(Option<Bytes>) -> Result<T, E>,
    ) -> Guarded<T>
    where
        T: Serialize + DeserializeOwned,
        E: std::fmt::Display,
    {
        let output = match self.0.admit(of) {
            Admission::Run(output) => output,
            Admission::Replay(answer) => return replayed(of.key.op, answer),
            Admission::Busy | Admission::Sealed | Admission::Stale { .. } => {
                return Guarded::Refused;
            }
        };
        let (answer, reply) = match effect(output) {
            Ok(value) => {
                let bytes = client::encode(&value).unwrap_or_default();
                (Answer::Done(bytes), Guarded::Done(value))
            }
            Err(cause) => {
                let cause = cause.to_string();
                (Answer::Rejected(cause.clone().into()), Guarded::Rejected(cause))
            }
        };
        self.0.finish(of, Some(answer));
        reply
    }
}

/// Returns what was answered before.
pub(super) fn replayed<T: DeserializeOwned>(op: Op, answer: Answer) -> Guarded<T> {
    match answer {
        // Where there was nothing to undo, the barrier's own answer is empty: it stands for unit.
        Answer::Done(output) if output.is_empty() && op == Op::Undo => {
            client::decode(&[NIL]).map_or(Guarded::Refused, Guarded::Done)
        }
        Answer::Done(output) => client::decode(&output).map_or(Guarded::Refused, Guarded::Done),
        Answer::Rejected(cause) => Guarded::Rejected(String::from_utf8_lossy(&cause).into_owned()),
    }
}

/// What encodes unit.
const NIL: u8 = 0xc0;

impl Deterministic for Guard {}
impl Deterministic for Request {}
impl<T: Deterministic> Deterministic for Guarded<T> {}

/// What was not done is asked for again: an executor that was replaced hears nothing of it, and to
/// who is in charge the answer comes in the end.
impl<T> From<Guarded<T>> for Outcome<T> {
    fn from(reply: Guarded<T>) -> Self {
        match reply {
            Guarded::Done(value) => Self::Done(value),
            Guarded::Rejected(cause) => Self::Rejected(cause),
            Guarded::Refused => Self::Unknown,
        }
    }
}

impl<T> From<Result<Guarded<T>, Error>> for Outcome<T> {
    fn from(result: Result<Guarded<T>, Error>) -> Self {
        result.map_or(Self::Unknown, Self::from)
    }
}

impl From<Guarded<()>> for Undo {
    fn from(reply: Guarded<()>) -> Self {
        Outcome::from(reply).into()
    }
}

impl From<Result<Guarded<()>, Error>> for Undo {
    fn from(result: Result<Guarded<()>, Error>) -> Self {
        Outcome::from(result).into()
    }
}
