//! The PreCandidate: asks whether it would get the votes, before it starts a term (dissertation
//! 9.6).

use super::{
    Raft,
    candidate::Candidate,
    follower::Follower,
    message::{Message, Term},
    state::State,
    timer::TimedOut,
    transfer::Summons,
};
use crate::{
    log::Index,
    members::NodeId,
    process::{Effect, Effects, Input},
    quorum::{Tally, Verdict},
    role::{Next, Step},
    time::Time,
};

/// The role of a replica that has heard of no leader and asks whether others have.
///
/// Its term stays as it is, so a replica that is cut off disturbs nobody when it comes back.
#[derive(Clone, Debug)]
pub struct PreCandidate {
    /// What lets it campaign once a majority would vote for it.
    timed_out: TimedOut,
    tally: Tally,
}

impl PreCandidate {
    /// Asks everybody else, and counts itself.
    pub(super) fn canvass(
        timed_out: TimedOut,
        state: &mut State,
        now: Time,
        out: &mut Effects<Raft>,
    ) -> Self {
        state.follow(None, out);
        state.reset_election_timer(now);
        let mut tally = Tally::default();
        tally.count(state.id(), true);
        for peer in state.other_voters() {
            let message = Message::PreVote {
                term: state.term().next(),
                last_index: state.log.last_index(),
                last_term: state.log.last_term(),
            };
            // It promises nothing: the request for votes waits for the disk.
            out.push(Effect::Send { to: state.config.peer(peer), message, after: None });
        }
        Self { timed_out, tally }
    }

    pub(super) fn fingerprint(
        &self,
        name: &impl Fn(NodeId) -> NodeId,
        out: &mut impl std::hash::Hasher,
    ) {
        let Self { timed_out: _, tally } = self;
        tally.fingerprint(name, out);
    }

    fn on_tick(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) -> Next<Raft> {
        match state.timed_out(now) {
            Some(proof) => Next::Become(Self::canvass(proof, state, now, out).into()),
            None => Next::Stay,
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
                Next::Stay
            }
            Message::PreVoteReply { term, granted } => {
                self.on_reply(state, now, from, (term, granted), out)
            }
            // Somebody leads this term, or campaigns in it: that is for a follower to answer.
            Message::Vote { .. }
            | Message::Append { .. }
            | Message::Heartbeat { .. }
            | Message::Rest { .. }
            | Message::TimeoutNow { .. }
            | Message::InstallSnapshot { .. } => {
                Next::Redeliver(Follower::new().into(), Input::Receive { from, message })
            }
            // Answers to what this replica asked in a role it no longer holds.
            Message::VoteReply { .. }
            | Message::AppendReply { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndexReply { .. }
            | Message::RestReply { .. }
            | Message::SnapshotReply { .. } => Next::Stay,
            // Only a leader can tell.
            Message::ReadIndex { .. } => Next::Stay,
        }
    }

    fn on_reply(
        &mut self,
        state: &mut State,
        now: Time,
        from: NodeId,
        (term, granted): (Term, bool),
        out: &mut Effects<Raft>,
    ) -> Next<Raft> {
        // What was granted for another term is no answer to this.
        if granted && term != state.term().next() {
            return Next::Stay;
        }
        if state.membership().is_voter(from) {
            self.tally.count(from, granted);
        }
        match state.membership().verdict(&self.tally) {
            Verdict::Won => {
                let proof = Summons::TimedOut(self.timed_out.clone());
                Next::Become(Candidate::campaign(proof, state, now, out).into())
            }
            Verdict::Lost => Next::Become(Follower::new().into()),
            Verdict::Pending => Next::Stay,
        }
    }
}

impl State {
    /// Tells whether `candidate` would have the vote in `term`; nothing of this replica changes.
    pub(super) fn answer_pre_vote(
        &self,
        now: Time,
        candidate: NodeId,
        term: Term,
        (last_index, last_term): (Index, Term),
        out: &mut Effects<Raft>,
    ) {
        let free = term > self.term() || self.is_free_for(candidate);
        if !free || self.is_loyal(now) || !self.is_up_to_date(last_index, last_term) {
            let message = Message::PreVoteReply { term: self.term(), granted: false };
            self.reply(candidate, message, out);
            return;
        }
        let message = Message::PreVoteReply { term, granted: true };
        out.push(Effect::Send { to: self.config.peer(candidate), message, after: None });
    }
}

impl Step<Raft> for PreCandidate {
    fn name(&self) -> &'static str {
        "precandidate"
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
            Input::Snapshot(report) => {
                state.on_report(report, out);
                // Who has lost its state could not serve.
                if state.is_lost() {
                    return Next::Become(Follower::new().into());
                }
            }
            Input::Control(control) => state.on_control(now, control, out),
        }
        Next::Stay
    }

    fn retire(&mut self, _: &mut State, _: &mut Effects<Raft>) {}
}
