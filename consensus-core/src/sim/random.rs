//! Numbers drawn from a seed.

use std::{ops::RangeInclusive, time::Duration};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// A source of numbers: the same seed and stream give the same numbers, everywhere and always.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// Makes the source `stream` of `seed`; streams of a seed are independent of each other, so
    /// that what one draws does not change what another does.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut source = ChaCha8Rng::seed_from_u64(seed);
        source.set_stream(stream);
        Self(source)
    }

    /// Draws any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Draws a number below `bound`; zero if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.any() % bound.max(1)
    }

    /// Draws a position in a list of `length`; zero if it is empty.
    pub fn place(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Draws one of `choices`; `None` if there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.place(choices.len()))
    }

    /// Draws a number of a range, its ends included.
    pub fn in_range(&mut self, range: RangeInclusive<i64>) -> i64 {
        let (low, high) = (*range.start(), *range.end());
        let width = i128::from(high) - i128::from(low) + 1;
        if width <= 0 {
            return low;
        }
        let offset = i128::from(self.any()) % width;
        (i128::from(low) + offset) as i64
    }

    /// Tells whether something happens that does so in `odds` of a million cases.
    pub fn happens(&mut self, odds: u64) -> bool {
        self.below(1_000_000) < odds
    }

    /// Draws a time from `shortest` to `longest`.
    pub fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let spread = longest.saturating_sub(shortest).as_nanos() as u64;
        shortest + Duration::from_nanos(self.below(spread + 1))
    }

    /// Puts a list into any order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.place(last + 1));
        }
    }
}
