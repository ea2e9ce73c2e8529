//! The reads of a proposer that follows: it asks the leader how far they must see.
//!
//! One request is out at a time and stands for all reads that waited when it left; what comes
//! meanwhile waits for the next. A request that stays unanswered is sent again under its id, and
//! given up after an election timeout.

use super::state::State;
use crate::{
    error::SubmitError,
    log::Index,
    multi_paxos::{Message, Role},
    process::{Effect, Effects, Ticket},
    read::{Read, ReadLevel},
    time::Time,
};

/// Reads that wait for the leader's word.
#[derive(Clone, Debug, Default)]
pub(super) struct Asking {
    waiting: Vec<Read>,
    out: Option<Request>,
}

/// A request for a read index that has no answer yet.
#[derive(Clone, Debug)]
struct Request {
    /// No other request of this node has it, in this life or another.
    id: u64,
    reads: Vec<Read>,
    /// Whether all of them may rest on a lease.
    lease: bool,
    asked_at: Time,
    /// When to send it again: it or its answer may have been lost.
    due: Time,
}

impl Asking {
    /// Takes reads, as many as the window has room for.
    pub(super) fn on_read(
        &mut self,
        state: &mut State,
        now: Time,
        reads: Vec<Read>,
        out: &mut Effects<Role>,
    ) {
        if state.leader().is_none() {
            return state.read_without_leader(now, reads, out);
        }

        let limit = state.config.proposals_max();
        for read in reads {
            let Some(read) = state.read_here(now, read, out) else { continue };
            if self.len() >= limit {
                let error = SubmitError::Busy { limit };
                out.push(Effect::Answer { ticket: read.ticket, error });
            } else {
                self.waiting.push(read);
            }
        }
        self.ask(state, now, out);
    }

    /// Sends the request again if it is due, or gives it up: the leader does not answer.
    pub(super) fn on_tick(&mut self, state: &mut State, now: Time, out: &mut Effects<Role>) {
        let patience = state.config.election_timeout();
        if let Some(request) = self.out.take_if(|request| now >= request.asked_at + patience) {
            state.read_without_leader(now, request.reads, out);
            self.ask(state, now, out);
        } else if let Some(request) = self.out.as_mut().filter(|request| now >= request.due) {
            request.due = now + state.config.heartbeat();
            send(state, (request.id, request.lease), out);
        }
    }

    /// The reads of a request may be answered once `index` is applied.
    pub(super) fn on_reply(
        &mut self,
        state: &mut State,
        now: Time,
        (id, index): (u64, Index),
        out: &mut Effects<Role>,
    ) {
        // An answer to a request that was given up, or a second one.
        let Some(request) = self.out.take_if(|request| request.id == id) else { return };

        for read in request.reads {
            out.push(Effect::ReadReady { ticket: read.ticket, at: index });
        }
        // What may rest on a lease is no proof for reads that do not bear that.
        if !request.lease {
            state.confirm(request.asked_at, index);
        }
        self.ask(state, now, out);
    }

    /// Takes all reads: the office ends.
    pub(super) fn drain(&mut self) -> Vec<Ticket> {
        let out = self.out.take().map(|request| request.reads).unwrap_or_default();
        let reads = out.into_iter().chain(self.waiting.drain(..));
        reads.map(|read| read.ticket).collect()
    }

    /// Sends a request for what waits, unless one is out.
    fn ask(&mut self, state: &mut State, now: Time, out: &mut Effects<Role>) {
        if self.waiting.is_empty() || self.out.is_some() {
            return;
        }
        let id = state.next_read_id();
        let reads = std::mem::take(&mut self.waiting);
        let lease = reads.iter().all(|read| read.level == ReadLevel::Lease);
        let due = now + state.config.heartbeat();
        self.out = Some(Request { id, reads, lease, asked_at: now, due });
        send(state, (id, lease), out);
    }

    fn len(&self) -> usize {
        self.waiting.len() + self.out.as_ref().map_or(0, |request| request.reads.len())
    }
}

fn send(state: &State, (id, lease): (u64, bool), out: &mut Effects<Role>) {
    let Some(leader) = state.leader() else { return };
    let (to, message) = (state.config.proposer(leader), Message::ReadIndex { id, lease });
    out.push(Effect::Send { to, message, after: None });
}
