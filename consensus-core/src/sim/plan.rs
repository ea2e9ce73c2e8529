//! What a run is made of: its seed, its size and its faults.

use std::time::Duration;

use super::fault::{Faults, Profile};

/// The most nodes of a run.
pub const NODES_MAX: u64 = 9;

/// What a run is made of. One that exists is valid; the same plan gives the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    seed: u64,
    nodes: u64,
    operations: usize,
    callers: usize,
    duration: Duration,
    faults: Faults,
    pace: u64,
    recording: bool,
    invariants: bool,
    #[cfg(feature = "mutants")]
    bug: Option<crate::mutants::Bug>,
}

impl Plan {
    /// Starts a plan of five nodes, a minute, 2,000 operations and every fault.
    pub fn builder() -> Builder {
        Builder {
            plan: Self {
                seed: 0,
                nodes: 5,
                operations: 2_000,
                callers: 1,
                duration: Duration::from_secs(60),
                faults: Profile::All.faults(),
                pace: 1,
                recording: false,
                invariants: true,
                #[cfg(feature = "mutants")]
                bug: None,
            },
        }
    }

    /// Returns the same plan with another seed.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }

    /// Returns the same plan with another number of nodes.
    ///
    /// # Errors
    /// [`PlanError::Nodes`].
    pub fn with_nodes(&self, nodes: u64) -> Result<Self, PlanError> {
        Builder { plan: Self { nodes, ..self.clone() } }.build()
    }

    /// Returns the same plan with other faults.
    pub(super) fn with_faults(&self, faults: Faults) -> Self {
        Self { faults, ..self.clone() }
    }

    /// Returns the same plan, its trace kept or not.
    #[must_use]
    pub fn recording(&self, recording: bool) -> Self {
        Self { recording, ..self.clone() }
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns how many nodes there are.
    pub fn nodes(&self) -> u64 {
        self.nodes
    }

    /// Returns how many operations callers ask for.
    pub fn operations(&self) -> usize {
        self.operations
    }

    /// Returns how many callers ask at about the same time.
    pub fn callers(&self) -> usize {
        self.callers
    }

    /// Returns how long faults and operations go on, in virtual time.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns the faults that may happen.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    /// Returns how many times as often as usual faults strike.
    pub fn pace(&self) -> u64 {
        self.pace
    }

    pub(super) fn checks_invariants(&self) -> bool {
        self.invariants
    }

    pub(super) fn is_recording(&self) -> bool {
        self.recording
    }

    /// Returns the bug that is put back, if one is.
    #[cfg(feature = "mutants")]
    pub fn bug(&self) -> Option<crate::mutants::Bug> {
        self.bug
    }
}

/// Builds a [`Plan`].
#[derive(Clone, Debug)]
pub struct Builder {
    plan: Plan,
}

impl Builder {
    /// Sets the seed. Default 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.plan.seed = seed;
        self
    }

    /// Sets how many nodes there are. Default 5.
    #[must_use]
    pub fn nodes(mut self, nodes: u64) -> Self {
        self.plan.nodes = nodes;
        self
    }

    /// Sets how many operations callers ask for. Default 2,000.
    #[must_use]
    pub fn operations(mut self, operations: usize) -> Self {
        self.plan.operations = operations;
        self
    }

    /// Sets how many callers ask at about the same time, so that their operations overlap.
    /// Default 1: each asks when it likes.
    #[must_use]
    pub fn callers(mut self, callers: usize) -> Self {
        self.plan.callers = callers;
        self
    }

    /// Sets how long faults and operations go on, in virtual time. Default a minute.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.plan.duration = duration;
        self
    }

    /// Sets the faults that may happen. Default all.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.plan.faults = faults;
        self
    }

    /// Sets how many times as often as usual faults strike, so that short runs have as many as long
    /// ones. Default 1.
    #[must_use]
    pub fn pace(mut self, pace: u64) -> Self {
        self.plan.pace = pace;
        self
    }

    /// Sets whether the protocol's invariants are checked, or only what callers see. Default true.
    #[must_use]
    pub fn invariants(mut self, checked: bool) -> Self {
        self.plan.invariants = checked;
        self
    }

    /// Puts a known bug back.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn bug(mut self, bug: crate::mutants::Bug) -> Self {
        self.plan.bug = Some(bug);
        self
    }

    /// Finishes the plan.
    ///
    /// # Errors
    /// [`PlanError`] with the bound that a value is out of.
    pub fn build(self) -> Result<Plan, PlanError> {
        let plan = self.plan;
        if !(1..=NODES_MAX).contains(&plan.nodes) {
            return Err(PlanError::Nodes { nodes: plan.nodes });
        }
        if plan.duration < DURATION_MIN || plan.duration > DURATION_MAX {
            return Err(PlanError::Duration { duration: plan.duration });
        }
        if !(1..=CALLERS_MAX).contains(&plan.callers) {
            return Err(PlanError::Callers { callers: plan.callers });
        }
        if !(1..=PACE_MAX).contains(&plan.pace) {
            return Err(PlanError::Pace { pace: plan.pace });
        }
        if plan.operations > OPERATIONS_MAX {
            return Err(PlanError::Operations { operations: plan.operations });
        }
        Ok(plan)
    }
}

/// Shorter, and no election would be over.
const DURATION_MIN: Duration = Duration::from_secs(2);
/// Longer runs show nothing that more seeds do not, and logs are never compacted in them.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The whole history is kept in memory.
const OPERATIONS_MAX: usize = 1_000_000;

/// With more, all operations of a usual run would be asked for in a few moments.
const CALLERS_MAX: usize = 64;

/// Beyond it, nothing works for long enough that anything could go wrong.
const PACE_MAX: u64 = 10;

/// Why values make no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Too few nodes, or too many.
    #[error("{nodes} nodes are out of range; simulate 1 to {NODES_MAX}, 5 is usual")]
    Nodes {
        /// As asked.
        nodes: u64,
    },
    /// Too short, or too long.
    #[error("{duration:?} of virtual time is out of range; simulate 2 s to 24 h, 60 s is usual")]
    Duration {
        /// As asked.
        duration: Duration,
    },
    /// Too few callers, or too many.
    #[error("{callers} callers at once are out of range; simulate 1 to {CALLERS_MAX}, 4 is usual")]
    Callers {
        /// As asked.
        callers: usize,
    },
    /// Faults that strike too rarely, or too often.
    #[error("faults {pace} times as often are out of range; simulate 1 to {PACE_MAX} times")]
    Pace {
        /// As asked.
        pace: u64,
    },
    /// Too many operations.
    #[error("{operations} operations are too many; simulate up to {OPERATIONS_MAX}")]
    Operations {
        /// As asked.
        operations: usize,
    },
}
