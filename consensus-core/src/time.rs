//! The host's monotonic clock, as a value.
//!
//! The core never reads a clock: every [`step`](crate::Process::step) is told what time it is. In a
//! node that is the machine's monotonic clock, read once a batch; in the simulator it is virtual.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

/// A moment on the host's monotonic clock, in nanoseconds since the host started.
///
/// Two hosts' times must never be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The moment the host started.
    pub const ZERO: Self = Self(0);

    /// The last moment that there is.
    pub const MAX: Self = Self(u64::MAX);

    /// Makes the moment that lies `since_start` after the host started.
    pub fn after_start(since_start: Duration) -> Self {
        Self(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Returns how long after `earlier` this moment lies, zero when it does not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// Wall-clock time in milliseconds since 1970, as the node read it where a command was born.
///
/// It enters the core only inside commands, so that every replica sees the same value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub u64);

impl WallTime {
    /// Returns how long after `earlier` this moment lies, zero when it does not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
