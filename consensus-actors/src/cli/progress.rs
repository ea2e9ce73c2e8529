//! How far a long command is, on stderr.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often a line is rewritten on a terminal, where rewriting more often shows nothing.
const REWRITE_EVERY: Duration = Duration::from_millis(100);

/// How often a line is added where lines stay, as in the log of a build.
const ADD_EVERY: Duration = Duration::from_secs(5);

/// Shows a line that changes.
pub(super) struct Progress {
    began: Instant,
    shown: Instant,
    rewrites: bool,
}

impl Progress {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self { began: now, shown: now, rewrites: io::stderr().is_terminal() }
    }

    /// Returns how long it goes on.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Shows `line`, unless the last one is young.
    pub(super) fn show(&mut self, line: impl FnOnce() -> String) {
        let every = if self.rewrites { REWRITE_EVERY } else { ADD_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let line = line();
        if self.rewrites {
            write!(io::stderr(), "\r\x1b[2K{line}").ok();
        } else {
            writeln!(io::stderr(), "{line}").ok();
        }
    }

    /// Prints what is to stay on stderr.
    pub(super) fn print(&self, text: impl Display) {
        self.clear();
        writeln!(io::stderr(), "{text}").ok();
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        if self.rewrites {
            write!(io::stderr(), "\r\x1b[2K").ok();
        }
    }
}
