//! Changes of the membership, as their leader carries them out (dissertation 4).
//!
//! ```text
//!             appended, decided by both halves        appended, decided by the new voters
//!   C_old ------------------------------> C_old,new ------------------------------> C_new
//! ```
//!
//! Each configuration is in effect from when it is in the log. One change is under way at a time,
//! and none begins before the leader has committed an entry of its own term, so that it knows of
//! whatever another leader began (RAFT-P13). Who finds a joint configuration in its log when it is
//! elected leaves it: what it becomes is written in it (RAFT-P31). Voters that stay the same make a
//! configuration of one step: nobody decides otherwise than before.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    time::Duration,
};

use super::{Raft, leader::Leader, message::Payload, mutant::Mutant, state::State};
use crate::{
    change::{Change, ChangeError, Progressed, Waiting},
    error::SubmitError,
    log::Index,
    members::NodeId,
    membership::Membership,
    process::{Effects, Ticket},
    time::Time,
};

/// What a leader knows of changes that were asked for.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    /// Who waits until a configuration is committed that has what was asked for.
    waiting: Waiting,
    /// From when a member that was not heard of counts as down: one that runs has had the time to
    /// answer this leader.
    judges: Time,
    /// Until when members that were removed are told so.
    farewell: Option<Time>,
    /// When this leader, which was removed or votes no more, steps down.
    leaving: Option<Time>,
    /// Nothing is left to do until something is asked for.
    at_rest: bool,
}

/// For how many election timeouts a leader tells members that they were removed.
const FAREWELL_TIMEOUTS: u32 = 4;

impl Changes {
    /// Begins with a tenure, in which all that run are heard of within `period`.
    pub(super) fn begin(now: Time, period: Duration) -> Self {
        let judges = now + period;
        Self { waiting: Waiting::default(), judges, farewell: None, leaving: None, at_rest: false }
    }

    /// Tells whether nothing is left to do until something is asked for.
    pub(super) fn is_at_rest(&self) -> bool {
        self.at_rest
    }

    pub(super) fn fingerprint(&self, out: &mut impl Hasher) {
        let Self { waiting, farewell, leaving, judges: _, at_rest: _ } = self;
        // Nothing of a change that was asked for is lost on who tells states apart: it is in the
        // log.
        let tickets: Vec<Ticket> = waiting.tickets().collect();
        (tickets, farewell.is_some(), leaving.is_some()).hash(out);
    }

    /// Takes all that wait: the tenure ends.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Ticket> {
        self.waiting.drain()
    }

    /// Tells whether the leader is to step down now.
    pub(super) fn is_leaving(&self, now: Time) -> bool {
        self.leaving.is_some_and(|leaving| now >= leaving)
    }
}

impl Leader {
    /// Begins a change, or waits for the end of one that leads to the same.
    pub(super) fn on_change(
        &mut self,
        state: &mut State,
        now: Time,
        (ticket, change): (Ticket, Change),
        out: &mut Effects<Raft>,
    ) {
        let begun = self.begin_change(state, now, &change, out);
        self.changes.waiting.take((ticket, change), begun, out);
    }

    fn begin_change(
        &mut self,
        state: &mut State,
        now: Time,
        change: &Change,
        out: &mut Effects<Raft>,
    ) -> Result<Progressed, SubmitError> {
        if state.storage_full() {
            return Err(SubmitError::StorageFull);
        }
        if let Some(to) = state.transfers_to() {
            return Err(SubmitError::Transferring { to });
        }
        let present = state.membership().clone();
        if !self.is_settled(state) && !state.has_bug(Mutant::ChangesOverlap) {
            // Asked for again, it is no other change.
            let same = change.is_done(&present.left());
            return if same { Ok(Progressed::UnderWay) } else { Err(ChangeError::Underway.into()) };
        }
        self.changes.at_rest = false;
        if change.is_done(&present) {
            return Ok(Progressed::Done);
        }
        if state.committed() < self.noop() {
            return Err(ChangeError::NotReady.into());
        }
        let target = change.apply(&present)?;
        if target == present {
            return Ok(Progressed::UnderWay);
        }
        let is_early = now < self.changes.judges;
        self.check_change(state, now, (&present, &target))
            .map_err(|error| error.unless_early(is_early))?;
        self.configure(state, Self::toward(state, &target), out);
        Ok(Progressed::UnderWay)
    }

    /// Tells whether the latest configuration is committed and not joint.
    fn is_settled(&self, state: &State) -> bool {
        state.configured_at() <= state.committed() && !state.membership().is_joint()
    }

    /// Checks that the group can decide under `target`: that whoever would vote anew has caught up,
    /// and that a majority answers (RAFT-P24).
    fn check_change(
        &self,
        state: &State,
        now: Time,
        (present, target): (&Membership, &Membership),
    ) -> Result<(), ChangeError> {
        if present.voters() == target.voters() && !target.is_witness(state.id()) {
            return Ok(());
        }
        if target.is_witness(state.id()) {
            return Err(ChangeError::WitnessLeads { node: state.id() });
        }
        for node in target.voters().voters().filter(|node| !present.is_voter(*node)) {
            if !self.has_caught_up(state, now, node) {
                let (matched, last) = (self.matched(node).0, state.log.last_index().0);
                return Err(ChangeError::CatchingUp { node, matched, last });
            }
        }
        let is_heard = |node: NodeId| node == state.id() || self.heirs.is_heard(state, now, node);
        let heard = target.voters().voters().filter(|node| is_heard(*node)).count();
        if heard < target.voters().majority() {
            return Err(ChangeError::NoMajority { voters: target.voters().voters().len(), heard });
        }
        Ok(())
    }

    /// Returns a voter in whose place a copy counts that should not, as known bugs have it: the
    /// leader's own, where it does not vote, or a learner's.
    pub(super) fn stand_in(&self, state: &State, own: Index) -> Option<(NodeId, Index)> {
        let membership = state.membership();
        let copy = if state.has_bug(Mutant::LearnersCount) {
            membership.learners().map(|learner| self.matched(learner)).max()
        } else if state.has_bug(Mutant::RemovedLeaderCounts) {
            Some(own).filter(|_| !membership.is_voter(state.id()))
        } else {
            None
        };
        copy.and_then(|copy| {
            let voters = membership.voters().voters().filter(|voter| *voter != state.id());
            Some((voters.min_by_key(|voter| self.matched(*voter))?, copy))
        })
    }

    /// Returns the next configuration on the way to `target`.
    fn toward(state: &State, target: &Membership) -> Membership {
        match state.has_bug(Mutant::JointSkipped) {
            true => target.clone(),
            false => state.membership().toward(target),
        }
    }

    /// Tells whether a learner is there and lacks so little that it may vote.
    fn has_caught_up(&self, state: &State, now: Time, learner: NodeId) -> bool {
        let slack = state.config.catch_up_slack();
        let is_close = self.matched(learner).0.saturating_add(slack) >= state.log.last_index().0;
        is_close && self.heirs.is_heard(state, now, learner)
    }

    /// Appends a configuration, which is in effect at once, and sends it to those that it brings.
    fn configure(&mut self, state: &mut State, membership: Membership, out: &mut Effects<Raft>) {
        tracing::info!(membership = membership.describe(), "changes who takes part");
        self.changes.at_rest = false;
        self.append(state, vec![Payload::Membership(membership)], out);
        self.enlist(state, out);
    }

    /// Goes on with what is under way: leaves a joint configuration that is committed, answers who
    /// waits, and lets learners vote that have caught up.
    pub(super) fn advance_changes(
        &mut self,
        state: &mut State,
        now: Time,
        out: &mut Effects<Raft>,
    ) {
        if self.changes.at_rest {
            return;
        }
        let at = state.configured_at();
        let is_committed = at <= state.committed() || state.has_bug(Mutant::JointLeftEarly);
        if !is_committed || state.committed() < self.noop() {
            return;
        }
        if state.has_bug(Mutant::ConfiguredOnCommit) {
            self.enlist(state, out);
        }
        if state.membership().is_joint() {
            // Decided by both halves. From here on there is one way, whoever leads (RAFT-P31, R15).
            let left = state.membership().left();
            self.configure(state, left, out);
            return;
        }
        self.changes.waiting.answer(state.membership(), out);
        self.part(state, now, out);
        self.promote(state, now, out);
        let Changes { waiting, farewell, leaving, .. } = &self.changes;
        let waits = !waiting.is_empty() || state.membership().joining().next().is_some();
        self.changes.at_rest = !waits && farewell.is_none() && leaving.is_none();
    }

    /// Parts with members that are none any more, itself included.
    fn part(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) {
        let timeout = state.config.election_timeout();
        match self.changes.farewell {
            Some(until) if now < until => {}
            Some(_) => {
                self.changes.farewell = None;
                self.dismiss(state);
            }
            None if self.progress().any(|(peer, _)| !state.membership().is_member(peer)) => {
                self.changes.farewell = Some(now + timeout * FAREWELL_TIMEOUTS);
            }
            None => {}
        }
        if self.changes.leaving.is_none() && !state.membership().is_voter(state.id()) {
            // Its followers are to know that it is committed: it is the last to tell them
            // (RAFT-P33).
            self.changes.leaving = Some(now + state.config.heartbeat());
            self.broadcast_heartbeat(state, now, out);
        }
    }

    /// Lets learners vote that are to and have caught up, those of them that are ready together.
    fn promote(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) {
        let present = state.membership().clone();
        let ready = |node: &NodeId| self.has_caught_up(state, now, *node);
        let ready: BTreeSet<NodeId> =
            present.joining().map(|(node, _)| node).filter(ready).collect();
        if ready.is_empty() || state.transfers_to().is_some() {
            return;
        }
        let Ok(target) = present.promoting(&ready) else { return };
        if self.check_change(state, now, (&present, &target)).is_ok() {
            self.configure(state, Self::toward(state, &target), out);
        }
    }
}
