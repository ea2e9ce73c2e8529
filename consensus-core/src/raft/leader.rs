//! The Leader: takes commands, replicates its log, and decides what is committed (5.3, 5.4.2).

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    time::Duration,
};

use super::{
    Raft,
    candidate::Elected,
    changes::Changes,
    follower::Follower,
    following::Following,
    lease::Lease,
    message::{AppendResult, Entry, Message, Payload},
    mutant::Mutant,
    progress::Progress,
    proposals::Proposals,
    reads::Reads,
    replicating::replicate,
    rest::Repose,
    state::State,
    transfer::Heirs,
};
use crate::{
    error::SubmitError,
    log::Index,
    members::NodeId,
    process::{Effect, Effects, Input, Submission},
    raft::{Control, log::TermAt},
    role::{Next, Step},
    time::Time,
};

/// The role of the replica that was elected in its term.
#[derive(Clone, Debug)]
pub struct Leader {
    pub(super) progress: BTreeMap<NodeId, Progress>,
    /// The first entry of the tenure; once it is committed, everything before it is known to be
    /// (8).
    pub(super) noop: Index,
    proposals: Proposals,
    pub(super) reads: Reads,
    pub(super) heartbeat_due: Time,
    /// When a heartbeat interval will have passed, however many heartbeats reads asked for.
    interval_due: Time,
    pub(super) following: Following,
    pub(super) heirs: Box<Heirs>,
    pub(super) repose: Repose,
    pub(super) changes: Changes,
}

impl Leader {
    /// Takes the lead: appends a no-op and probes every follower with it.
    pub(super) fn new(_: Elected, state: &mut State, now: Time, out: &mut Effects<Raft>) -> Self {
        assert!(state.voted_for() == Some(state.id()), "a leader has its own vote");
        let last = state.log.last_index();
        let peers = state.peers();
        let mut leader = Self {
            progress: peers.map(|peer| (peer, Progress::new(last))).collect(),
            noop: last.next(),
            proposals: Proposals::begin(last.next(), inherited_bytes(state)),
            reads: Reads::default(),
            heartbeat_due: now + state.config.heartbeat(),
            interval_due: now + state.config.heartbeat(),
            following: Following::begin(now, state.config.election_timeout()),
            heirs: Box::default(),
            repose: Repose::default(),
            changes: Changes::begin(now, state.config.election_timeout()),
        };
        if state.has_bug(Mutant::FollowersAssumedEqual) {
            leader.progress.values_mut().for_each(|progress| progress.assume(last));
        }
        state.begin_tenure();
        state.lease = Lease::begin(leader.noop);
        state.follow(Some(state.id()), out);
        leader.append(state, vec![Payload::NoOp], out);
        leader
    }

    /// Returns what the leader knows of its followers' logs.
    pub fn progress(&self) -> impl Iterator<Item = (NodeId, &Progress)> {
        self.progress.iter().map(|(peer, progress)| (*peer, progress))
    }

    /// Returns the first entry of the tenure.
    pub(super) fn noop(&self) -> Index {
        self.noop
    }

    /// Feeds what [`Raft::fingerprint`] promises to `out`.
    pub(super) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        #[rustfmt::skip]
        let Self {
            progress, noop, proposals, reads, following, heirs: _, changes, repose,
            heartbeat_due: _,
            interval_due: _,
        } = self;
        changes.fingerprint(out);
        following.fingerprint(name, out);
        repose.fingerprint(name, out);
        let progress = progress.iter().map(|(peer, progress)| (name(*peer), progress));
        progress.collect::<BTreeMap<_, _>>().hash(out);
        (noop, proposals).hash(out);
        reads.fingerprint(name, out);
    }

    /// Appends to the log and replicates at once: the followers' disks work beside this one
    /// (dissertation 10.2.1).
    pub(super) fn append(
        &mut self,
        state: &mut State,
        payloads: Vec<Payload>,
        out: &mut Effects<Raft>,
    ) {
        let (term, bytes_max) = (state.term(), state.config.append_bytes_max());
        let mut persist = Effects::default();
        let (mut entries, mut bytes) = (Vec::with_capacity(payloads.len()), 0);
        for payload in payloads {
            bytes += payload.size();
            entries.push(Entry { term, payload });
            // A record is bounded as an Append is.
            if bytes >= bytes_max {
                state.append(state.log.last_index(), std::mem::take(&mut entries), &mut persist);
                bytes = 0;
            }
        }
        if !entries.is_empty() {
            state.append(state.log.last_index(), entries, &mut persist);
        }
        self.replicate_all(state, out);
        persist.drain().for_each(|effect| out.push(effect));
    }

    fn on_tick(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) -> Next<Raft> {
        if state.is_at_rest() {
            return Next::Stay;
        }
        // It hears of itself: should it lose the lead, it waits as any follower would.
        state.reset_election_timer(now);
        let (period, group) = (state.config.election_timeout(), (state.id(), state.membership()));
        if state.config.check_quorum() && !self.following.holds(now, period, group) {
            // Others may have elected somebody else, and whoever asks here waits in vain.
            state.follow(None, out);
            return Next::Become(Follower::new().into());
        }
        if now >= self.interval_due {
            self.interval_due = now + state.config.heartbeat();
            self.progress.values_mut().for_each(Progress::on_interval);
        }
        self.look_after_transfers(state, now, out);
        if self.changes.is_leaving(now) {
            state.follow(None, out);
            return Next::Become(Follower::new().into());
        }
        self.advance_changes(state, now, out);
        if now >= self.heartbeat_due {
            if self.offers_rest(state, out) {
                self.heartbeat_due = now + state.config.heartbeat();
            } else {
                self.broadcast_heartbeat(state, now, out);
            }
        }
        Next::Stay
    }

    /// Takes commands into the log, as many as the window has room for.
    fn on_submit(
        &mut self,
        state: &mut State,
        submissions: Vec<Submission>,
        out: &mut Effects<Raft>,
    ) {
        if state.storage_full() {
            for Submission { ticket, .. } in submissions {
                out.push(Effect::Answer { ticket, error: SubmitError::StorageFull });
            }
            return;
        }

        if let Some(to) = state.transfers_to() {
            return self.refuse_during_transfer(state, to, submissions, out);
        }

        let limit = state.config.proposals_max();
        let mut index = state.log.last_index();
        let mut payloads = Vec::with_capacity(submissions.len());
        for Submission { ticket, command } in submissions {
            if state.behind || !self.proposals.has_room(&state.config) {
                out.push(Effect::Answer { ticket, error: SubmitError::Busy { limit } });
                continue;
            }
            index = index.next();
            self.proposals.push(index, ticket, command.len());
            payloads.push(Payload::Command(command));
        }
        if !payloads.is_empty() {
            self.repose.disturb();
            self.append(state, payloads, out);
        }
    }

    fn on_receive(
        &mut self,
        state: &mut State,
        now: Time,
        from: NodeId,
        message: Message,
        out: &mut Effects<Raft>,
    ) {
        if !state.hears(from, &message, out) {
            return;
        }

        match message {
            Message::PreVote { .. } => {
                let reply = Message::PreVoteReply { term: state.term(), granted: false };
                state.reply(from, reply, out);
            }
            Message::Vote { .. } => {
                let reply = Message::VoteReply { term: state.term(), granted: false };
                state.reply(from, reply, out);
            }
            // Votes that came after the majority.
            Message::PreVoteReply { .. } | Message::VoteReply { .. } => {}
            Message::Append { .. }
            | Message::Heartbeat { .. }
            | Message::Rest { .. }
            | Message::TimeoutNow { .. }
            | Message::InstallSnapshot { .. } => {
                tracing::error!(%from, term = state.term().0, "a second leader speaks in my term");
            }
            Message::AppendReply { result, .. } => {
                self.hear(state, now, from);
                self.on_append_reply(state, now, from, result, out);
                self.summon(state, from, out);
            }
            Message::RestReply { commit, .. } => {
                self.hear(state, now, from);
                self.on_rest_reply(state, from, commit);
            }
            Message::HeartbeatReply { round, priority, promise, .. } => {
                self.hear(state, now, from);
                self.on_willingness(state, now, (from, priority), out);
                self.on_heartbeat_reply(state, now, from, (round, promise), out);
                self.summon(state, from, out);
            }
            Message::ReadIndex { id, lease, .. } => {
                self.on_read_index(state, now, (from, id, lease), out);
            }
            // What this replica asked for as a follower is refused since.
            Message::ReadIndexReply { .. } => {}
            Message::SnapshotReply { result, .. } => {
                self.hear(state, now, from);
                self.on_snapshot_reply(state, from, result, out);
            }
        }
    }

    fn hear(&mut self, state: &State, now: Time, from: NodeId) {
        if !self.progress.contains_key(&from) {
            return;
        }
        self.heirs.hear(from, now, state.config.election_timeout());
        if state.config.check_quorum() {
            self.following.hear(from);
        }
    }

    fn on_append_reply(
        &mut self,
        state: &mut State,
        now: Time,
        from: NodeId,
        result: AppendResult,
        out: &mut Effects<Raft>,
    ) {
        let Some(progress) = self.progress.get_mut(&from) else { return };
        match result {
            AppendResult::Matched(index) if index <= state.log.last_index() => {
                progress.on_matched(index);
                progress.leave_snapshot(state.log.base());
            }
            AppendResult::Matched(index) => {
                tracing::error!(%from, %index, "a follower claims more than the leader has");
                return;
            }
            AppendResult::Conflict { refused, .. } if !progress.is_news(refused) => return,
            AppendResult::Conflict { hint, hint_term, .. } => {
                // Where my entries are of a later term than the follower's, they cannot agree with
                // it (5.3).
                let agree = match state.has_bug(Mutant::PurgedLeaderProbesOn) {
                    true => state.log.last_not_after(hint_term, hint).0,
                    false => state.log.may_agree(hint, hint_term),
                };
                if state.has_bug(Mutant::FollowersAssumedEqual) {
                    *progress = Progress::new(agree);
                }
                progress.on_conflict(agree);
                if state.has_bug(Mutant::RejectionAdvancesMatch) {
                    progress.on_matched(agree);
                }
            }
        }
        replicate(state, from, progress, out);
        self.try_commit(state, now, out);
    }

    fn on_heartbeat_reply(
        &mut self,
        state: &mut State,
        now: Time,
        from: NodeId,
        (round, promise): (u64, Option<Duration>),
        out: &mut Effects<Raft>,
    ) {
        let Some(progress) = self.progress.get_mut(&from) else { return };
        if round > self.reads.round() {
            tracing::error!(%from, round, "a follower answers a round that was never started");
            return;
        }
        progress.on_heartbeat(round);
        if state.has_bug(Mutant::HeartbeatReplyAdvancesMatch) {
            progress.on_matched(progress.next().previous());
        }
        replicate(state, from, progress, out);
        self.on_promise(state, now, (from, round, promise));
        self.advance_reads(state, now, out);
    }

    /// Moves the commit index to what a majority holds durably, this replica's own disk included.
    fn try_commit(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) {
        let unsynced = state.has_bug(Mutant::LeaderCountsUnsynced);
        let own = if unsynced { state.log.last_index() } else { state.stable() };
        let stand_in = self.stand_in(state, own);
        let held = state.quorum(Mutant::CommitQuorumOffByOne).reached(|node| {
            if node == state.id() {
                return own;
            }
            let borrowed = stand_in.filter(|(voter, _)| *voter == node).map(|(_, index)| index);
            self.matched(node).max(borrowed.unwrap_or_default())
        });
        if held <= state.committed() {
            return;
        }
        // Counting replicas may only commit entries of the current term; all before follow (5.4.2).
        let own_term = state.log.term_at(held) == TermAt::Known(state.term());
        if !own_term && !state.has_bug(Mutant::CommitCountingOldTerms) {
            return;
        }

        state.commit_to(held, |at| self.proposals.commit(at), out);
        self.replicate_to_learners(state, out);
        self.advance_changes(state, now, out);
        self.advance_reads(state, now, out);
    }
}

/// Returns the bytes of commands that a new leader finds in its log and that are not committed.
fn inherited_bytes(state: &State) -> usize {
    // After a restart nobody has told yet what of the log is committed: most of it is.
    let is_told = state.log.get(state.committed()).is_some();
    if is_told { state.log.bytes_after(state.committed()) } else { 0 }
}

impl Step<Raft> for Leader {
    fn name(&self) -> &'static str {
        "leader"
    }

    fn followers(&self, _: &State) -> Vec<(NodeId, Index)> {
        self.progress().map(|(peer, progress)| (peer, progress.matched())).collect()
    }

    fn step(
        &mut self,
        state: &mut State,
        now: Time,
        input: Input<Raft>,
        out: &mut Effects<Raft>,
    ) -> Next<Raft> {
        self.get_up(state, now);
        match input {
            Input::Tick => return self.on_tick(state, now, out),
            Input::Receive { from, message } => self.on_receive(state, now, from, message, out),
            Input::Submit(submissions) => self.on_submit(state, submissions, out),
            Input::Persisted { upto } => {
                state.on_persisted(upto, out);
                self.try_commit(state, now, out);
            }
            Input::Snapshot(report) => return self.on_report(state, report, out),
            Input::Control(Control::TakeSnapshot) => state.take_asked_snapshot(out),
            Input::Control(Control::MakeRoom) => state.make_room(out),
            Input::Control(Control::Read(reads)) => self.on_read(state, now, reads, out),
            Input::Control(Control::Transfer { ticket, to }) => {
                self.on_transfer(state, now, (ticket, to), out);
            }
            Input::Control(Control::Change { ticket, change }) => {
                self.on_change(state, now, (ticket, change), out);
            }
            Input::Control(Control::Resign { ticket }) => {
                state.resign();
                self.on_transfer(state, now, (ticket, None), out);
            }
            Input::Control(Control::StorageFull(full)) => state.set_storage_full(full),
            Input::Control(Control::Behind(behind)) => state.behind = behind,
            Input::Control(Control::Silent(peer)) => self.on_reach(state, peer, false, out),
            Input::Control(Control::Alive(peer)) => self.on_reach(state, peer, true, out),
        }
        Next::Stay
    }

    fn retire(&mut self, state: &mut State, out: &mut Effects<Raft>) {
        // The entries are in the log and a later leader may commit them: nobody knows yet.
        let denies = state.has_bug(Mutant::LostLeadDeniesCommands);
        for ticket in self.proposals.end() {
            let unknown = SubmitError::LeadershipLost;
            let error = if denies { SubmitError::NotLeader { leader: None } } else { unknown };
            out.push(Effect::Answer { ticket, error });
        }
        if state.has_bug(Mutant::DeposedLeaderAnswersReads) {
            let at = state.committed();
            let reads = self.reads.drain().into_iter();
            reads.for_each(|ticket| out.push(Effect::ReadReady { ticket, at }));
        }
        for ticket in self.changes.drain() {
            out.push(Effect::Answer { ticket, error: SubmitError::LeadershipLost });
        }
        state.refuse_tickets(self.reads.drain(), out);
    }
}
