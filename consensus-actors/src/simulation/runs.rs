//! Many seeds on all cores, until one fails.

use std::{num::NonZeroUsize, ops::ControlFlow, thread};

use consensus_core::{
    StateMachine,
    raft::Raft,
    sim::{Counts, Plan, Report, Shrunk},
};

use super::{fleet::in_order, operations::Operations};
use crate::{Protocol, multi_paxos::MultiPaxos};

/// What is run: a plan whose seed is left open.
pub(super) struct Runs<'a, S: StateMachine> {
    pub(super) protocol: Protocol,
    pub(super) plan: &'a Plan,
    pub(super) operations: &'a Operations<S>,
}

/// What came of the seeds that were run.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) operations: usize,
    pub(super) answered: usize,
    pub(super) counts: Counts,
    /// The lowest seed that failed.
    pub(super) failed: Option<u64>,
}

impl Sum {
    /// Adds what another protocol's seeds came to.
    pub(super) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.answered += other.answered;
        self.counts.add(&other.counts);
        self.failed = self.failed.into_iter().chain(other.failed).min();
    }
}

impl<S: StateMachine> Runs<'_, S> {
    /// Runs the seeds below `count`, on all cores, up to the lowest that fails.
    ///
    /// # Errors
    /// A text for people, where no operation can be made up.
    pub(super) fn all(&self, count: u64) -> Result<Sum, String> {
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let (mut sum, mut ended) = (Sum::default(), Ok(()));
        let run = |seed| self.run(&self.plan.with_seed(seed));
        in_order(threads, 0..count, run, |seed, done| {
            let report = match done {
                Ok(report) => report,
                Err(error) => {
                    ended = Err(error);
                    return ControlFlow::Break(());
                }
            };
            sum.operations += report.operations;
            sum.answered += report.answered;
            sum.counts.add(&report.counts);
            if report.failure.is_some() {
                sum.failed = Some(seed);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        ended.map(|()| sum)
    }

    /// Runs one seed and keeps its trace.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub(super) fn one(&self, seed: u64) -> Result<Report, String> {
        self.run(&self.plan.with_seed(seed).recording(true))
    }

    /// Shrinks the run of a seed; `None` if it does not fail.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub(super) fn shrunk(&self, seed: u64) -> Result<Option<Shrunk>, String> {
        let plan = self.plan.with_seed(seed);
        match self.protocol {
            Protocol::Raft => super::shrink::<Raft, S>(&plan, self.operations),
            Protocol::MultiPaxos => super::shrink::<MultiPaxos, S>(&plan, self.operations),
        }
    }

    fn run(&self, plan: &Plan) -> Result<Report, String> {
        match self.protocol {
            Protocol::Raft => super::run::<Raft, S>(plan, self.operations),
            Protocol::MultiPaxos => super::run::<MultiPaxos, S>(plan, self.operations),
        }
    }
}
