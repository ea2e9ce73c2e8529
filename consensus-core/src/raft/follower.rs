//! The Follower: answers candidates and leaders, and campaigns when it hears of neither (5.2).

use std::hash::Hasher;

use super::{
    Raft,
    asking::Asking,
    candidate::Candidate,
    message::{AppendResult, Entry, Message, Term},
    mutant::Mutant,
    pre_candidate::PreCandidate,
    state::State,
    transfer::Summons,
};
use crate::{
    log::Index,
    members::NodeId,
    process::{Effects, Input},
    raft::Control,
    role::{Next, Step},
    time::Time,
};

/// The role of a replica that neither leads nor campaigns.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    /// Reads that wait for the leader's word.
    pub(super) asking: Asking,
}

impl Follower {
    /// Makes the role that every replica starts in.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Feeds what [`Raft::fingerprint`] promises to `out`.
    pub(super) fn fingerprint(&self, out: &mut impl Hasher) {
        let Self { asking } = self;
        asking.fingerprint(out);
    }

    fn on_tick(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) -> Next<Raft> {
        if state.is_at_rest() {
            return Next::Stay;
        }
        match state.timed_out(now) {
            Some(proof) if state.asks_first() => {
                Next::Become(PreCandidate::canvass(proof, state, now, out).into())
            }
            Some(proof) => {
                let summons = Summons::TimedOut(proof);
                Next::Become(Candidate::campaign(summons, state, now, out).into())
            }
            None => {
                state.lose_leader(now, out);
                self.asking.on_tick(state, now, out);
                Next::Stay
            }
        }
    }

    fn on_receive(
        &mut self,
        state: &mut State,
        now: Time,
        from: NodeId,
        message: Message,
        out: &mut Effects<Raft>,
    ) -> Next<Raft> {
        if !state.hears(from, &message, out) {
            return Next::Stay;
        }

        match message {
            Message::PreVote { term, last_index, last_term } => {
                state.answer_pre_vote(now, from, term, (last_index, last_term), out);
            }
            Message::Vote { last_index, last_term, transfer, .. } => {
                let end = (state.log.last_index(), state.log.last_term());
                let unchecked = transfer && state.has_bug(Mutant::TransferVoteUnchecked);
                let log = if unchecked { end } else { (last_index, last_term) };
                self.on_vote(state, now, from, log, out);
            }
            Message::Append { prev_index, prev_term, entries, commit, .. } => {
                self.on_leader(state, now, from, out);
                let append = Append { prev_index, prev_term, entries, commit };
                self.on_append(state, from, append, out);
            }
            Message::Heartbeat { commit, round, .. } => {
                self.on_leader(state, now, from, out);
                self.on_heartbeat(state, from, commit, round, out);
            }
            Message::ReadIndexReply { id, index, .. } => {
                self.asking.on_reply(state, now, (id, index), out);
            }
            Message::Rest { commit, .. } => {
                self.on_leader(state, now, from, out);
                self.on_rest(state, from, commit, out);
            }
            Message::TimeoutNow { last_index, last_term, .. } => {
                return self.on_timeout_now(state, now, from, (last_index, last_term), out);
            }
            Message::InstallSnapshot { snapshot, part, bytes, .. } => {
                self.on_leader(state, now, from, out);
                state.on_install_snapshot(from, (snapshot, part), bytes, out);
            }
            // Answers to what this replica asked in a role it no longer holds, and a question that
            // only a leader can answer.
            Message::PreVoteReply { .. }
            | Message::VoteReply { .. }
            | Message::AppendReply { .. }
            | Message::HeartbeatReply { .. }
            | Message::RestReply { .. }
            | Message::ReadIndex { .. }
            | Message::SnapshotReply { .. } => {}
        }
        Next::Stay
    }

    /// Grants the vote to the first candidate of the term whose log is up to date (5.2, 5.4.1).
    fn on_vote(
        &mut self,
        state: &mut State,
        now: Time,
        candidate: NodeId,
        (last_index, last_term): (Index, Term),
        out: &mut Effects<Raft>,
    ) {
        // A repeated request gets the repeated grant: the first may have been lost (RAFT-P10).
        let free = state.is_free_for(candidate) || state.has_bug(Mutant::VotesTwice);
        let up_to_date = state.is_up_to_date(last_index, last_term)
            || state.has_bug(Mutant::VoteWithoutUpToDateCheck);
        let granted = free && up_to_date;
        if granted {
            state.vote_for(candidate, out);
            state.reset_election_timer(now);
        }
        state.reply(candidate, Message::VoteReply { term: state.term(), granted }, out);
    }

    /// A leader of the present term has spoken: follow it and give it time.
    fn on_leader(&mut self, state: &mut State, now: Time, leader: NodeId, out: &mut Effects<Raft>) {
        if state.has_bug(Mutant::VoteForgottenUnderLeader) {
            state.forget_vote();
        }
        state.follow(Some(leader), out);
        state.hear_of_leader(now);
    }

    /// Appends entries after checking that the logs agree up to them (5.3).
    fn on_append(
        &mut self,
        state: &mut State,
        leader: NodeId,
        append: Append,
        out: &mut Effects<Raft>,
    ) {
        let term = state.term();
        let reply = |state: &State, result, out: &mut Effects<Raft>| {
            state.reply(leader, Message::AppendReply { term, result }, out);
        };
        // What lies below the commit index is equal on every replica: say how far this one is.
        if append.prev_index < state.committed() {
            reply(state, AppendResult::Matched(state.committed()), out);
            return;
        }
        if !append.follows(state) {
            let (hint, hint_term) = state.log.last_not_after(append.prev_term, append.prev_index);
            let result = AppendResult::Conflict { refused: append.prev_index, hint, hint_term };
            reply(state, result, out);
            return;
        }
        let covered = Index(append.prev_index.0 + append.entries.len() as u64);
        // No further than this message vouches for: what follows may be another leader's
        // (RAFT-P06).
        let commit = append.commit.min(covered);
        let (after, missing) = append.beyond(state);
        // A full disk takes no entries, nor does a replica that is far behind: no answer is the
        // truth, and the leader will ask again.
        if (state.storage_full() || state.behind) && !missing.is_empty() {
            if state.has_bug(Mutant::FullDiskAcknowledges) {
                reply(state, AppendResult::Matched(covered), out);
            }
            return;
        }

        if !missing.is_empty() {
            if state.has_bug(Mutant::DeleteThenAppend) && after < state.log.last_index() {
                state.delete(after, out);
            }
            state.append(after, missing, out);
        }
        state.commit_to(commit, |_| None, out);
        reply(state, AppendResult::Matched(covered), out);
    }

    /// Learns what is committed, and lets the leader know that it still leads this term.
    fn on_heartbeat(
        &mut self,
        state: &mut State,
        leader: NodeId,
        commit: Index,
        round: u64,
        out: &mut Effects<Raft>,
    ) {
        // The leader bounds it by what this replica acknowledged; a restart or a bug there must not
        // hurt here.
        let commit = commit.min(state.log.last_index());
        state.commit_to(commit, |_| None, out);
        state.reply_heartbeat(leader, round, out);
        state.ask_for_snapshot_if_lost(leader, out);
    }

    /// Campaigns at once: the leader hands over (dissertation 3.10).
    fn on_timeout_now(
        &mut self,
        state: &mut State,
        now: Time,
        leader: NodeId,
        (last_index, last_term): (Index, Term),
        out: &mut Effects<Raft>,
    ) -> Next<Raft> {
        if state.willingness().is_none() {
            // It says so at once: the leader turns to another.
            state.reply_heartbeat(leader, 0, out);
            return Next::Stay;
        }
        let told = state.told_to_campaign(last_index, last_term);
        let Some(summons) = told.map(Summons::Told) else { return Next::Stay };
        Next::Become(Candidate::campaign(summons, state, now, out).into())
    }
}

/// The body of [`Message::Append`].
struct Append {
    prev_index: Index,
    prev_term: Term,
    entries: Vec<Entry>,
    commit: Index,
}

impl Append {
    /// Tells whether the logs agree on the entry before the first (5.3).
    fn follows(&self, state: &State) -> bool {
        let has = self.prev_index <= state.log.last_index();
        state.log.matches(self.prev_index, self.prev_term)
            || state.has_bug(Mutant::GapAccepted) && !has
            || state.has_bug(Mutant::ConflictingPrevAccepted) && has
    }

    /// Returns the entries that the log lacks and the index that they follow.
    ///
    /// Entries that are there already are skipped, and what follows them stays: a shorter or older
    /// Append is no evidence against it (RAFT-P07).
    fn beyond(mut self, state: &State) -> (Index, Vec<Entry>) {
        let log = &state.log;
        if state.has_bug(Mutant::GapAccepted) && self.prev_index > log.last_index() {
            return (log.last_index(), self.entries);
        }
        if state.has_bug(Mutant::TruncateOnOlderAppend) {
            return (self.prev_index, self.entries);
        }
        let any_term = state.has_bug(Mutant::EntriesComparedByIndex);
        let mut after = self.prev_index;
        let mut held = 0;
        while let Some(entry) = self.entries.get(held)
            && (log.matches(after.next(), entry.term) || any_term && after < log.last_index())
        {
            after = after.next();
            held += 1;
        }
        if state.has_bug(Mutant::DeleteThenAppend) && held < self.entries.len() {
            return (self.prev_index, self.entries);
        }
        (after, self.entries.split_off(held))
    }
}

impl Step<Raft> for Follower {
    fn name(&self) -> &'static str {
        "follower"
    }

    fn step(
        &mut self,
        state: &mut State,
        now: Time,
        input: Input<Raft>,
        out: &mut Effects<Raft>,
    ) -> Next<Raft> {
        match input {
            Input::Tick => return self.on_tick(state, now, out),
            Input::Receive { from, message } => {
                return self.on_receive(state, now, from, message, out);
            }
            Input::Submit(submissions) => state.refuse(submissions, out),
            Input::Persisted { upto } => state.on_persisted(upto, out),
            Input::Snapshot(report) => state.on_report(report, out),
            Input::Control(Control::Read(reads)) => {
                self.asking.on_read(state, now, reads, out);
                // It asks again until the leader answers.
                if !self.asking.is_empty() {
                    state.get_up(now);
                }
            }
            Input::Control(control) => state.on_control(now, control, out),
        }
        Next::Stay
    }

    fn retire(&mut self, state: &mut State, out: &mut Effects<Raft>) {
        // The leader is lost, and with it whatever it may have answered.
        state.refuse_tickets(self.asking.drain(), out);
    }
}
