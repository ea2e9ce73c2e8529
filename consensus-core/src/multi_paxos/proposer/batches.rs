//! The slots in which a leader has proposed values that are not chosen yet.
//!
//! Values that are proposed together stay together: an acceptor is always asked to accept a batch as
//! a whole, and does so by one record.

use std::collections::VecDeque;

use crate::{
    log::Index,
    members::NodeId,
    multi_paxos::{Value, Values},
};

/// Values for slots that follow each other, and who has accepted them in the leader's ballot.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) first: Index,
    pub(super) last: Index,
    pub(super) values: Values,
    pub(super) bytes: usize,
    accepted: Vec<NodeId>,
}

/// All batches of a tenure, without those before which everything is chosen.
#[derive(Clone, Debug)]
pub(super) struct Batches {
    /// Everything up to here is chosen.
    chosen: Index,
    /// The last slot that has a value.
    last: Index,
    list: VecDeque<Batch>,
    bytes: usize,
}

/// A value that is empty takes room all the same.
const VALUE_BYTES_MIN: usize = 8;

impl Batches {
    /// Begins after `chosen`.
    pub(super) fn begin(chosen: Index) -> Self {
        Self { chosen, last: chosen, list: VecDeque::new(), bytes: 0 }
    }

    /// Returns up to where everything is chosen.
    pub(super) fn chosen(&self) -> Index {
        self.chosen
    }

    /// Returns the last slot that has a value.
    pub(super) fn last(&self) -> Index {
        self.last
    }

    /// Returns the bytes of values that are not chosen.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether everything that was proposed is chosen.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Gives values to the slots that follow, a batch for each `bytes_max` or so.
    pub(super) fn push(&mut self, values: Vec<Value>, bytes_max: usize) {
        let all: usize = values.iter().map(|value| value.size() + VALUE_BYTES_MIN).sum();
        if (1..bytes_max).contains(&all) {
            return self.push_batch(values, all);
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for value in values {
            bytes += value.size() + VALUE_BYTES_MIN;
            batch.push(value);
            if bytes >= bytes_max {
                self.push_batch(std::mem::take(&mut batch), bytes);
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            self.push_batch(batch, bytes);
        }
    }

    fn push_batch(&mut self, values: Vec<Value>, bytes: usize) {
        let first = self.last.next();
        self.last.0 += values.len() as u64;
        self.bytes += bytes;
        let (last, values, accepted) = (self.last, values.into(), Vec::new());
        self.list.push_back(Batch { first, last, values, bytes, accepted });
    }

    /// Returns the batches from the one at or after `slot` on.
    pub(super) fn from(&self, slot: Index) -> impl Iterator<Item = &Batch> {
        let at = self.list.partition_point(|batch| batch.first < slot);
        self.list.range(at..)
    }

    /// Returns the batch that begins at `first` and is not accepted by `quorum` acceptors.
    pub(super) fn unchosen(&self, first: Index, quorum: usize) -> Option<&Batch> {
        let batch = self.from(first).next().filter(|batch| batch.first == first)?;
        (batch.accepted.len() < quorum).then_some(batch)
    }

    /// Notes that an acceptor has accepted the slots from `first` to `last`.
    pub(super) fn accept(&mut self, by: NodeId, first: Index, last: Index) {
        let at = self.list.partition_point(|batch| batch.first < first);
        for batch in self.list.range_mut(at..).take_while(|batch| batch.last <= last) {
            if !batch.accepted.contains(&by) {
                batch.accepted.push(by);
            }
        }
    }

    /// Drops the batches at the front that are chosen, as `quorum` acceptors have accepted them;
    /// returns those that `own` has not.
    pub(super) fn choose(&mut self, quorum: usize, own: NodeId) -> Vec<(Index, Values)> {
        let mut unheard = Vec::new();
        while let Some(batch) = self.list.pop_front_if(|batch| batch.accepted.len() >= quorum) {
            self.chosen = batch.last;
            self.bytes -= batch.bytes;
            if !batch.accepted.contains(&own) {
                unheard.push((batch.first, batch.values));
            }
        }
        unheard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("tests use positive ids")
    }

    fn values(count: usize) -> Vec<Value> {
        vec![Value::Command("1234".into()); count]
    }

    // Goal: a slot is chosen once enough distinct acceptors have accepted it, in whichever order,
    // and the prefix of chosen slots ends before the first that is not.
    #[test]
    fn chosen_slots_make_a_prefix() {
        let mut batches = Batches::begin(Index(10));
        batches.push(values(5), 24);
        let places: Vec<_> = batches.from(Index(11)).map(|it| (it.first.0, it.last.0)).collect();
        assert_eq!(places, [(11, 12), (13, 14), (15, 15)], "two fill a batch");
        for by in [1, 1, 2] {
            batches.accept(node(by), Index(13), Index(14));
        }
        assert!(batches.choose(2, node(1)).is_empty());
        assert_eq!(batches.chosen(), Index(10));
        assert!(batches.unchosen(Index(13), 2).is_none());
        assert!(batches.unchosen(Index(15), 2).is_some());
        batches.accept(node(2), Index(1), Index(12));
        batches.accept(node(3), Index(11), Index(13));
        let unheard = batches.choose(2, node(1));
        assert_eq!(unheard.iter().map(|(first, _)| first.0).collect::<Vec<_>>(), [11]);
        assert_eq!((batches.chosen(), batches.last()), (Index(14), Index(15)));
        assert_eq!(batches.bytes(), 12);
        batches.accept(node(1), Index(14), Index(u64::MAX));
        batches.accept(node(2), Index(15), Index(15));
        assert!(batches.choose(2, node(1)).is_empty());
        assert!(batches.is_empty() && batches.bytes() == 0);
    }
}
