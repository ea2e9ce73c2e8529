//! What happens by chance, the same for the same seed wherever it is drawn.

use twox_hash::XxHash3_64;

/// Draws a number for something that has a name.
pub(crate) fn draw(seed: u64, name: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, name.as_bytes())
}

/// Draws one of several.
pub(crate) fn one_of<T: Copy>(all: &[T], seed: u64, name: &str) -> Option<T> {
    let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
    usize::try_from(draw(seed, name) % count).ok().and_then(|place| all.get(place).copied())
}
