//! Chance from a seed, and a hash of all that came of it.

use twox_hash::XxHash3_64;

/// Random numbers from a seed: SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Makes the sequence of `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws a number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// Comes true so often in a thousand.
    pub(super) fn chance(&mut self, thousandths: u64) -> bool {
        self.next() % 1_000 < thousandths
    }

    /// Draws one of several.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.between(0, of.len() as u64 - 1) as usize]
    }

    /// Starts a sequence of its own.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

/// A hash of the events of a run, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace(pub(super) u64);

impl Trace {
    /// Adds an event.
    pub(super) fn note(&mut self, words: &[u64], bytes: &[u8]) {
        let mut hash = XxHash3_64::oneshot_with_seed(self.0, bytes);
        for word in words {
            hash = XxHash3_64::oneshot_with_seed(hash, &word.to_le_bytes());
        }
        self.0 = hash;
    }
}
