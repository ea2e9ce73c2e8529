//! What acceptors that promised have accepted before, put together slot by slot.

use std::collections::BTreeMap;

use crate::{
    log::Index,
    members::NodeId,
    multi_paxos::{Value, Vote},
    paxos::Ballot,
};

/// A Promise without its ballot.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) first: Index,
    pub(super) votes: Vec<Vote>,
    pub(super) upto: Index,
    pub(super) last: Index,
    pub(super) base: Index,
}

/// The promises of one ballot.
#[derive(Clone, Debug)]
pub(super) struct Pledges {
    /// For each acceptor, the slot from which it has still to speak; `None` once it has spoken of
    /// all.
    next: BTreeMap<NodeId, Option<Index>>,
    /// Of each slot, what was accepted in the latest ballot.
    votes: BTreeMap<Index, (Ballot, Value)>,
    /// Slots up to here were let go by somebody: they are chosen.
    base: Index,
}

/// How many slots nobody has accepted anything in, at most, may lie before one in which somebody
/// has: leaders have fewer in flight, and more than that are made up.
const GAPS_MAX: u64 = 1 << 20;

impl Pledges {
    /// Begins to ask `acceptors` for what they have from `first` on.
    pub(super) fn begin(acceptors: impl Iterator<Item = NodeId>, first: Index) -> Self {
        let next = acceptors.map(|acceptor| (acceptor, Some(first))).collect();
        Self { next, votes: BTreeMap::new(), base: Index::ZERO }
    }

    /// Takes one part of a promise; true if the acceptor has spoken of more than before.
    pub(super) fn take(&mut self, from: NodeId, page: Page) -> bool {
        let Some(Some(next)) = self.next.get_mut(&from).map(Option::as_mut) else { return false };
        // A part that does not follow the ones before says nothing of what lies between.
        if page.first > *next {
            return false;
        }
        // By their slots, wherever the parts of others begin (MPX-P08).
        for Vote { slot, ballot, value } in page.votes {
            match self.votes.get_mut(&slot) {
                Some((latest, _)) if *latest >= ballot => {}
                Some(vote) => *vote = (ballot, value),
                None => drop(self.votes.insert(slot, (ballot, value))),
            }
        }
        self.base = self.base.max(page.base);
        if page.upto >= page.last {
            self.next.insert(from, None);
            return true;
        }
        let is_news = page.upto >= *next;
        *next = (*next).max(page.upto.next());
        is_news
    }

    /// Returns the acceptors that have still to speak, each with the slot from which.
    pub(super) fn missing(&self) -> impl Iterator<Item = (NodeId, Index)> {
        self.next.iter().filter_map(|(acceptor, next)| Some((*acceptor, (*next)?)))
    }

    /// Returns the slot from which an acceptor has still to speak.
    pub(super) fn missing_of(&self, acceptor: NodeId) -> Option<Index> {
        self.next.get(&acceptor).copied().flatten()
    }

    /// Returns how many acceptors have promised and spoken of all slots.
    pub(super) fn complete(&self) -> usize {
        self.next.values().filter(|next| next.is_none()).count()
    }

    /// Returns up to where slots were let go by somebody.
    pub(super) fn base(&self) -> Index {
        self.base
    }

    /// Returns what must be proposed from the slot after `known` on: in each slot the value of the
    /// latest ballot, or nothing where no value can have been chosen (MPX-P03). `None` where the
    /// gaps are too many to be true.
    pub(super) fn values_after(&self, known: Index) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        let (mut at, mut gaps) = (known, 0_u64);
        for (slot, (_, value)) in self.votes.range(known.next()..) {
            let gap = slot.0 - at.0 - 1;
            gaps = gaps.saturating_add(gap);
            if gaps > GAPS_MAX {
                return None;
            }
            values.extend((0..gap).map(|_| Value::NoOp));
            values.push(value.clone());
            at = *slot;
        }
        Some(values)
    }
}
