//! Pauses that grow at random, so that nobody keeps in step with anybody (2.4).

use std::time::Duration;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::process::Seat;

/// How long to wait before the next attempt.
#[derive(Clone, Debug)]
pub(crate) struct Pause {
    shortest: Duration,
    longest: Duration,
    attempts: u32,
    draw: ChaCha8Rng,
    /// Whether a known bug makes all pauses alike.
    is_fixed: bool,
}

impl Pause {
    /// Makes the pauses of a role: each draws from a stream of its own.
    pub(crate) fn new(seed: u64, seat: Seat, (shortest, longest): (Duration, Duration)) -> Self {
        let mut draw = ChaCha8Rng::seed_from_u64(seed);
        draw.set_stream(u64::from(seat.0));
        Self { shortest, longest, attempts: 0, draw, is_fixed: false }
    }

    /// Makes all pauses alike, as a known bug does, if it was put back.
    pub(crate) fn fixed(mut self, is_fixed: bool) -> Self {
        self.is_fixed = is_fixed;
        self
    }

    /// Draws the next pause: from the shortest one on, over a spread that doubles with each attempt
    /// up to the longest.
    pub(crate) fn draw(&mut self) -> Duration {
        let doubled = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        let most = self.longest.saturating_sub(self.shortest);
        let spread = self.shortest.saturating_mul(doubled).min(most);
        self.attempts = self.attempts.saturating_add(1);
        let jitter = self.draw.next_u64() % (spread.as_nanos() as u64).max(1);
        if self.is_fixed { self.shortest } else { self.shortest + Duration::from_nanos(jitter) }
    }

    /// Lets pauses be short again.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}
