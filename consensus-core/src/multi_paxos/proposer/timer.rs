//! The election timer.

use std::time::Duration;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::state::State;
use crate::{raft::fitness::stretched, time::Time};

/// Proof that the election timer ran out.
#[derive(Clone, Debug)]
pub(super) struct TimedOut(());

/// When a proposer gives its leader up.
#[derive(Clone, Debug)]
pub(super) struct Timer {
    deadline: Time,
    draw: ChaCha8Rng,
}

impl Timer {
    /// Makes a timer that has run out.
    pub(super) fn new(seed: u64, now: Time) -> Self {
        Self { deadline: now, draw: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl State {
    /// Draws a new timeout, from T to 2T for a proposer of the usual priority.
    pub(super) fn reset_election_timer(&mut self, now: Time) {
        let (timeout, priority) = (self.config.election_timeout(), self.config.priority());
        let (shortest, spread) = stretched(timeout, priority);
        let spread = spread.as_nanos() as u64;
        let jitter = Duration::from_nanos(self.timer.draw.next_u64() % spread.max(1));
        self.timer.deadline = now + shortest + jitter;
    }

    /// Proves that the election timer ran out, if it did and the proposer may campaign.
    pub(super) fn timed_out(&self, now: Time) -> Option<TimedOut> {
        (now >= self.timer.deadline && self.may_campaign()).then_some(TimedOut(()))
    }
}
