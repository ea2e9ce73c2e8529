//! The simulator for users: what `#[simulate]`, [`Sim`] and the command `sim` do.
//!
//! The cluster, its faults and the judgement are `consensus_core::sim`; here are operations made up
//! from types, many seeds on all cores, silent, and what is told and written of a run.

mod arbitrary;
mod describe;
mod faults;
mod fleet;
mod generator;
mod history;
mod operations;
mod quiet;
mod report;
mod runs;
mod sim;
mod timeline;
mod trace;

#[cfg(test)]
mod tests;

use consensus_core::{
    StateMachine,
    sim::{Deciding, Flaw, Plan, Report, Shrunk, Simulated, Workload},
};

pub(crate) use self::{
    fleet::in_order, history::write as write_history, timeline::page, trace::write as write_trace,
};
pub use self::{
    generator::{Generator, Whole},
    sim::{Checked, Sim},
};

/// What a timeline is of.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// The seed, and what came of it.
    pub(crate) title: String,
    /// The command line that gives this run again.
    pub(crate) command: String,
    /// How many nodes there are, numbered from 1.
    pub(crate) nodes: u64,
}

/// Runs `plan` without a word; a panic is a finding, with its place as evidence.
///
/// # Errors
/// A text for people, where the workload cannot make up an operation.
pub(crate) fn run<P: Simulated, S: StateMachine>(
    plan: &Plan,
    workload: &dyn Workload<S>,
) -> Result<Report, String> {
    let (report, place) = quiet::quietly(|| consensus_core::sim::run::<P, S>(plan, workload));
    let mut report = report?;
    add_place(&mut report, place);
    Ok(report)
}

/// Shrinks the run of `plan` without a word; `None` if it does not fail.
///
/// # Errors
/// A text for people, where the workload cannot make up an operation.
pub(crate) fn shrink<P: Simulated, S: StateMachine>(
    plan: &Plan,
    workload: &dyn Workload<S>,
) -> Result<Option<Shrunk>, String> {
    let (shrunk, place) = quiet::quietly(|| consensus_core::sim::shrink::<P, S>(plan, workload));
    let mut shrunk = shrunk?;
    if let Some(shrunk) = &mut shrunk {
        add_place(&mut shrunk.report, place);
    }
    Ok(shrunk)
}

/// Runs the decisions of `plan` without a word, as [`run`] does.
pub(crate) fn decide<P: Deciding>(plan: &Plan) -> Report {
    let (mut report, place) = quiet::quietly(|| consensus_core::sim::decide::<P>(plan));
    add_place(&mut report, place);
    report
}

/// Shrinks the run of a plan of decisions without a word; `None` if it does not fail.
pub(crate) fn shrink_decisions<P: Deciding>(plan: &Plan) -> Option<Shrunk> {
    let (shrunk, place) = quiet::quietly(|| consensus_core::sim::shrink_decisions::<P>(plan));
    let mut shrunk = shrunk?;
    add_place(&mut shrunk.report, place);
    Some(shrunk)
}

/// Runs the sagas of `plan` without a word, as [`run`] does.
pub(crate) fn sagas(plan: &Plan) -> Report {
    let (mut report, place) = quiet::quietly(|| consensus_core::sim::sagas(plan));
    add_place(&mut report, place);
    report
}

/// Shrinks the run of a plan of sagas without a word; `None` if it does not fail.
pub(crate) fn shrink_sagas(plan: &Plan) -> Option<Shrunk> {
    let (shrunk, place) = quiet::quietly(|| consensus_core::sim::shrink_sagas(plan));
    let mut shrunk = shrunk?;
    add_place(&mut shrunk.report, place);
    Some(shrunk)
}

/// Adds where the code stopped itself.
fn add_place(report: &mut Report, place: Option<String>) {
    if let (Some(failure), Some(place)) = (&mut report.failure, place)
        && failure.flaw == Flaw::Panic
    {
        failure.evidence.push(format!("panicked at {place}"));
    }
}
