//! The Learner.

use super::{config::Config, record::Record, role::Role};
use crate::{
    error::RecoverError,
    process::{Effects, Input, Status, Token},
    time::Time,
};

/// A learner.
#[derive(Clone, Debug)]
pub struct Learner {
    config: Config,
}

impl Learner {
    /// Rebuilds the role from what was durable.
    pub(super) fn recover(
        config: Config,
        _now: Time,
        _records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        Ok(Self { config })
    }

    /// Consumes one input.
    pub(super) fn step(&mut self, _now: Time, _input: Input<Role>, _out: &mut Effects<Role>) {
        let _ = &self.config;
    }

    /// Adds what operators are told of this role.
    pub(super) fn tell(&self, _status: &mut Status) {}

    /// Returns the point that the log rests on: the state there is in a snapshot.
    pub fn snapshot(&self) -> Option<&crate::snapshot::Cut> {
        None
    }
}
