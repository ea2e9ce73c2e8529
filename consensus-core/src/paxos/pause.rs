//! Pauses that grow at random, so that nobody keeps in step with anybody (2.4).

use std::time::Duration;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{config::Config, mutant::Mutant};
use crate::process::Seat;

/// How long to wait before the next attempt.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    attempts: u32,
    draw: ChaCha8Rng,
}

impl Pause {
    /// Makes the pauses of a role: each draws from a stream of its own.
    pub(super) fn new(config: &Config, seat: Seat) -> Self {
        let mut draw = ChaCha8Rng::seed_from_u64(config.seed());
        draw.set_stream(u64::from(seat.0));
        Self { attempts: 0, draw }
    }

    /// Draws the next pause: from the shortest one on, over a spread that doubles with each attempt
    /// up to the longest.
    pub(super) fn draw(&mut self, config: &Config) -> Duration {
        let (shortest, longest) = (config.retry(), config.pause_max());
        let doubled = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        let spread = shortest.saturating_mul(doubled).min(longest.saturating_sub(shortest));
        self.attempts = self.attempts.saturating_add(1);
        let jitter = self.draw.next_u64() % (spread.as_nanos() as u64).max(1);
        if config.has_bug(Mutant::PauseFixed) {
            return shortest;
        }
        shortest + Duration::from_nanos(jitter)
    }

    /// Lets pauses be short again.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}
