//! What a planner is told, and what it asks for.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    barrier::EffectKey,
    record::{Entry, Epoch, Seq},
    state::Verdict,
};

/// What a participant is asked to do about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Op {
    /// To carry it out.
    Action,
    /// To undo it.
    Undo,
}

impl Op {
    /// Returns the word that keys and logs have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Undo => "undo",
        }
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out, by this attempt or an earlier one.
    Done(Bytes),
    /// It was refused, and has changed nothing. Of a compensation: it cannot be done.
    Rejected(Bytes),
    /// Nobody can say: it took too long, the reply was lost, or whoever did it broke off.
    Unknown,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// All records up to here are durable.
    Appended(Seq),
    /// An attempt has an outcome.
    Replied {
        /// What was asked for.
        key: EffectKey,
        /// Which attempt of this executor.
        attempt: u32,
        /// What came of it.
        outcome: Outcome,
    },
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Append this to the log, behind the record before it.
    Append(Entry),
    /// Ask a participant.
    Call(Call),
    /// It has ended, durably.
    Ended(Verdict),
}

/// A request to a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is asked for: the same for all attempts.
    pub key: EffectKey,
    /// On whose behalf.
    pub epoch: Epoch,
    /// Which attempt of this executor, from one on.
    pub attempt: u32,
    /// What the step brought, of a compensation, if that is known.
    pub output: Option<Bytes>,
}
