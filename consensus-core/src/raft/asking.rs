//! A follower's reads: it asks the leader how far they must see (dissertation 6.4).
//!
//! One request is out at a time and stands for all reads that waited when it left; what comes
//! meanwhile waits for the next. A request that stays unanswered is sent again under its id, and
//! given up after an election timeout.

use std::hash::{Hash, Hasher};

use super::{Raft, message::Message, mutant::Mutant, state::State};
use crate::{
    error::SubmitError,
    log::Index,
    process::{Effect, Effects, Ticket},
    read::{Read, ReadLevel},
    time::Time,
};

/// The reads of a replica that follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Asking {
    waiting: Vec<Read>,
    out: Option<Request>,
}

/// A request for a read index that has no answer yet.
#[derive(Clone, Debug)]
struct Request {
    /// No other request of this replica has it, in this life or another (RAFT-P17).
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
        out: &mut Effects<Raft>,
    ) {
        // A witness would wait for ever until what it does not apply is applied.
        if state.has_no_state() {
            state.refuse_reads(&reads, out);
            return;
        }
        if state.leader().is_none() {
            state.read_without_leader(now, reads, out);
            return;
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
    pub(super) fn on_tick(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) {
        let patience = state.config.election_timeout();
        if let Some(request) = self.out.take_if(|request| now >= request.asked_at + patience) {
            state.read_without_leader(now, request.reads, out);
            self.ask(state, now, out);
        } else if let Some(request) = self.out.as_mut().filter(|request| now >= request.due) {
            request.due = now + state.config.heartbeat();
            if state.has_bug(Mutant::ReadJoinsRepeatedRequest) {
                request.reads.append(&mut self.waiting);
            }
            send(state, (request.id, request.lease), out);
        }
    }

    /// The reads of a request may be answered once `index` is applied.
    pub(super) fn on_reply(
        &mut self,
        state: &mut State,
        now: Time,
        (id, index): (u64, Index),
        out: &mut Effects<Raft>,
    ) {
        // An answer to a request that was given up, or a second one.
        let Some(request) = self.out.take_if(|request| request.id == id) else { return };

        let hasty = state.has_bug(Mutant::FollowerReadsAtLogEnd);
        let at = if hasty { index.min(state.log.last_index()) } else { index };
        for read in request.reads {
            out.push(Effect::ReadReady { ticket: read.ticket, at });
        }
        // What may rest on a lease is no proof for reads that do not bear that.
        if !request.lease {
            let late = state.has_bug(Mutant::StaleTimedAtReply);
            state.confirm(if late { now } else { request.asked_at }, index);
        }
        self.ask(state, now, out);
    }

    /// Sends a request for what waits, unless one is out.
    fn ask(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) {
        if self.waiting.is_empty() || self.out.is_some() {
            return;
        }
        let id = state.next_read_id();
        let reads = std::mem::take(&mut self.waiting);
        let mut levels = reads.iter().map(|read| read.level);
        let lease = match state.has_bug(Mutant::LeaseRequestMixed) {
            true => levels.any(|level| level == ReadLevel::Lease),
            false => levels.all(|level| level == ReadLevel::Lease),
        };
        let due = now + state.config.heartbeat();
        self.out = Some(Request { id, reads, lease, asked_at: now, due });
        send(state, (id, lease), out);
    }

    /// Takes all reads: the role ends.
    pub(super) fn drain(&mut self) -> Vec<Ticket> {
        let out = self.out.take().map(|request| request.reads).unwrap_or_default();
        let reads = out.into_iter().chain(self.waiting.drain(..));
        reads.map(|read| read.ticket).collect()
    }

    /// Tells whether no read waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.waiting.len() + self.out.as_ref().map_or(0, |request| request.reads.len())
    }

    /// Feeds what [`Raft::fingerprint`] promises to `out`.
    pub(super) fn fingerprint(&self, out: &mut impl Hasher) {
        let Self { waiting, out: request } = self;
        waiting.hash(out);
        request.as_ref().map(|request| (request.id, &request.reads)).hash(out);
    }
}

impl State {
    /// Returns an id for a request for a read index that no request has had.
    pub(super) fn next_read_id(&mut self) -> u64 {
        if !self.has_bug(Mutant::ReadIdReused) {
            self.read_id += 1;
        }
        self.read_id
    }
}

fn send(state: &State, (id, lease): (u64, bool), out: &mut Effects<Raft>) {
    let Some(leader) = state.leader() else { return };
    // It speaks in its term, and promises nothing else.
    out.push(Effect::Send {
        to: state.config.peer(leader),
        message: Message::ReadIndex { term: state.term(), id, lease },
        after: state.term_barrier(),
    });
}
