//! The log of a replica, and what else it must remember, in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use omnipaxos::{
    ballot_leader_election::Ballot,
    storage::{Entry, NoSnapshot, StopSign, Storage, StorageOp, StorageResult},
};

use crate::put::Put;

impl Entry for Put {
    type Snapshot = NoSnapshot;
}

/// The log of a replica. Copies are the same log: the replica reads what it applies from its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) entries: Vec<Put>,
    promise: Option<Ballot>,
    accepted_round: Option<Ballot>,
    decided: usize,
    stopsign: Option<StopSign>,
}

impl Log {
    /// Returns what is in the log. It is never waited for: its users are of one task.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append_on_prefix(&mut self, from: usize, entries: Vec<Put>) {
        self.entries.truncate(from);
        self.entries.extend(entries);
    }

    fn perform(&mut self, operation: StorageOp<Put>) -> StorageResult<()> {
        match operation {
            StorageOp::AppendEntry(entry) => self.entries.push(entry),
            StorageOp::AppendEntries(entries) => self.entries.extend(entries),
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
