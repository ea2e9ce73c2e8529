//! The commands of a tenure that are not committed yet: how many there are, and what they weigh.

use std::collections::VecDeque;

use super::config::Config;
use crate::{log::Index, process::Ticket};

/// What a leader has taken and not committed.
#[derive(Clone, Debug, Hash)]
pub(super) struct Proposals {
    /// By index, ascending, with the bytes of each.
    tickets: VecDeque<(Index, Ticket, usize)>,
    bytes: usize,
    /// The first entry of the tenure: once it is committed, so is everything before it.
    noop: Index,
    /// The bytes of commands before it.
    inherited: usize,
}

impl Proposals {
    /// Begins a tenure whose first entry is `noop`; what precedes that and is not committed has
    /// `inherited` bytes.
    pub(super) fn begin(noop: Index, inherited: usize) -> Self {
        Self { tickets: VecDeque::new(), bytes: 0, noop, inherited }
    }

    /// Tells whether one more is taken: what is not committed is bounded, whoever proposed it.
    ///
    /// What the protocol itself appends never asks: without it nothing would be committed.
    pub(super) fn has_room(&self, config: &Config) -> bool {
        self.tickets.len() < config.proposals_max()
            && self.bytes + self.inherited < config.proposals_bytes_max()
    }

    /// Takes a command of so many bytes, which will be the entry at `index`.
    pub(super) fn push(&mut self, index: Index, ticket: Ticket, bytes: usize) {
        self.tickets.push_back((index, ticket, bytes));
        self.bytes += bytes;
    }

    /// Notes that the entry at `index` is committed; returns its ticket if it is a command of this
    /// tenure.
    pub(super) fn commit(&mut self, index: Index) -> Option<Ticket> {
        if index == self.noop {
            self.inherited = 0;
        }
        let (_, ticket, bytes) = self.tickets.pop_front_if(|(at, ..)| *at == index)?;
        self.bytes -= bytes;
        Some(ticket)
    }

    /// Ends the tenure: returns the tickets of commands of which nobody knows what comes of them.
    pub(super) fn end(&mut self) -> impl Iterator<Item = Ticket> {
        self.bytes = 0;
        self.tickets.drain(..).map(|(_, ticket, _)| ticket)
    }
}
