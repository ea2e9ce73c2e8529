//! What is to be written: batches in the order and in the segments in which they will stand.

use std::collections::VecDeque;

use super::batch;
use crate::process::{GroupId, Token};

/// One buffer for all that was appended and not committed, laid out as it will be on the disk.
///
/// A batch ends only where its segment does. So only the first one can go to the segment that is
/// there; each of the others starts a segment.
#[derive(Debug)]
pub(super) struct Staging {
    bytes: Vec<u8>,
    batches: VecDeque<Planned>,
    records: Vec<(GroupId, Token)>,
    /// The longest batch: it fills a segment of its own.
    batch_bytes_max: usize,
}

/// A batch to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    /// Whether it is the first one of a segment that is to be created.
    pub(super) fresh: bool,
    /// How many records are in it.
    pub(super) records: u32,
    /// How long they are.
    records_bytes: usize,
    /// How long the batch may become.
    room: usize,
}

impl Staging {
    pub(super) fn new(batch_bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), batches: VecDeque::new(), records: Vec::new(), batch_bytes_max }
    }

    /// Adds a record, `room` being what the present segment has left for the first batch.
    pub(super) fn push(&mut self, group: GroupId, token: Token, payload: &[u8], room: usize) {
        let record_bytes = batch::RECORD_BYTES + payload.len();
        assert!(batch::extent(record_bytes) <= self.batch_bytes_max, "a record fits a segment");

        let fits =
            |batch: &Planned| batch::extent(batch.records_bytes + record_bytes) <= batch.room;
        if !self.batches.back().is_some_and(fits) {
            self.finish_last();
            let fresh = !self.batches.is_empty() || batch::extent(record_bytes) > room;
            let room = if fresh { self.batch_bytes_max } else { room };
            self.batches.push_back(Planned { fresh, records: 0, records_bytes: 0, room });
            self.bytes.resize(self.bytes.len() + batch::HEADER_BYTES, 0);
        }
        if let Some(last) = self.batches.back_mut() {
            last.records += 1;
            last.records_bytes += record_bytes;
        }
        batch::put_record(&mut self.bytes, group, token, payload);
        self.records.push((group, token));
    }

    /// Returns the batch to be written first.
    pub(super) fn first(&self) -> Option<Planned> {
        self.batches.front().copied()
    }

    /// Returns the bytes of the batch to be written first, up to and with the place of its sum.
    pub(super) fn first_extent(&mut self) -> &mut [u8] {
        if self.batches.len() == 1 {
            self.finish_last();
        }
        let length = self.first().map_or(0, |first| batch::extent(first.records_bytes));
        self.bytes.get_mut(..length).unwrap_or_default()
    }

    /// Removes the batch that was written; returns which records are in it, in order.
    pub(super) fn remove_first(&mut self) -> std::vec::Drain<'_, (GroupId, Token)> {
        let Some(first) = self.batches.pop_front() else {
            return self.records.drain(..0);
        };
        // Nothing moves where the batch is the only one, as it nearly always is.
        self.bytes.drain(..batch::extent(first.records_bytes));
        self.records.drain(..first.records as usize)
    }

    /// Returns how many records are staged.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns how many bytes are staged.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Fills the last batch with zeros to its end; no record is added to it after that.
    fn finish_last(&mut self) {
        if let Some(last) = self.batches.back() {
            let padding =
                batch::extent(last.records_bytes) - batch::HEADER_BYTES - last.records_bytes;
            self.bytes.resize(self.bytes.len() + padding, 0);
        }
    }
}
