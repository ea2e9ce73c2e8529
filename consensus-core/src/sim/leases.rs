//! Whether the members of a simulated group keep leases, and how alike their clocks are.

use super::{
    Failure,
    fault::Faults,
    plan::Plan,
    protocol::{Judge, Simulated},
    random::Random,
    world::World,
};
use crate::{members::NodeId, state_machine::StateMachine};

/// What a run has of leases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leases {
    is_on: bool,
    /// The nodes that promise nothing, a bit each.
    without: u64,
    /// Clocks differ by more than is declared: reads that rest on a lease may be old, and nothing
    /// else may.
    clocks_betray: bool,
}

const LEASES: u64 = 7;

/// What is declared of clocks, in hundredths, and what is true of them: each runs faster or slower
/// than true time by a twentieth at most.
const DRIFT: u8 = 10;
/// What is declared of clocks that betray.
const DRIFT_TOO_LITTLE: u8 = 1;

impl Leases {
    /// Draws what a run has; where queries are declared to rest on leases, it has them.
    pub(super) fn draw(plan: &Plan, declared: bool) -> Self {
        let mut random = Random::new(plan.seed(), LEASES);
        if plan.faults() == Faults::NONE {
            return Self { is_on: declared, ..Self::default() };
        }
        let is_on = random.happens(400_000) || declared;
        let mixed = random.happens(150_000) && !declared;
        let without = if mixed { random.below(1 << plan.nodes()) } else { 0 };
        Self { is_on, without, clocks_betray: is_on && random.happens(150_000) }
    }

    /// Tells whether the group has leases.
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Tells whether a node keeps leases.
    pub(super) fn are_kept_by(&self, node: u64) -> bool {
        let promises_nothing = node <= u64::from(u64::BITS) && self.without >> (node - 1) & 1 == 1;
        self.is_on && !promises_nothing
    }

    /// Tells whether a node may break what others promise: those that keep no leases where others do
    /// check no quorum either, so that they are loyal to nobody.
    pub(super) fn may_be_disloyal(&self, node: u64) -> bool {
        self.is_on && !self.are_kept_by(node)
    }

    /// Tells whether clocks differ by more than is declared.
    pub(super) fn clocks_betray(&self) -> bool {
        self.clocks_betray
    }

    /// Returns what is declared of clocks, in hundredths.
    pub(super) fn clock_drift(&self) -> u8 {
        if self.clocks_betray { DRIFT_TOO_LITTLE } else { DRIFT }
    }
}

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    /// Judges until when a node holds a lease, in true time, where clocks keep what is declared.
    pub(super) fn judge_lease(&mut self, node: NodeId) -> Result<(), Failure> {
        if !self.script.temper.leases.is_on() || self.script.temper.leases.clocks_betray() {
            return Ok(());
        }
        let now = self.now;
        let host = self.host(node);
        let until = host.process.as_ref().and_then(P::lease_until);
        let until = until.map(|until| host.clock.truth(until));
        let verdict = self.judge.leased(node, now, until);
        self.judged(verdict)
    }
}
