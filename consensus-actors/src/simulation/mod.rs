//! The simulator for users' state machines: what `#[simulate]` and [`Sim`] do.
//!
//! The cluster, its faults and the judgement are `consensus_core::sim`; here are operations made up
//! from types, many seeds on all cores, and the one screen and the page that tell of a failure.

mod arbitrary;
mod describe;
mod faults;
mod generator;
mod operations;
mod report;
mod runs;
mod silence;
mod sim;
pub(crate) mod timeline;

#[cfg(test)]
mod tests;

pub use generator::{Generator, Whole};
pub use sim::{Checked, Sim};

/// What a page says besides the run itself.
pub(crate) struct About {
    /// What was simulated.
    pub(crate) title: String,
    /// The command that runs the seed again.
    pub(crate) command: String,
    /// How many nodes there are.
    pub(crate) nodes: u64,
}
