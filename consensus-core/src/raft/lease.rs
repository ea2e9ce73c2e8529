//! Leases: a leader that knows that nobody else can be elected yet answers reads from its own state
//! (dissertation 6.4.1).
//!
//! A voter that takes part says in each answer to a heartbeat for how long it refuses others its
//! vote, as it does for an election timeout after it has heard of a leader. The leader counts that
//! from when it *sent* the heartbeat: the answer may have been long on its way. While the promises
//! of a majority last, nobody else is elected, whatever becomes of the leader's term on its way to
//! others. Rounds of heartbeats name when they were sent, so that no time of this clock travels.
//!
//! Promises are kept by clocks, and two clocks never run alike. A lease is shorter than what was
//! promised by so much as clocks may differ, which is declared; reads that must not rest on that are
//! linearizable ones.
//!
//! What a voter promised outlives its process: it refuses others for an election timeout after it
//! starts again (RAFT-P20). What voters do not refuse is a candidate that the leader told to
//! campaign, so that no lease holds while one may come (RAFT-P19, L4). And whether a lease holds is
//! asked when a read is there, with a time that was read after it came: whoever asks before that, or
//! now and then, answers from a lease that ended meanwhile (RAFT-P18).

use std::{collections::BTreeMap, time::Duration};

use super::{config::Config, leader::Leader, mutant::Mutant, state::State};
use crate::{
    log::Index,
    members::NodeId,
    read::ReadLevel,
    rounds::{Rounds, lease_length},
    time::Time,
};

/// What a leader knows of its voters' promises; nothing before it leads.
#[derive(Clone, Debug, Default)]
pub(super) struct Lease {
    /// The first entry of the tenure.
    noop: Index,
    rounds: Rounds,
    /// Until when followers refuse others their votes, by this replica's clock.
    promised: BTreeMap<NodeId, Time>,
}

impl Lease {
    /// Begins a tenure whose first entry is `noop`.
    pub(super) fn begin(noop: Index) -> Self {
        Self { noop, ..Self::default() }
    }

    /// Forgets whoever is no member any more.
    pub(super) fn dismiss(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.promised.retain(|node, _| is_member(*node));
    }
}

impl Config {
    /// Returns for how long another member may rely on this replica, by its own clock.
    fn lease_length(&self) -> Duration {
        let ignores = self.has_bug(Mutant::LeaseIgnoresDrift);
        lease_length(self.election_timeout(), if ignores { 0 } else { self.clock_drift() })
    }
}

impl State {
    /// Returns for how long this voter lets a leader rely on its loyalty, if it does.
    pub(super) fn promise(&self) -> Option<Duration> {
        self.config.lease().then(|| self.config.lease_length())
    }

    /// Returns until when nobody else can be elected, as far as this leader knows; `None` if that is
    /// not known at all. It is long past where voters have gone silent.
    pub(super) fn lease_until(&self) -> Option<Time> {
        if !self.config.lease() || self.leader() != Some(self.id()) {
            return None;
        }
        // Until an entry of this term is committed, the commit index may lag behind the truth
        // (RAFT-P16).
        let is_first = self.committed() < self.lease.noop;
        if is_first && !self.has_bug(Mutant::LeaseBeforeFirstCommit) {
            return None;
        }
        if self.may_be_succeeded() && !self.has_bug(Mutant::LeaseThroughTransfer) {
            return None;
        }
        let promised = &self.lease.promised;
        Some(self.quorum(Mutant::LeaseQuorumOffByOne).reached(|node| {
            if node == self.id() {
                Time::MAX
            } else {
                promised.get(&node).copied().unwrap_or_default()
            }
        }))
    }

    /// Tells whether reads of this level may rest on a lease.
    pub(super) fn trusts_clocks(&self, level: ReadLevel) -> bool {
        match level {
            ReadLevel::Lease => true,
            ReadLevel::Linearizable => self.has_bug(Mutant::LeaseServesLinearizable),
            ReadLevel::Stale { .. } | ReadLevel::After { .. } => false,
        }
    }

    /// Tells whether nobody else can have been elected by `now`, which is no earlier than what asks.
    pub(super) fn holds_lease(&self, now: Time) -> bool {
        self.lease_until().is_some_and(|until| now < until)
    }
}

impl Leader {
    /// Lets the heartbeats that go out now be told from those before, where leases rest on when they
    /// were sent.
    pub(super) fn date_heartbeats(&mut self, state: &mut State, now: Time) {
        let Some(length) = state.promise() else { return };
        if self.reads.round() <= state.lease.rounds.latest() {
            self.reads.advance();
        }
        state.lease.rounds.begin(self.reads.round(), now, length);
    }

    /// Takes note of what a voter promises that answers the heartbeats of `round`.
    pub(super) fn on_promise(
        &self,
        state: &mut State,
        now: Time,
        (voter, round, promise): (NodeId, u64, Option<Duration>),
    ) {
        let blind = state.has_bug(Mutant::LeaseCountsUnpromised);
        let promise = promise.or_else(|| state.promise().filter(|_| blind));
        // By the stricter of what the two declare.
        let (Some(own), Some(theirs)) = (state.promise(), promise) else { return };
        let Some(sent) = state.lease.rounds.began(round) else { return };
        let from = if state.has_bug(Mutant::LeaseTimedAtAnswer) { now } else { sent };
        let until = state.lease.promised.entry(voter).or_default();
        *until = (*until).max(from + own.min(theirs));
    }

    /// Tells whether reads that trust clocks may be answered without a word to others.
    pub(super) fn serves_alone(&self, state: &State, now: Time) -> bool {
        let last = self.following.looked_at(state.config.election_timeout());
        let now = if state.has_bug(Mutant::LeaseCheckedByTimer) { last } else { now };
        state.holds_lease(now)
    }
}
