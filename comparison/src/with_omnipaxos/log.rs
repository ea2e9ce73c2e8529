//! The log of a replica, and what else it must remember: in memory, and, where it is to be durable,
//! as a record of what changed, which whoever drives the replica takes and writes.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use omnipaxos::{
    ballot_leader_election::Ballot,
    storage::{Entry, NoSnapshot, StopSign, Storage, StorageOp, StorageResult},
};
use serde::Serialize;

use crate::{durable, put::Put};

impl Entry for Put {
    type Snapshot = NoSnapshot;
}

/// The log of a replica. Copies are the same log: the replica reads what it applies from its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) entries: Vec<Put>,
    changes: Option<Changes>,
    promise: Option<Ballot>,
    accepted_round: Option<Ballot>,
    decided: usize,
    stopsign: Option<StopSign>,
}

/// What changed since it was taken, in the encoding that is written.
#[derive(Debug, Default)]
struct Changes {
    bytes: Vec<u8>,
    /// Whether something must be durable before others may know of it.
    must: bool,
}

/// One change.
#[derive(Serialize)]
enum Change<'a> {
    Entries { from: usize, entries: &'a [Put] },
    Promise(Ballot),
    AcceptedRound(Ballot),
    Decided(usize),
    Stopsign(&'a Option<StopSign>),
}

impl Log {
    /// Makes a log whose changes are to be taken.
    pub(super) fn recorded() -> Self {
        let changes = Some(Changes::default());
        Self(Arc::new(Mutex::new(State { changes, ..State::default() })))
    }

    /// Returns what is in the log. It is never waited for: its users are of one task.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the record of what changed, if some of it must be durable. What is decided need not:
    /// it is found out anew, and is written with what comes next.
    pub(super) fn take_record(&mut self) -> Option<Vec<u8>> {
        let changes = self.changes.as_mut().filter(|changes| changes.must)?;
        Some(mem::take(changes).bytes)
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Put>) {
        self.record(&Change::Entries { from, entries: &entries });
        self.entries.truncate(from);
        self.entries.extend(entries);
    }

    fn record(&mut self, change: &Change<'_>) {
        if let Some(changes) = &mut self.changes {
            durable::encode(change, &mut changes.bytes);
            changes.must |= !matches!(change, Change::Decided(_));
        }
    }

    fn perform(&mut self, operation: StorageOp<Put>) -> StorageResult<()> {
        match &operation {
            StorageOp::SetPromise(promise) => self.record(&Change::Promise(*promise)),
            StorageOp::SetDecidedIndex(index) => self.record(&Change::Decided(*index)),
            StorageOp::SetAcceptedRound(round) => self.record(&Change::AcceptedRound(*round)),
            StorageOp::SetStopsign(stopsign) => self.record(&Change::Stopsign(stopsign)),
            _ => {}
        }
        match operation {
            StorageOp::AppendEntry(entry) => {
                self.append_on_prefix(self.entries.len(), vec![entry]);
            }
            StorageOp::AppendEntries(entries) => {
                self.append_on_prefix(self.entries.len(), entries);
            }
            StorageOp::AppendOnPrefix(from, entries) => self.append_on_prefix(from, entries),
            StorageOp::SetPromise(promise) => self.promise = Some(promise),
            StorageOp::SetDecidedIndex(index) => self.decided = index,
            StorageOp::SetAcceptedRound(round) => self.accepted_round = Some(round),
            StorageOp::SetStopsign(stopsign) => self.stopsign = stopsign,
            StorageOp::SetCompactedIdx(_) | StorageOp::Trim(_) | StorageOp::SetSnapshot(_) => {
                return Err("nobody asks for logs to be compacted".into());
            }
        }
        Ok(())
    }
}

impl Storage<Put> for Log {
    fn write_atomically(&mut self, operations: Vec<StorageOp<Put>>) -> StorageResult<()> {
        // They are part of one record, as all is that changed since the last one.
        operations.into_iter().try_for_each(|operation| self.lock().perform(operation))
    }

    fn append_entry(&mut self, entry: Put) -> StorageResult<()> {
        self.lock().perform(StorageOp::AppendEntry(entry))
    }

    fn append_entries(&mut self, entries: Vec<Put>) -> StorageResult<()> {
        self.lock().perform(StorageOp::AppendEntries(entries))
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Put>) -> StorageResult<()> {
        self.lock().perform(StorageOp::AppendOnPrefix(from, entries))
    }

    fn set_promise(&mut self, promise: Ballot) -> StorageResult<()> {
        self.lock().perform(StorageOp::SetPromise(promise))
    }

    fn set_decided_idx(&mut self, index: usize) -> StorageResult<()> {
        self.lock().perform(StorageOp::SetDecidedIndex(index))
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        Ok(self.lock().decided)
    }

    fn set_accepted_round(&mut self, round: Ballot) -> StorageResult<()> {
        self.lock().perform(StorageOp::SetAcceptedRound(round))
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.lock().accepted_round)
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Put>> {
        Ok(self.lock().entries.get(from..to).unwrap_or_default().to_vec())
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        Ok(self.lock().entries.len())
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Put>> {
        Ok(self.lock().entries.get(from..).unwrap_or_default().to_vec())
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.lock().promise)
    }

    fn set_stopsign(&mut self, stopsign: Option<StopSign>) -> StorageResult<()> {
        self.lock().perform(StorageOp::SetStopsign(stopsign))
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        Ok(self.lock().stopsign.clone())
    }

    fn trim(&mut self, index: usize) -> StorageResult<()> {
        self.lock().perform(StorageOp::Trim(index))
    }

    fn set_compacted_idx(&mut self, index: usize) -> StorageResult<()> {
        self.lock().perform(StorageOp::SetCompactedIdx(index))
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        Ok(0)
    }

    fn set_snapshot(&mut self, snapshot: Option<NoSnapshot>) -> StorageResult<()> {
        self.lock().perform(StorageOp::SetSnapshot(snapshot))
    }

    fn get_snapshot(&self) -> StorageResult<Option<NoSnapshot>> {
        Ok(None)
    }
}
