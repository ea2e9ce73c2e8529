//! Why a node is not talked to.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// Why a node is not talked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cause {
    /// It speaks another protocol, is of another cluster, or wanted somebody else.
    #[default]
    Mistaken,
    /// Its id is not known.
    Unknown,
    /// Its id is known under another incarnation.
    Wiped,
    /// Its id was removed.
    Removed,
}

/// A refusal to talk, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exclusion {
    pub(crate) cause: Cause,
    pub(crate) reason: String,
    /// Whether the other node excludes this one, and not this one the other.
    pub(super) is_theirs: bool,
}

impl Exclusion {
    pub(super) fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into(), is_theirs: false }
    }

    /// Makes an exclusion that another node has told this one of.
    pub(super) fn of_this(cause: Cause, reason: String) -> Self {
        Self { is_theirs: true, ..Self::new(cause, reason) }
    }

    /// Wraps the refusal for those who expect what a socket says.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionRefused, self)
    }

    /// Finds the refusal in what a socket is said to have said.
    pub(crate) fn find(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Exclusion {}
