//! The Candidate: asks for votes in a term of its own (5.2).

use std::hash::Hasher;

use super::{
    Raft, follower::Follower, leader::Leader, message::Message, mutant::Mutant,
    pre_candidate::PreCandidate, state::State, transfer::Summons,
};
use crate::{
    members::NodeId,
    process::{Effect, Effects, Input, Token},
    quorum::{Tally, Verdict},
    role::{Next, Step},
    time::Time,
};

/// Proof that a majority voted for this replica in its current term; only a candidate can make one.
#[derive(Debug)]
pub(super) struct Elected(());

/// The role of a replica that campaigns.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The record of the vote for oneself, which counts once it is durable like any other vote.
    own_vote: Token,
    tally: Tally,
}

impl Candidate {
    /// Starts an election: a new term, a vote for oneself, and a request to everybody else.
    pub(super) fn campaign(
        summons: Summons,
        state: &mut State,
        now: Time,
        out: &mut Effects<Raft>,
    ) -> Self {
        let own_vote = state.start_term(out);
        state.reset_election_timer(now);
        let transfer = matches!(summons, Summons::Told(_));
        let candidate = Self { own_vote, tally: Tally::default() };
        for peer in state.other_voters() {
            // Held back until the term, and with it the whole log that the request boasts of, is
            // durable (RAFT-P04).
            out.push(Effect::Send {
                to: state.config.peer(peer),
                message: Message::Vote {
                    term: state.term(),
                    last_index: state.log.last_index(),
                    last_term: state.log.last_term(),
                    transfer,
                },
                after: Some(own_vote).filter(|_| !state.has_bug(Mutant::CampaignNotDurable)),
            });
        }
        candidate
    }

    /// Feeds what [`Raft::fingerprint`] promises to `out`.
    pub(super) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        // Its own vote is the state's present one.
        let Self { own_vote: _, tally } = self;
        tally.fingerprint(name, out);
    }

    fn on_tick(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) -> Next<Raft> {
        match state.timed_out(now) {
            // Who does not win may have lost its majority since it asked: it asks again.
            Some(proof) if state.asks_first() => {
                Next::Become(PreCandidate::canvass(proof, state, now, out).into())
            }
            Some(proof) => {
                let mut next = Self::campaign(Summons::TimedOut(proof), state, now, out);
                if state.has_bug(Mutant::TallyKeptAcrossTerms) {
                    next.tally = std::mem::take(&mut self.tally);
                }
                Next::Become(next.into())
            }
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
            Message::Vote { .. } => {
                // This term's vote is its own.
                let granted = state.has_bug(Mutant::CandidateVotesForAnother);
                let reply = Message::VoteReply { term: state.term(), granted };
                state.reply(from, reply, out);
                Next::Stay
            }
            Message::VoteReply { granted, .. } => self.on_vote(state, now, from, granted, out),
            // Somebody else has won this term: follow (5.2).
            Message::Append { .. }
            | Message::Heartbeat { .. }
            | Message::Rest { .. }
            | Message::TimeoutNow { .. }
            | Message::InstallSnapshot { .. } => {
                Next::Redeliver(Follower::new().into(), Input::Receive { from, message })
            }
            // Answers to what this replica sent as a leader of an earlier term cannot be of this
            // one.
            Message::PreVoteReply { .. }
            | Message::AppendReply { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndexReply { .. }
            | Message::RestReply { .. }
            | Message::SnapshotReply { .. } => Next::Stay,
            // Only a leader can tell.
            Message::ReadIndex { .. } => Next::Stay,
        }
    }

    /// Counts a vote, its own included.
    fn on_vote(
        &mut self,
        state: &mut State,
        now: Time,
        from: NodeId,
        granted: bool,
        out: &mut Effects<Raft>,
    ) -> Next<Raft> {
        let uncounted = || state.membership().members().find(|voter| !self.tally.has(*voter));
        let doubles = state.has_bug(Mutant::DuplicateVotesCount);
        let voter = if doubles { uncounted().unwrap_or(from) } else { from };
        if state.membership().is_voter(voter) {
            self.tally.count(voter, granted);
        }
        match state.quorum(Mutant::VoteQuorumOffByOne).verdict(&self.tally) {
            Verdict::Won => Next::Become(Leader::new(Elected(()), state, now, out).into()),
            Verdict::Lost => Next::Become(Follower::new().into()),
            Verdict::Pending => Next::Stay,
        }
    }
}

impl Step<Raft> for Candidate {
    fn name(&self) -> &'static str {
        "candidate"
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
            Input::Persisted { upto } => {
                state.on_persisted(upto, out);
                if upto >= self.own_vote {
                    return self.on_vote(state, now, state.id(), true, out);
                }
            }
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
