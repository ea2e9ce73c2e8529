//! Sagas under faults: random graphs, executors that are killed or replaced, participants that
//! break off, requests and replies that are lost, doubled and late.
//!
//! Time is virtual and everything is drawn from the seed. Each effect is checked where it comes
//! about, and each saga where it has ended: carried out or undone, never half.

mod graphs;
mod participant;
mod world;

use crate::{mutants::Bugs, saga::Mutant};
pub use world::Tally;

/// What became of a simulated run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What happened in it.
    pub tally: Tally,
    /// The rule that was broken first, if one was.
    pub failure: Option<String>,
}

/// Runs some sagas under the faults of a seed.
pub fn run(seed: u64) -> Run {
    play(seed, Bugs::default())
}

/// Runs some sagas with a known bug.
#[cfg(feature = "mutants")]
pub fn run_with_bug(seed: u64, mutant: Mutant) -> Run {
    play(seed, Bugs::only(mutant))
}

fn play(seed: u64, bugs: Bugs<Mutant>) -> Run {
    let mut world = world::World::new(seed, bugs);
    let failure = world.play().err();
    Run { tally: world.tally().clone(), failure }
}
