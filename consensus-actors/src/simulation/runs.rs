//! Many seeds on all cores, until one fails.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use consensus_core::{
    StateMachine,
    raft::Raft,
    sim::{self, Counts, Plan, Report, Shrunk},
};

use super::{operations::Operations, silence::silent};
use crate::Protocol;

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
    /// Adds what another sum has.
    pub(super) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.answered += other.answered;
        self.counts.add(&other.counts);
        self.failed = self.failed.into_iter().chain(other.failed).min();
    }
}

impl<S: StateMachine> Runs<'_, S> {
    /// Runs the seeds below `count`, on all cores; after one that failed only lower ones.
    ///
    /// # Errors
    /// A text for people, where no operation can be made up.
    pub(super) fn all(&self, count: u64) -> Result<Sum, String> {
        let (next, failed) = (AtomicU64::new(0), AtomicU64::new(count));
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        thread::scope(|scope| {
            let spawn = |_| scope.spawn(|| silent(|| self.some(&next, &failed)));
            let workers: Vec<_> = (0..cores.min(count)).map(spawn).collect();
            let mut all = Sum::default();
            for worker in workers {
                all.add(&worker.join().expect("the simulator catches what users' code does")?);
            }
            Ok(all)
        })
    }

    /// Runs seeds from `next` on while they are below the lowest that `failed`.
    ///
    /// Seeds are taken in order: the lowest that fails is among those taken however threads
    /// interleave, and so it is always the same.
    fn some(&self, next: &AtomicU64, failed: &AtomicU64) -> Result<Sum, String> {
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= failed.load(Ordering::Relaxed) {
                return Ok(sum);
            }
            let report = self.run(&self.plan.with_seed(seed))?;
            sum.operations += report.operations;
            sum.answered += report.answered;
            sum.counts.add(&report.counts);
            if report.failure.is_some() {
                failed.fetch_min(seed, Ordering::Relaxed);
                sum.failed = Some(seed);
            }
        }
    }

    /// Runs one seed and keeps its trace.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub(super) fn one(&self, seed: u64) -> Result<Report, String> {
        silent(|| self.run(&self.plan.with_seed(seed).recording(true)))
    }

    /// Shrinks the run of a seed; `None` if it does not fail.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub(super) fn shrunk(&self, seed: u64) -> Result<Option<Shrunk>, String> {
        let plan = self.plan.with_seed(seed);
        silent(|| match self.protocol {
            Protocol::Raft => sim::shrink::<Raft, S>(&plan, self.operations),
        })
    }

    fn run(&self, plan: &Plan) -> Result<Report, String> {
        match self.protocol {
            Protocol::Raft => sim::run::<Raft, S>(plan, self.operations),
        }
    }
}
