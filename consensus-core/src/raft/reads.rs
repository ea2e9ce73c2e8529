//! Linearizable reads by ReadIndex (8; dissertation 6.4).
//!
//! A read sees everything that was committed when it arrived, so it waits until a round of
//! heartbeats that started after its arrival has confirmed that no later leader could have
//! committed more. One round confirms all that waited for it; whoever comes while a round is out
//! waits for the next.

use crate::{log::Index, process::Ticket};

/// The reads of a tenure.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Reads {
    /// The latest round; it never repeats within the tenure, whatever clients send (RAFT-P17).
    round: u64,
    waiting: Vec<Ticket>,
    /// The round that is out, the index that its reads must see, and the reads.
    confirming: Option<(u64, Index, Vec<Ticket>)>,
}

impl Reads {
    /// Returns how many reads wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.confirming.as_ref().map_or(0, |(_, _, reads)| reads.len())
    }

    /// Returns the latest round, for heartbeats.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// Adds a read.
    pub(super) fn push(&mut self, ticket: Ticket) {
        self.waiting.push(ticket);
    }

    /// Adds a read to the round that is out, as a known bug does.
    pub(super) fn join(&mut self, ticket: Ticket) {
        match &mut self.confirming {
            Some((_, _, reads)) => reads.push(ticket),
            None => self.push(ticket),
        }
    }

    /// Starts a round for what waits, unless one is out; true if heartbeats must go.
    pub(super) fn start(&mut self, committed: Index, reuses_round: bool) -> bool {
        if self.waiting.is_empty() || self.confirming.is_some() {
            return false;
        }
        if !(reuses_round && self.round > 0) {
            self.round += 1;
        }
        self.confirming = Some((self.round, committed, std::mem::take(&mut self.waiting)));
        true
    }

    /// Takes the reads of the round that is out, if a majority has answered it.
    pub(super) fn confirmed(&mut self, by_majority: u64) -> Option<(Index, Vec<Ticket>)> {
        let (_, index, reads) = self.confirming.take_if(|(round, _, _)| *round <= by_majority)?;
        Some((index, reads))
    }

    /// Takes all reads, answered or not: the tenure ends.
    pub(super) fn drain(&mut self) -> Vec<Ticket> {
        let confirming = self.confirming.take().map(|(_, _, reads)| reads).unwrap_or_default();
        confirming.into_iter().chain(self.waiting.drain(..)).collect()
    }
}
