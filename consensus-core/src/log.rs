//! Positions in a replicated log, and what the log hands to the replica.

use std::fmt;

use bytes::Bytes;

use crate::process::Ticket;

/// A position in a replicated log, from 1; zero stands before the first entry.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u64);

impl Index {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// Returns the position that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the position before this one, [`Index::ZERO`] at the start.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An entry that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Its position.
    pub index: Index,
    /// The command; `None` for an entry of the protocol's own, which the replica skips.
    pub command: Option<Bytes>,
    /// The submission that it answers, where it was submitted to this replica in the present
    /// tenure.
    pub ticket: Option<Ticket>,
}
