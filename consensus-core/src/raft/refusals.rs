//! Whom a replica hears, and what it says where it does not do what it was asked for.

use super::{
    Control, Raft,
    message::{AppendResult, Message, Term},
    state::State,
};
use crate::{
    error::SubmitError,
    log::Index,
    members::NodeId,
    process::{Effect, Effects, Submission, Ticket},
    time::Time,
};

impl State {
    /// Tells whether a message is to be read: it comes from another node and could be a replica's.
    ///
    /// Who is unknown here may be a member all the same, of a configuration that this replica has
    /// not heard of: it is followed, and has its vote (RAFT-P25). Who was removed for good, and
    /// does not know it, campaigns in vain.
    pub(super) fn admits(&self, from: NodeId, message: &Message) -> bool {
        let campaigns = matches!(message, Message::PreVote { .. } | Message::Vote { .. });
        let is_gone = || self.membership_at(self.committed()).is_retired(from);
        from != self.id() && self.believes(message) && !(campaigns && is_gone())
    }

    /// Tells whether a message is to be acted on: it is admitted and of the present term. The
    /// sender of an earlier term is told that it is over (5.1).
    pub(super) fn hears(&self, from: NodeId, message: &Message, out: &mut Effects<Raft>) -> bool {
        if !self.admits(from, message) {
            return false;
        }
        if self.takes_for_present(message) {
            return true;
        }
        if message.term() < self.term() {
            self.answer_stale(from, message, out);
            return false;
        }
        // A later term was adopted before, but for a campaign against a leader that is heard of.
        message.term() == self.term() || message.is_tentative()
    }

    /// Tells the sender of a message of an earlier term that its term is over (5.1).
    pub(super) fn answer_stale(&self, to: NodeId, message: &Message, out: &mut Effects<Raft>) {
        let term = self.term();
        match message {
            Message::Vote { .. } => {
                self.reply(to, Message::VoteReply { term, granted: false }, out);
            }
            Message::Append { prev_index, .. } => {
                let (hint, hint_term) = (Index::ZERO, Term::default());
                let result = AppendResult::Conflict { refused: *prev_index, hint, hint_term };
                self.reply(to, Message::AppendReply { term, result }, out);
            }
            Message::Rest { .. } => {
                let priority = self.willingness();
                let round = 0;
                let message = Message::HeartbeatReply { term, round, priority, promise: None };
                self.reply(to, message, out);
            }
            Message::Heartbeat { round, .. } => {
                let (round, priority) = (*round, self.willingness());
                let message = Message::HeartbeatReply { term, round, priority, promise: None };
                self.reply(to, message, out);
            }
            // The term is what counts; it acknowledges nothing.
            Message::InstallSnapshot { .. } => {
                let result = AppendResult::Matched(Index::ZERO);
                self.reply(to, Message::AppendReply { term, result }, out);
            }
            Message::PreVote { .. } => {
                self.reply(to, Message::PreVoteReply { term, granted: false }, out);
            }
            Message::PreVoteReply { .. }
            | Message::VoteReply { .. }
            | Message::AppendReply { .. }
            | Message::HeartbeatReply { .. }
            // Who asks has not heard of the new leader yet, and soon will.
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::TimeoutNow { .. }
            | Message::RestReply { .. }
            | Message::SnapshotReply { .. } => {}
        }
    }

    /// Does what a role that does not lead makes of its host's and of operators' words.
    pub(super) fn on_control(&mut self, now: Time, control: Control, out: &mut Effects<Raft>) {
        match control {
            Control::TakeSnapshot => self.take_asked_snapshot(out),
            Control::MakeRoom => self.make_room(out),
            Control::Read(reads) => self.read_without_leader(now, reads, out),
            Control::Transfer { ticket, .. } | Control::Change { ticket, .. } => {
                self.refuse_tickets([ticket], out);
            }
            Control::Resign { ticket } => self.on_resign(ticket, out),
            Control::StorageFull(full) => self.set_storage_full(full),
            Control::Behind(behind) => self.behind = behind,
            Control::Silent(_) | Control::Alive(_) => {}
        }
    }

    /// Refuses commands, since this replica does not lead.
    pub(super) fn refuse(&self, submissions: Vec<Submission>, out: &mut Effects<Raft>) {
        self.refuse_tickets(submissions.into_iter().map(|submission| submission.ticket), out);
    }

    /// Refuses whatever the tickets stand for, since this replica does not lead.
    pub(super) fn refuse_tickets(
        &self,
        tickets: impl IntoIterator<Item = Ticket>,
        out: &mut Effects<Raft>,
    ) {
        let leader = self.leader().filter(|leader| *leader != self.id());
        for ticket in tickets {
            out.push(Effect::Answer { ticket, error: SubmitError::NotLeader { leader } });
        }
    }
}
