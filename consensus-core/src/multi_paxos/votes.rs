//! What an acceptor has accepted, slot by slot, in memory.

use std::{collections::VecDeque, ops::Range};

use crate::{
    log::Index,
    multi_paxos::{
        ballot::Ballot,
        message::{Value, Vote},
        values::Values,
    },
    remains::Remains,
};

/// Values that were accepted together: a part of a batch, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::multi_paxos) struct Run {
    pub(in crate::multi_paxos) ballot: Ballot,
    /// The slot of the first value.
    pub(in crate::multi_paxos) first: Index,
    batch: Values,
    /// The part of the batch that counts; never empty.
    part: Range<usize>,
}

impl Run {
    fn new(ballot: Ballot, first: Index, batch: Values) -> Self {
        let part = 0..batch.len();
        Self { ballot, first, batch, part }
    }

    /// Returns the last slot.
    pub(in crate::multi_paxos) fn last(&self) -> Index {
        Index(self.first.0 + (self.part.len() as u64 - 1))
    }

    /// Returns the values.
    pub(in crate::multi_paxos) fn values(&self) -> &[Value] {
        self.batch.get(self.part.clone()).unwrap_or_default()
    }

    /// Returns the values behind `after`.
    pub(in crate::multi_paxos) fn values_behind(&self, after: Index) -> &[Value] {
        let known = (after.0 + 1).saturating_sub(self.first.0);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        self.values().get(known..).unwrap_or_default()
    }

    /// Returns the values to be sent: the batch itself where all of it counts.
    pub(in crate::multi_paxos) fn batch(&self) -> Values {
        if self.part.len() == self.batch.len() {
            Values::clone(&self.batch)
        } else {
            self.values().into()
        }
    }

    /// Returns the part up to `upto`, if there is one.
    fn until(&self, upto: Index) -> Option<Self> {
        let count = (upto.0 + 1).checked_sub(self.first.0)?;
        let end = self.part.end.min(self.part.start + usize::try_from(count).ok()?);
        let part = self.part.start..end;
        (!part.is_empty()).then(|| Self { part, ..self.clone() })
    }

    /// Returns the part behind `after`, if there is one.
    pub(in crate::multi_paxos) fn behind(mut self, after: Index) -> Option<Self> {
        let dropped = usize::try_from((after.0 + 1).saturating_sub(self.first.0)).ok()?;
        let start = self.part.start.checked_add(dropped)?;
        self.part.start = start.min(self.part.end);
        self.first = self.first.max(after.next());
        (!self.part.is_empty()).then_some(self)
    }
}

/// How many runs at the end are looked at before all are searched.
const NEAR: usize = 4;

/// What was accepted last in each slot after `base`. Slots may be missing.
#[derive(Clone, Debug, Default)]
pub(in crate::multi_paxos) struct Votes {
    base: Index,
    /// By ascending slots, none of which is in two.
    runs: VecDeque<Run>,
    remains: Remains<Run>,
}

impl Votes {
    /// Returns the last slot that was let go.
    pub(in crate::multi_paxos) fn base(&self) -> Index {
        self.base
    }

    /// Returns the last slot in which anything was accepted, or let go.
    pub(in crate::multi_paxos) fn last(&self) -> Index {
        self.runs.back().map_or(self.base, Run::last)
    }

    /// Returns the ballot in which something was accepted last in a slot.
    pub(in crate::multi_paxos) fn ballot(&self, slot: Index) -> Option<Ballot> {
        self.at(slot).map(|run| run.ballot)
    }

    /// Returns where the first run is that ends at `slot` or later.
    fn position(&self, slot: Index) -> usize {
        // Most of what is asked for is at the end, and the runs may be a hundred thousand.
        let ends_before = |at: usize| self.runs.get(at).is_some_and(|run| run.last() < slot);
        for at in (self.runs.len().saturating_sub(NEAR)..self.runs.len()).rev() {
            if ends_before(at) {
                return at + 1;
            }
        }
        self.runs.partition_point(|run| run.last() < slot)
    }

    /// Tells whether these very slots were accepted in this ballot, all of them.
    pub(in crate::multi_paxos) fn has(&self, ballot: Ballot, first: Index, last: Index) -> bool {
        let mut slot = first.max(self.base.next());
        if slot.max(last) > self.last() {
            return slot > last;
        }
        for run in self.runs.range(self.position(slot)..) {
            if slot > last {
                return true;
            }
            if run.first > slot || run.ballot != ballot {
                return false;
            }
            slot = run.last().next();
        }
        slot > last
    }

    /// Accepts a batch, in the place of whatever was accepted in its slots before.
    pub(in crate::multi_paxos) fn accept(&mut self, ballot: Ballot, first: Index, batch: Values) {
        if batch.is_empty() {
            return;
        }
        self.remains.shrink();
        let run = Run::new(ballot, first, batch);
        if first > self.last() {
            return self.runs.push_back(run);
        }
        let Some(run) = run.behind(self.base) else { return };
        let from = self.position(run.first);
        let upto = self.runs.partition_point(|old| old.first <= run.last());
        let (left, right) = {
            let left = self.runs.get(from).and_then(|old| old.until(run.first.previous()));
            let last = upto.checked_sub(1).and_then(|at| self.runs.get(at));
            (left, last.and_then(|old| old.clone().behind(run.last())))
        };
        let left = left.filter(|left| left.first < run.first);
        let after = self.runs.split_off(upto.max(from));
        self.runs.truncate(from);
        self.runs.extend(left.into_iter().chain([run]).chain(right).chain(after));
    }

    /// Lets go of all slots up to `upto`.
    pub(in crate::multi_paxos) fn forget(&mut self, upto: Index) {
        self.base = self.base.max(upto);
        let gone = self.runs.partition_point(|run| run.last() <= upto);
        // The fewer are moved.
        self.remains.add(if gone <= self.runs.len() / 2 {
            self.runs.drain(..gone).collect()
        } else {
            // As many will come again.
            let mut kept = VecDeque::with_capacity(self.runs.len());
            kept.extend(self.runs.drain(gone..));
            std::mem::replace(&mut self.runs, kept)
        });
        if let Some(first) = self.runs.front_mut()
            && let Some(rest) = first.clone().behind(upto)
        {
            *first = rest;
        }
    }

    /// Drops some of what was let go.
    pub(in crate::multi_paxos) fn on_tick(&mut self) {
        self.remains.on_tick();
    }

    /// Returns what was accepted from slot `first` on.
    pub(in crate::multi_paxos) fn from(&self, first: Index) -> impl Iterator<Item = Run> + '_ {
        let runs = self.runs.range(self.position(first)..);
        runs.filter_map(move |run| run.clone().behind(first.previous()))
    }

    /// Returns the run that a slot is in.
    pub(in crate::multi_paxos) fn at(&self, slot: Index) -> Option<&Run> {
        self.runs.get(self.position(slot)).filter(|run| run.first <= slot)
    }

    /// Returns what was accepted from slot `first` on, as far as it fits into `bytes_max`, one at
    /// the least; and the last slot that this speaks of.
    pub(in crate::multi_paxos) fn page(
        &self,
        first: Index,
        bytes_max: usize,
    ) -> (Vec<Vote>, Index) {
        let (mut votes, mut bytes) = (Vec::new(), 0);
        for run in self.from(first) {
            for (slot, value) in (run.first.0..).map(Index).zip(run.values()) {
                if bytes >= bytes_max {
                    return (votes, slot.previous());
                }
                // An empty command takes room, too.
                bytes += value.size() + 32;
                votes.push(Vote { slot, ballot: run.ballot, value: value.clone() });
            }
        }
        (votes, self.last().max(first.previous()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng, SeedableRng},
    };

    use super::*;
    use crate::{members::NodeId, paxos::Round};

    fn ballot(round: u64) -> Ballot {
        Ballot {
            era: Index::ZERO,
            round: Round(round),
            node: NodeId::new(1).expect("it is positive"),
        }
    }

    fn batch(seed: u64, length: u64) -> Values {
        let value = |n: u64| Value::Command(Bytes::from(format!("{seed}-{n}")));
        (0..length).map(value).collect()
    }

    // Goal: whatever overlaps, in each slot the last that was accepted is there, and what was let go
    // is not. Method: 200 random runs beside a map of slots.
    #[test]
    fn the_last_vote_of_each_slot_counts() {
        for seed in 0..200 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut below = |limit: u64| random.next_u64() % limit;
            let (mut votes, mut map) = (Votes::default(), BTreeMap::new());
            for round in 1..40 {
                let (first, values) = (Index(1 + below(40)), batch(round, below(9)));
                for (slot, value) in (first.0..).zip(values.iter()) {
                    if Index(slot) > votes.base() {
                        map.insert(Index(slot), (ballot(round), value.clone()));
                    }
                }
                votes.accept(ballot(round), first, values);
                if below(6) == 0 {
                    let upto = Index(below(20));
                    votes.forget(upto);
                    map.retain(|slot, _| *slot > upto);
                }
                let start = Index(1 + below(30));
                let (page, upto) = votes.page(start, 33 * 5);
                let read = page.iter().map(|it| (it.slot, (it.ballot, it.value.clone())));
                let known = map.range(start..=upto.max(start.previous().max(start)));
                let known = known.filter(|(slot, _)| **slot <= upto);
                let known: Vec<_> = known.map(|(slot, it)| (*slot, it.clone())).collect();
                assert_eq!(read.collect::<Vec<_>>(), known, "seed {seed}");
                assert!(page.len() <= 6 && (upto < votes.last() || page.len() <= 6));
            }
            for slot in (1..60).map(Index) {
                assert_eq!(votes.ballot(slot), map.get(&slot).map(|(ballot, _)| *ballot));
            }
            let last = map.last_key_value().map_or_else(|| votes.base(), |(slot, _)| *slot);
            assert_eq!(votes.last(), last.max(votes.base()));
        }
    }

    // Goal: a batch that comes again is known, and one of which a slot is missing is not.
    #[test]
    fn a_repeated_batch_is_known() {
        let mut votes = Votes::default();
        votes.accept(ballot(2), Index(3), batch(0, 4));
        votes.accept(ballot(2), Index(7), batch(1, 2));
        assert!(votes.has(ballot(2), Index(4), Index(8)));
        assert!(!votes.has(ballot(2), Index(2), Index(4)));
        assert!(!votes.has(ballot(2), Index(8), Index(9)));
        assert!(!votes.has(ballot(1), Index(4), Index(5)));
        votes.forget(Index(5));
        assert!(votes.has(ballot(2), Index(1), Index(6)), "what was let go was accepted");
    }
}
