//! Changes of the membership, as their leader carries them out: by commands that stop the log.
//!
//! ```text
//!   slots  ..  i-2   i-1 |   i    |  i+1    i+2  ..
//!              decided by C_old   |  decided by C_new, in a ballot of era i
//!                         stop: C_new
//! ```
//!
//! The configuration that is chosen in slot i holds for all slots behind it. Who proposes it
//! proposes nothing behind it in that ballot, and begins a ballot of the new era once it is chosen.
//! So each slot has one configuration, and none is joint (L. Lamport, D. Malkhi, L. Zhou, "Stoppable
//! Paxos", 2008; "Reconfiguring a State Machine", 2010).

use std::collections::{BTreeSet, VecDeque};

use super::{leading::Leading, state::State};
use crate::{
    change::{Change, ChangeError, Progressed, Waiting},
    error::SubmitError,
    log::Index,
    members::NodeId,
    membership::Membership,
    multi_paxos::{Message, Role, Value},
    process::{Effect, Effects, Submission, Ticket},
    time::Time,
};

/// For how many election timeouts a leader tells members that they were removed, and one that votes
/// no more looks after what is left to do.
const FAREWELL_TIMEOUTS: u32 = 4;

/// What is known of a member, by its answers to heartbeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follower {
    heard: Time,
    /// Up to where its node knows what is chosen.
    known: Index,
    /// Up to where it has that in a durable snapshot.
    base: Index,
}

/// What a leader knows of changes that were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// Who waits until there is a configuration that has what was asked for.
    waiting: Waiting,
    /// From when a member that was not heard of counts as down: one that runs has had the time to
    /// answer this leader.
    judges: Time,
    /// Members that were removed, and until when they are told so.
    former: BTreeSet<NodeId>,
    farewell: Time,
    /// When this leader, which votes no more, steps down at the latest.
    leaving: Option<Time>,
}

/// Commands that wait until a configuration is chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    list: VecDeque<Submission>,
    bytes: usize,
}

/// What a leader leaves to the ballot in which it goes on under a new configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Heritage {
    pub(super) queue: Queue,
    pub(super) changes: Changes,
}

impl Queue {
    /// Returns how many commands wait, and of how many bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.list.len(), self.bytes)
    }

    /// Lets a command wait.
    pub(super) fn push(&mut self, submission: Submission) {
        self.bytes += submission.command.len();
        self.list.push_back(submission);
    }

    /// Takes all commands.
    pub(super) fn drain(&mut self) -> Vec<Submission> {
        self.bytes = 0;
        self.list.drain(..).collect()
    }
}

impl Heritage {
    /// Lets commands wait, as many as there is room for.
    pub(super) fn on_submit(
        &mut self,
        state: &State,
        submissions: Vec<Submission>,
        out: &mut Effects<Role>,
    ) {
        let limit = state.config.proposals_max();
        for submission in submissions {
            let (count, bytes) = self.queue.size();
            if count < limit && bytes < state.config.proposals_bytes_max() {
                self.queue.push(submission);
            } else {
                let (ticket, error) = (submission.ticket, SubmitError::Busy { limit });
                out.push(Effect::Answer { ticket, error });
            }
        }
    }

    /// Answers who waits: nothing comes of it here. What was never proposed can be asked for again.
    pub(super) fn retire(mut self, state: &State, out: &mut Effects<Role>) {
        state.refuse(self.queue.drain().into_iter().map(|it| it.ticket), out);
        for ticket in self.changes.waiting.drain() {
            out.push(Effect::Answer { ticket, error: SubmitError::LeadershipLost });
        }
    }
}

impl State {
    /// Gives up to go on as the leader under another configuration.
    pub(super) fn lay_down(&mut self, heritage: Heritage, out: &mut Effects<Role>) {
        if self.leader() == Some(self.config.id()) {
            self.follow(None, out);
        }
        heritage.retire(self, out);
    }
}

impl Changes {
    /// Goes on in a tenure in which all that run are heard of until then.
    pub(super) fn judging_from(self, judges: Time) -> Self {
        Self { judges, ..self }
    }

    /// Returns who was removed of late.
    pub(super) fn former(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.former.iter().copied()
    }
}

impl Leading {
    /// Begins a change, or waits for the end of one that leads to the same.
    pub(super) fn on_change(
        &mut self,
        state: &mut State,
        now: Time,
        (ticket, change): (Ticket, Change),
        out: &mut Effects<Role>,
    ) {
        let begun = self.begin_change(state, now, &change, out);
        self.changes.waiting.take((ticket, change), begun, out);
    }

    fn begin_change(
        &mut self,
        state: &mut State,
        now: Time,
        change: &Change,
        out: &mut Effects<Role>,
    ) -> Result<Progressed, SubmitError> {
        if state.storage_full {
            return Err(SubmitError::StorageFull);
        }
        if let Some(to) = state.transfers_to() {
            return Err(SubmitError::Transferring { to });
        }
        if let Some(next) = &self.next {
            // Asked for again, it is no other change.
            let same = change.is_done(next);
            return if same { Ok(Progressed::UnderWay) } else { Err(ChangeError::Underway.into()) };
        }
        if self.chosen() < self.begins {
            return Err(ChangeError::NotReady.into());
        }
        let present = state.config.membership().clone();
        if change.is_done(&present) {
            return Ok(if self.is_kept(state) { Progressed::Done } else { Progressed::UnderWay });
        }
        let target = change.apply(&present)?;
        if target == present {
            return Ok(Progressed::UnderWay);
        }
        if !self.is_kept(state) {
            return Err(ChangeError::Underway.into());
        }
        let is_early = now < self.changes.judges;
        self.check_change(state, now, (&present, &target))
            .map_err(|error| error.unless_early(is_early))?;
        self.configure(state, target, out);
        Ok(Progressed::UnderWay)
    }

    /// Checks that the group can decide under `target`: that the sizes of quorums fit, that whoever
    /// would vote anew has caught up, and that enough answer.
    fn check_change(
        &self,
        state: &State,
        now: Time,
        (present, target): (&Membership, &Membership),
    ) -> Result<(), ChangeError> {
        if target.members().any(|node| target.is_witness(node)) {
            return Err(ChangeError::NoWitnesses);
        }
        if present.voters() == target.voters() {
            return Ok(());
        }
        let voters = target.voters().voters().len();
        let quorums = state.config.quorums_of(target).map_err(|_| {
            let (prepare, accept) = state.config.quorum_sizes(target);
            ChangeError::QuorumSizes { voters, prepare, accept }
        })?;
        for node in target.voters().voters().filter(|node| !present.is_voter(*node)) {
            if !self.has_caught_up(state, now, node) {
                let (matched, last) = (self.known_by(node).0, self.chosen().0);
                return Err(ChangeError::CatchingUp { node, matched, last });
            }
        }
        let is_heard = |node: NodeId| node == state.config.id() || self.is_heard(state, now, node);
        let heard = target.voters().voters().filter(|node| is_heard(*node)).count();
        if heard < quorums.prepare().max(quorums.accept()) {
            return Err(ChangeError::NoMajority { voters, heard });
        }
        Ok(())
    }

    /// Notes what a member says of itself.
    pub(super) fn on_follower(&mut self, now: Time, from: NodeId, (known, base): (Index, Index)) {
        let fresh = Follower { heard: now, known, base };
        let follower = self.followers.entry(from).or_insert(fresh);
        follower.heard = now;
        follower.known = follower.known.max(known);
        follower.base = follower.base.max(base);
    }

    /// Returns up to where each other member knows what is chosen.
    pub(super) fn known(&self, state: &State) -> impl Iterator<Item = (NodeId, Index)> {
        let own = state.config.id();
        let others = state.config.membership().members().filter(move |node| *node != own);
        others.map(|node| (node, self.known_by(node)))
    }

    /// Returns up to where a member knows what is chosen.
    pub(super) fn known_by(&self, node: NodeId) -> Index {
        self.followers.get(&node).map_or(Index::ZERO, |it| it.known)
    }

    fn is_heard(&self, state: &State, now: Time, node: NodeId) -> bool {
        let patience = state.config.election_timeout();
        self.followers.get(&node).is_some_and(|it| now < it.heard + patience)
    }

    /// Tells whether a learner is there and lacks so little that it may vote.
    fn has_caught_up(&self, state: &State, now: Time, learner: NodeId) -> bool {
        let slack = state.config.catch_up_slack();
        let is_close = self.known_by(learner).0.saturating_add(slack) >= self.chosen().0;
        is_close && self.is_heard(state, now, learner)
    }

    /// Tells whether so many voters of the present configuration have all on their disks that was
    /// decided with former ones that those are not needed for it any more.
    fn is_kept(&self, state: &State) -> bool {
        let keeps = |node: &NodeId| {
            self.followers.get(node).is_some_and(|follower| follower.base >= state.era())
        };
        let kept = state.config.acceptors().filter(keeps).count();
        state.era() == Index::ZERO || kept >= state.config.quorums().accept()
    }

    /// Proposes a configuration, and nothing behind it from then on.
    fn configure(&mut self, state: &State, membership: Membership, out: &mut Effects<Role>) {
        tracing::info!(membership = membership.describe(), "changes who takes part");
        assert!(self.next.is_none(), "one configuration is proposed at a time");
        let value = Value::Membership(membership.clone());
        self.batches.push(vec![value], state.config.accept_bytes_max());
        (self.next, self.stop) = (Some(membership), self.batches.last());
        self.propose(state, out);
    }

    /// Goes on with what is under way: answers who waits, parts with who was removed, and lets
    /// learners vote that have caught up.
    pub(super) fn advance_changes(
        &mut self,
        state: &mut State,
        now: Time,
        out: &mut Effects<Role>,
    ) {
        if self.next.is_some() || self.chosen() < self.begins {
            return;
        }
        let membership = state.config.membership();
        let awaited = !self.changes.waiting.is_empty() || membership.joining().next().is_some();
        let is_kept = awaited && self.is_kept(state);
        if is_kept {
            self.changes.waiting.answer(membership, out);
        }
        if now >= self.changes.farewell {
            self.changes.former.clear();
        }
        if self.changes.leaving.is_none() && !state.config.is_acceptor(state.config.id()) {
            let patience = state.config.election_timeout() * FAREWELL_TIMEOUTS;
            self.changes.leaving = Some(now + patience);
        }
        if is_kept {
            self.promote(state, now, out);
        }
    }

    /// Tells whether this leader votes no more and is to step down: all that was asked for is done,
    /// or has taken too long.
    pub(super) fn is_leaving(&self, now: Time) -> bool {
        let done = self.changes.waiting.is_empty();
        self.changes.leaving.is_some_and(|leaving| done || now >= leaving)
    }

    /// Lets learners vote that are to and have caught up, those of them that are ready together.
    fn promote(&mut self, state: &State, now: Time, out: &mut Effects<Role>) {
        let present = state.config.membership().clone();
        let ready = |node: &NodeId| self.has_caught_up(state, now, *node);
        let ready: BTreeSet<NodeId> =
            present.joining().map(|(node, _)| node).filter(ready).collect();
        if ready.is_empty() || state.transfers_to().is_some() || state.storage_full {
            return;
        }
        let Ok(target) = present.promoting(&ready) else { return };
        if self.check_change(state, now, (&present, &target)).is_ok() {
            self.configure(state, target, out);
        }
    }

    /// Has the member that is fit best campaign: this one leads no more.
    pub(super) fn bequeath(&mut self, state: &State, now: Time, out: &mut Effects<Role>) {
        self.broadcast_heartbeat(state, now, out);
        if let Some(heir) = self.best_heir(state, now) {
            let message = Message::TakeOver { ballot: self.ballot() };
            out.push(Effect::Send { to: state.config.proposer(heir), message, after: None });
        }
    }

    /// Ends the tenure where its last slot says who takes part from then on; what waits is left to
    /// the ballot that this leader begins there.
    pub(super) fn hand_on(
        mut self,
        state: &mut State,
        now: Time,
        out: &mut Effects<Role>,
    ) -> Heritage {
        let mut changes = std::mem::take(&mut self.changes);
        let present = state.config.membership();
        let members = self.followers.keys().copied();
        let gone: Vec<NodeId> = members.filter(|node| !present.is_member(*node)).collect();
        if !gone.is_empty() {
            changes.former.extend(gone);
            changes.farewell = now + state.config.election_timeout() * FAREWELL_TIMEOUTS;
        }
        let queue = std::mem::take(&mut self.queue);
        self.end(state, out);
        Heritage { queue, changes }
    }
}
