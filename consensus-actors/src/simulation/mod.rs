//! Simulated runs, and what is shown of them.
#![cfg_attr(not(test), expect(dead_code, reason = "the command that simulates will call it"))]

pub(crate) mod timeline;

/// What a page says of a run beside its report.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// Names the run.
    pub(crate) title: String,
    /// Reproduces it.
    pub(crate) command: String,
    /// How many nodes there are.
    pub(crate) nodes: u64,
}
