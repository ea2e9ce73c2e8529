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
    pub(super) fn push(&mut self, values: impl IntoIterator<Item = Value>, bytes_max: usize) {
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
