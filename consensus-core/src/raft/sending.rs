//! What a replica answers, and what must be durable before the answer leaves.

use super::{Raft, message::Message, state::State};
use crate::{
    members::NodeId,
    process::{Effect, Effects},
};

impl State {
    /// Sends `message` once everything that it rests on is durable.
    pub(super) fn reply(&self, to: NodeId, message: Message, out: &mut Effects<Raft>) {
        let after = self.barrier().filter(|_| !self.is_hasty(&message));
        out.push(Effect::Send { to: self.config.peer(to), message, after });
    }

    /// Answers a heartbeat of the present term.
    ///
    /// The answer promises no more than the term. It keeps its place behind answers that wait for
    /// the disk all the same, or the leader would take those for lost; but a full disk, which may
    /// hold them up for hours, must not hold up reads.
    pub(super) fn reply_heartbeat(&self, to: NodeId, round: u64, out: &mut Effects<Raft>) {
        let after = if self.storage_full() { self.term_barrier() } else { self.barrier() };
        let (term, priority) = (self.term(), self.willingness());
        let promise = self.promise();
        let message = Message::HeartbeatReply { term, round, priority, promise };
        out.push(Effect::Send { to: self.config.peer(to), message, after });
    }
}
