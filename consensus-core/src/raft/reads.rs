//! Linearizable reads by ReadIndex (8; dissertation 6.4).
//!
//! A read sees everything that was committed when it arrived, so it waits until a round of
//! heartbeats that started after its arrival has confirmed that no later leader could have
//! committed more. One round confirms all that waited for it, the leader's own reads and those of
//! followers that ask how far theirs must see; whoever comes while a round is out waits for the
//! next.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    mem,
};

use crate::{log::Index, members::NodeId, process::Ticket, time::Time};

/// The reads of a tenure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// The latest round; it never repeats within the tenure, whatever clients send (RAFT-P17).
    round: u64,
    waiting: Batch,
    confirming: Option<Confirming>,
}

/// A round that is out.
#[derive(Clone, Debug)]
struct Confirming {
    round: u64,
    started_at: Time,
    /// What its reads must see.
    index: Index,
    reads: Batch,
}

/// Reads that one round confirms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    /// The leader's own.
    pub(crate) tickets: Vec<Ticket>,
    /// Followers that ask, each with its latest request: who asks anew has given up the last.
    pub(crate) requests: BTreeMap<NodeId, u64>,
}

impl Reads {
    /// Returns how many of the leader's own reads wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.tickets.len()
            + self.confirming.as_ref().map_or(0, |out| out.reads.tickets.len())
    }

    /// Tells whether nobody reads.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.confirming.is_none()
    }

    /// Returns the latest round, for heartbeats.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Lets heartbeats be told from those before.
    pub(crate) fn advance(&mut self) {
        self.round += 1;
    }

    /// Adds a read.
    pub(crate) fn push(&mut self, ticket: Ticket) {
        self.waiting.tickets.push(ticket);
    }

    /// Adds a read to the round that is out, as a known bug does.
    pub(crate) fn join(&mut self, ticket: Ticket) {
        match &mut self.confirming {
            Some(out) => out.reads.tickets.push(ticket),
            None => self.push(ticket),
        }
    }

    /// Adds a follower's request. One that comes again while a round for it is out waits for that.
    pub(crate) fn ask(&mut self, follower: NodeId, id: u64) {
        let asked = self.confirming.as_ref().and_then(|out| out.reads.requests.get(&follower));
        let is_out = asked.is_some_and(|asked| *asked == id);
        if !is_out {
            self.waiting.requests.insert(follower, id);
        }
    }

    /// Starts a round for what waits, unless one is out; true if heartbeats must go.
    pub(crate) fn start(&mut self, now: Time, committed: Index, reuses_round: bool) -> bool {
        if self.waiting.is_empty() || self.confirming.is_some() {
            return false;
        }
        if !(reuses_round && self.round > 0) {
            self.round += 1;
        }
        let (round, reads) = (self.round, mem::take(&mut self.waiting));
        self.confirming = Some(Confirming { round, started_at: now, index: committed, reads });
        true
    }

    /// Takes the reads of the round that is out, if a majority has answered it, with when it
    /// started and what they must see.
    pub(crate) fn confirmed(&mut self, by_majority: u64) -> Option<(Time, Index, Batch)> {
        let out = self.confirming.take_if(|out| out.round <= by_majority)?;
        Some((out.started_at, out.index, out.reads))
    }

    /// Takes the leader's own reads, answered or not: the tenure ends. Followers learn that of the
    /// next leader.
    pub(crate) fn drain(&mut self) -> Vec<Ticket> {
        let confirming = self.confirming.take().map(|out| out.reads).unwrap_or_default();
        let waiting = mem::take(&mut self.waiting);
        confirming.tickets.into_iter().chain(waiting.tickets).collect()
    }

    pub(crate) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        let Self { round, waiting, confirming } = self;
        round.hash(out);
        waiting.fingerprint(name, out);
        confirming.as_ref().map(|it| (it.round, it.index)).hash(out);
        confirming.iter().for_each(|it| it.reads.fingerprint(name, out));
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.requests.is_empty()
    }

    fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        let Self { tickets, requests } = self;
        tickets.hash(out);
        let requests = requests.iter().map(|(follower, id)| (name(*follower), id));
        requests.collect::<BTreeMap<_, _>>().hash(out);
    }
}
