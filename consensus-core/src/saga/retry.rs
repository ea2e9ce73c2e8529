//! When what failed is tried again: exponential backoff up to a cap, with full jitter.

use std::time::Duration;

/// How often something is tried, and at which intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// After how many attempts an operator is asked, or the saga turned back; at least one.
    pub attempts_max: u32,
    /// The longest pause after the first attempt; it doubles with each.
    pub base: Duration,
    /// The longest pause of all.
    pub cap: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(10));
        Self { attempts_max: 8, base, cap }
    }
}

impl Retry {
    /// Returns how long to wait after attempt number `attempt`, counted from one: anything from
    /// nothing to the longest pause, so that many that failed together do not come together again.
    pub fn pause(&self, attempt: u32, drawn: u64) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = self.base.saturating_mul(doubled).min(self.cap);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(drawn % (nanos + 1))
    }

    /// Tells whether there is to be no attempt after this one.
    pub(super) fn is_last(&self, attempt: u32) -> bool {
        attempt >= self.attempts_max.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: pauses stay within a bound that doubles up to the cap, whatever is drawn and however many
    // attempts there were.
    #[test]
    fn pauses_are_bounded() {
        let retry = Retry {
            attempts_max: 3,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(2),
        };
        for (attempt, longest) in [(1, 100), (2, 200), (5, 1_600), (6, 2_000), (u32::MAX, 2_000)] {
            let longest = Duration::from_millis(longest);
            assert_eq!(retry.pause(attempt, 0), Duration::ZERO);
            let nanos = longest.as_nanos() as u64;
            assert_eq!(retry.pause(attempt, nanos), longest);
            assert!(retry.pause(attempt, u64::MAX) <= longest);
        }
        assert!(!retry.is_last(2) && retry.is_last(3));
        let endless = Retry { cap: Duration::MAX, base: Duration::MAX, ..retry };
        assert!(endless.pause(40, u64::MAX - 1) > Duration::from_secs(1));
    }
}
