//! Sagas under faults: random graphs, executors that are killed or replaced, participants that
//! break off, requests and replies that are lost, doubled and late.
//!
//! Time is virtual and everything is drawn from the seed. Each effect is checked where it comes
//! about, and each saga where it has ended: carried out or undone, never half.

mod checks;
mod executors;
mod graphs;
mod isolation;
mod nested;
mod participant;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use world::Tally;

use super::{
    fault::Fault,
    plan::Plan,
    runner::{Failure, Flaw, Report, message},
    served::Reads,
    shrinking::Shrunk,
    trace::What,
};
use world::World;

/// The faults that runs of sagas can have: of the network; executors that end (`CrashBetween`) or go
/// on though they were replaced (`Pause`); participants that break off (`CrashBefore`).
pub const SAGA_FAULTS: [Fault; 6] = [
    Fault::Loss,
    Fault::Delay,
    Fault::Duplication,
    Fault::CrashBefore,
    Fault::CrashBetween,
    Fault::Pause,
];

/// Runs as many sagas as `plan` has operations, begun throughout its time. Without faults no step is
/// refused and no saga cancelled.
pub fn sagas(plan: &Plan) -> Report {
    told(plan).0
}

/// As [`sagas`], and tells how they ended.
pub fn told(plan: &Plan) -> (Report, Tally) {
    run(plan, plan.operations() as u64)
}

/// Makes a run that fails small, by leaving out the sagas that begin last; `None` if it does not
/// fail.
pub fn shrink_sagas(plan: &Plan) -> Option<Shrunk> {
    let all = plan.operations() as u64;
    let (mut count, mut runs) = (all, 1);
    run(plan, count).0.failure?;
    let mut step = count / 2;
    while step > 0 {
        runs += 1;
        if count > step && run(plan, count - step).0.failure.is_some() {
            count -= step;
        } else {
            step /= 2;
        }
    }
    let report = run(&plan.recording(true), count).0;
    let faults = plan.faults().iter().count();
    Some(Shrunk {
        report,
        faults: (faults, faults),
        operations: (all as usize, count as usize),
        runs,
    })
}

fn run(plan: &Plan, sagas: u64) -> (Report, Tally) {
    let mut world = World::new(plan, sagas);
    // An assertion of our own that fails is a finding like any other.
    let played = catch_unwind(AssertUnwindSafe(|| world.play()));
    let failure = match played {
        Ok(played) => played.err(),
        Err(panic) => Some(Failure {
            flaw: Flaw::Panic,
            what: message(panic.as_ref()),
            evidence: Vec::new(),
            at: world.now(),
        }),
    };
    if let Some(failure) = &failure {
        world.note([15, 0, 0], || What::Broken { text: failure.to_string() });
    }
    world.report(plan.seed(), failure, Reads::default())
}
