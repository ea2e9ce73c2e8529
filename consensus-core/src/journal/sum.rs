//! Checksums that hold at one place only.

use bytes::BufMut;
use twox_hash::XxHash3_64;

use super::JournalId;

/// The length of a sum.
pub(super) const SUM_BYTES: usize = 8;

/// Set in every sum, in the byte that is written last: it is never zero, not even with one bit
/// flipped.
///
/// So a zero there means that the end of what the sum protects was not written.
const ENDED: u64 = 0x81 << 56;

/// Where something stands: its sum is seeded with it, and is wrong anywhere else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) journal: JournalId,
    pub(super) segment: u64,
    pub(super) offset: usize,
}

impl Place {
    /// Returns the sum of `bytes` at this place.
    pub(super) fn sum(self, bytes: &[u8]) -> u64 {
        let mut seed = [0; 32];
        let mut fields = seed.as_mut_slice();
        fields.put_u128_le(self.journal.0);
        fields.put_u64_le(self.segment);
        fields.put_u64_le(self.offset as u64);
        sum(XxHash3_64::oneshot(&seed), bytes)
    }
}

/// Returns the sum of `bytes` under `seed`.
pub(super) fn sum(seed: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes) | ENDED
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: no bit that flips makes the last byte of a sum look as if it had not been written.
    #[test]
    fn the_last_byte_is_not_zero_even_with_a_bit_flipped() {
        for seed in 0..2_000 {
            let last = sum(seed, b"anything").to_le_bytes()[SUM_BYTES - 1];
            assert!(last.count_ones() >= 2, "{last:08b}");
        }
    }
}
