//! Requests to participants, as the executor that makes them knows them.

use super::{barrier::EffectKey, event::Op, graph::StepId, record::Seq};
use crate::time::Time;

/// A request that is under way, or about to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) key: EffectKey,
    pub(super) attempt: u32,
    /// The record that it rests on.
    pub(super) after: Seq,
    /// Whether no executor has asked for it before.
    pub(super) is_new: bool,
    pub(super) phase: Phase,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is made when this time has come and the record that it rests on is durable.
    Resting(Time),
    /// It was made, and has no answer.
    Asked {
        /// When it was made.
        since: Time,
        /// From then on its outcome is unknown.
        until: Time,
    },
}

/// What an executor asks for, for who looks at its saga: it is in no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The step.
    pub step: StepId,
    /// Whether it is to be carried out or undone.
    pub op: Op,
    /// How often that was asked for, as [`Record`](super::Record) counts it.
    pub attempts: u32,
    /// Where the request is.
    pub phase: Phase,
}
