//! Leading: phase 2. Takes commands, gives each a slot, and decides what is chosen (3).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Next,
    batches::Batches,
    changes::{Changes, Follower, Heritage, Queue},
    preparing::Elected,
    progress::Progress,
    state::State,
};
use crate::{
    error::SubmitError,
    log::Index,
    members::NodeId,
    membership::Membership,
    multi_paxos::{Ballot, Message, Role, Value, mutant::Mutant},
    process::{Effect, Effects, Submission, Ticket},
    raft::reads::Reads,
    rounds::Rounds,
    time::Time,
};

/// The office of the proposer that leads.
#[derive(Clone, Debug)]
pub(super) struct Leading {
    ballot: Ballot,
    pub(super) batches: Batches,
    pub(super) progress: BTreeMap<NodeId, Progress>,
    /// The first slot of the tenure's own: once everything up to here is chosen, so is whatever
    /// earlier leaders have had chosen.
    pub(super) begins: Index,
    /// The commands of the tenure that are not chosen, by ascending slot.
    tickets: VecDeque<(Index, Ticket)>,
    /// The configuration in the last slot, behind which nothing is proposed in this ballot.
    pub(super) next: Option<Membership>,
    pub(super) stop: Index,
    /// Commands that wait for the ballot that begins there.
    pub(super) queue: Queue,
    pub(super) changes: Changes,
    pub(super) followers: BTreeMap<NodeId, Follower>,

    pub(super) reads: Reads,
    /// When rounds of heartbeats began, and until when acceptors keep out of other ballots.
    pub(super) rounds: Rounds,
    pub(super) promised: BTreeMap<NodeId, Time>,
    /// Whether somebody was told to campaign in this tenure, whom acceptors do not refuse.
    pub(super) is_lease_void: bool,
    heartbeat_due: Time,
    /// The heartbeat intervals that have passed, however many heartbeats reads asked for.
    interval: u64,
    interval_due: Time,
    /// Who has answered since that was looked at last.
    heard: BTreeSet<NodeId>,
    look_due: Time,
}

impl Leading {
    /// Takes the lead: proposes again what may have been chosen, then a no-op of its own; but nothing
    /// behind a configuration.
    pub(super) fn begin(
        (elected, heritage): (Elected, Heritage),
        state: &mut State,
        now: Time,
        out: &mut Effects<Role>,
    ) -> Self {
        let Elected { ballot, known, values } = elected;
        let mut batches = Batches::begin(known);
        let bytes_max = state.config.accept_bytes_max();
        let next = values.last().and_then(Value::membership).cloned();
        batches.push(values, bytes_max);
        if next.is_none() {
            batches.push(vec![Value::NoOp], bytes_max);
        }
        let begins = batches.last();
        let Heritage { mut queue, changes } = heritage;
        let changes = changes.judging_from(now + state.config.election_timeout());
        let waiting = queue.drain();
        let acceptors = state.config.acceptors();
        let begin = |node| (node, Progress::begin(state.config.acceptor(node), known.next()));
        let mut leading = Self {
            ballot,
            batches,
            progress: acceptors.map(begin).collect(),
            begins,
            tickets: VecDeque::new(),
            next,
            stop: begins,
            queue,
            changes,
            followers: BTreeMap::new(),
            reads: Reads::default(),
            rounds: Rounds::default(),
            promised: BTreeMap::new(),
            is_lease_void: false,
            heartbeat_due: now,
            interval: 0,
            interval_due: now + state.config.heartbeat(),
            heard: BTreeSet::new(),
            look_due: now + state.config.election_timeout(),
        };
        state.take_the_lead(ballot, out);
        leading.broadcast_heartbeat(state, now, out);
        leading.propose(state, out);
        if !waiting.is_empty() {
            leading.on_submit(state, waiting, out);
        }
        leading
    }

    /// Returns its ballot.
    pub(super) fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Returns the last slot that it has proposed in.
    pub(super) fn last(&self) -> Index {
        self.batches.last()
    }

    /// Returns up to where everything is chosen.
    pub(super) fn chosen(&self) -> Index {
        self.batches.chosen()
    }

    pub(super) fn on_tick(
        &mut self,
        state: &mut State,
        now: Time,
        out: &mut Effects<Role>,
    ) -> Next {
        // Should it lose the lead, it waits as any other would.
        state.reset_election_timer(now);
        if !self.is_followed(state, now) {
            // Others may have elected somebody else, and whoever asks here waits in vain.
            return Next::Follow;
        }
        if now >= self.interval_due {
            self.interval_due = now + state.config.heartbeat();
            self.interval += 1;
            for progress in self.progress.values_mut() {
                let at = (self.ballot, self.interval);
                progress.send_again(at, &self.batches, &state.config, out);
                progress.send(at, &self.batches, &state.config, out);
            }
        }
        self.look_after_transfer(state, now, out);
        self.advance_changes(state, now, out);
        if self.is_leaving(now) {
            self.bequeath(state, now, out);
            return Next::Follow;
        }
        if self.is_heartbeat_due(now) {
            self.broadcast_heartbeat(state, now, out);
        }
        Next::Stay
    }

    /// Takes commands, as many as the window has room for.
    pub(super) fn on_submit(
        &mut self,
        state: &State,
        submissions: Vec<Submission>,
        out: &mut Effects<Role>,
    ) {
        let limit = state.config.proposals_max();
        let mut slot = self.batches.last();
        let (mut values, mut bytes) = (Vec::with_capacity(submissions.len()), 0);
        for Submission { ticket, command } in submissions {
            let (waiting, waiting_bytes) = self.queue.size();
            let taken = self.batches.bytes() + bytes + waiting_bytes;
            let has_room =
                self.tickets.len() + waiting < limit && taken < state.config.proposals_bytes_max();
            let refusal = if state.storage_full {
                Some(SubmitError::StorageFull)
            } else if let Some(to) = state.transfers_to() {
                Some(SubmitError::Transferring { to })
            } else {
                (state.behind || !has_room).then_some(SubmitError::Busy { limit })
            };
            if let Some(error) = refusal {
                out.push(Effect::Answer { ticket, error });
                continue;
            }
            // Behind a configuration others decide, and nothing is proposed in this ballot.
            if self.next.is_some() && !state.config.has_bug(Mutant::ProposesBehindConfiguration) {
                self.queue.push(Submission { ticket, command });
                continue;
            }
            slot = slot.next();
            // In a slot before, something may have been chosen already (MPX-P04).
            assert!(slot > self.begins, "commands come after what earlier ballots have left");
            bytes += command.len();
            self.tickets.push_back((slot, ticket));
            values.push(Value::Command(command));
        }
        if !values.is_empty() {
            self.batches.push(values, state.config.accept_bytes_max());
            self.propose(state, out);
        }
    }

    pub(super) fn on_accepted(
        &mut self,
        state: &mut State,
        now: Time,
        (from, first, last): (NodeId, Index, Index),
        out: &mut Effects<Role>,
    ) {
        let Some(progress) = self.progress.get_mut(&from) else { return };
        if last > self.batches.last() {
            tracing::error!(%from, %last, "an acceptor claims more than was proposed");
            return;
        }
        progress.on_accepted(first, last);
        progress.hear(now);
        self.heard.insert(from);
        self.batches.accept(from, first, last);
        self.choose(state, now, out);
        let at = (self.ballot, self.interval);
        if let Some(progress) = self.progress.get_mut(&from) {
            progress.send(at, &self.batches, &state.config, out);
        }
    }

    /// Notes what enough acceptors have accepted, and lets the node's learner know.
    fn choose(&mut self, state: &mut State, now: Time, out: &mut Effects<Role>) {
        let (before, own) = (self.chosen(), state.config.id());
        let unheard = self.batches.choose(state.config.needed_to_choose(), own);
        let upto = self.chosen();
        if upto == before {
            return;
        }
        let to = state.config.learner(own);
        let mut tickets = Vec::new();
        while let Some(ticket) = self.tickets.pop_front_if(|(slot, _)| *slot <= upto) {
            tickets.push(ticket);
        }
        // First whose they are: what is applied before is answered to nobody.
        let message = Message::Settled { ballot: self.ballot, upto, tickets };
        out.push(Effect::Send { to, message, after: None });
        // Its own acceptor may have accepted nothing, its disk being full: then nobody else could
        // tell the learner yet.
        for (first, values) in unheard {
            let message = Message::Learned { first, values, chosen: upto };
            out.push(Effect::Send { to, message, after: None });
        }
        if self.is_over() {
            // Those that leave hear it from nobody else.
            self.broadcast_heartbeat(state, now, out);
        }
        self.advance_reads(state, now, out);
        self.advance_changes(state, now, out);
        if self.batches.is_empty() {
            self.summon(state, out);
        }
    }

    /// Tells whether a configuration is chosen in the last slot of this ballot.
    pub(super) fn is_over(&self) -> bool {
        self.next.is_some() && self.chosen() >= self.stop
    }

    /// Tells whether members are to hear of it again.
    pub(super) fn is_heartbeat_due(&self, now: Time) -> bool {
        now >= self.heartbeat_due
    }

    /// Sends acceptors what they have not been sent.
    pub(super) fn propose(&mut self, state: &State, out: &mut Effects<Role>) {
        for progress in self.progress.values_mut() {
            progress.send((self.ballot, self.interval), &self.batches, &state.config, out);
        }
    }

    /// Lets all members hear of it, under a new round.
    pub(super) fn broadcast_heartbeat(
        &mut self,
        state: &State,
        now: Time,
        out: &mut Effects<Role>,
    ) {
        if self.reads.round() <= self.rounds.latest() {
            self.reads.advance();
        }
        let round = self.reads.round();
        self.rounds.begin(round, now, state.config.election_timeout());
        self.heartbeat_due = now + state.config.heartbeat();
        let (ballot, chosen) = (self.ballot, self.chosen());
        let members: BTreeSet<NodeId> =
            state.config.membership().members().chain(self.changes.former()).collect();
        for member in members {
            let message = Message::Heartbeat { ballot, round, chosen };
            out.push(Effect::Send { to: state.config.acceptor(member), message, after: None });
        }
    }

    /// Notes that an acceptor was heard of.
    pub(super) fn hear(&mut self, from: NodeId, now: Time) -> Option<&mut Progress> {
        let progress = self.progress.get_mut(&from)?;
        progress.hear(now);
        self.heard.insert(from);
        Some(progress)
    }

    /// Looks now and then whether enough acceptors answer for anything to be chosen.
    fn is_followed(&mut self, state: &State, now: Time) -> bool {
        if now < self.look_due {
            return true;
        }
        self.look_due = now + state.config.election_timeout();
        std::mem::take(&mut self.heard).len() >= state.config.quorums().accept()
    }

    /// Ends the tenure: what is not chosen may be yet, by a later leader, and nobody knows.
    pub(super) fn retire(mut self, state: &mut State, now: Time, out: &mut Effects<Role>) {
        if state.leader() == Some(state.config.id()) {
            state.follow(None, out);
        }
        state.reset_election_timer(now);
        let (queue, changes) = (std::mem::take(&mut self.queue), std::mem::take(&mut self.changes));
        Heritage { queue, changes }.retire(state, out);
        self.end(state, out);
    }

    /// Answers what the tenure leaves open.
    pub(super) fn end(mut self, state: &mut State, out: &mut Effects<Role>) {
        state.see(self.ballot.round);
        for (_, ticket) in self.tickets.drain(..) {
            out.push(Effect::Answer { ticket, error: SubmitError::LeadershipLost });
        }
        state.refuse(self.reads.drain(), out);
    }
}
