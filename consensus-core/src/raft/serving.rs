//! How a leader serves reads: its own, and those of followers that ask how far theirs must see (8;
//! dissertation 6.4).

use super::{
    Raft, leader::Leader, message::Message, mutant::Mutant, progress::Progress, state::State,
};
use crate::{
    error::SubmitError,
    log::Index,
    members::NodeId,
    process::{Effect, Effects},
    read::{Read, ReadLevel},
    time::Time,
};

impl Leader {
    /// Answers reads from a lease, or has a majority confirm them.
    pub(super) fn on_read(
        &mut self,
        state: &mut State,
        now: Time,
        reads: Vec<Read>,
        out: &mut Effects<Raft>,
    ) {
        self.repose.disturb();
        let limit = state.config.proposals_max();
        let asked = reads.iter().any(|read| state.trusts_clocks(read.level));
        let alone = asked && self.serves_alone(state, now);
        for read in reads {
            let Some(Read { ticket, level }) = state.read_here(now, read, out) else { continue };
            if alone && state.trusts_clocks(level) {
                out.push(Effect::ReadReady { ticket, at: state.committed() });
                continue;
            }
            if self.reads.len() >= limit {
                out.push(Effect::Answer { ticket, error: SubmitError::Busy { limit } });
            } else if state.has_bug(Mutant::ReadUnconfirmed) && state.committed() >= self.noop {
                out.push(Effect::ReadReady { ticket, at: state.committed() });
            } else if state.has_bug(Mutant::ReadJoinsRunningRound) {
                self.reads.join(ticket);
            } else {
                self.reads.push(ticket);
            }
        }
        self.advance_reads(state, now, out);
    }

    /// Answers reads that a majority has confirmed, and starts a round for those that wait.
    pub(super) fn advance_reads(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) {
        // Until an entry of this term is committed, the commit index may lag behind the truth
        // (RAFT-P16).
        if state.committed() < self.noop && !state.has_bug(Mutant::ReadBeforeFirstCommit) {
            return;
        }
        let reuses_round = state.has_bug(Mutant::ReadRoundReused);
        loop {
            let quorum = state.quorum(Mutant::ReadQuorumOffByOne);
            let round = quorum.reached(|node| {
                if node == state.id() {
                    return self.reads.round();
                }
                self.progress.get(&node).map_or(0, Progress::round)
            });
            let Some((asked_at, at, reads)) = self.reads.confirmed(round) else {
                if self.reads.start(now, state.committed(), reuses_round) {
                    self.broadcast_heartbeat(state, now, out);
                    // A group of one has its majority already.
                    continue;
                }
                return;
            };
            let late = state.has_bug(Mutant::StaleTimedAtReply);
            state.confirm(if late { now } else { asked_at }, at);
            for ticket in reads.tickets {
                out.push(Effect::ReadReady { ticket, at });
            }
            for (follower, id) in reads.requests {
                tell_index(state, follower, (id, at), out);
            }
        }
    }

    /// Takes a follower's request for an index that its reads must see.
    pub(super) fn on_read_index(
        &mut self,
        state: &mut State,
        now: Time,
        (follower, id, lease): (NodeId, u64, bool),
        out: &mut Effects<Raft>,
    ) {
        // It does not count as a sign that the follower follows: reads that keep coming must not
        // keep a leader in office that nobody acknowledges (L5).
        let is_first = state.committed() < self.noop;
        let (early, unconfirmed) = (
            is_first && state.has_bug(Mutant::ReadIndexBeforeFirstCommit),
            !is_first && state.has_bug(Mutant::ReadIndexUnconfirmed),
        );
        // Other reads must not rest on clocks, and stand in requests that say so.
        let level = if lease { ReadLevel::Lease } else { ReadLevel::Linearizable };
        let alone = state.trusts_clocks(level) && self.serves_alone(state, now);
        if alone || early || unconfirmed {
            tell_index(state, follower, (id, state.committed()), out);
            return;
        }
        self.reads.ask(follower, id);
        self.advance_reads(state, now, out);
    }
}

/// Answers a follower's request: its reads must see everything up to `index`.
fn tell_index(state: &State, follower: NodeId, (id, index): (u64, Index), out: &mut Effects<Raft>) {
    let message = Message::ReadIndexReply { term: state.term(), id, index };
    out.push(Effect::Send { to: state.config.peer(follower), message, after: None });
}
