//! The log of a replica and its vote: in memory, and, where they are to be durable, in a file.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};
use serde::Serialize;
use tokio::sync::oneshot;

use super::types::{Entry, LogId, Types, Vote};
use crate::durable::{LogFile, encode};

/// The log of a replica; copies read the same log.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    state: Arc<Mutex<State>>,
    file: Option<LogFile>,
}

/// What is in the log. An entry's index is its place.
#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    vote: Option<Vote>,
}

/// What the file is told of.
#[derive(Serialize)]
enum Change<'a> {
    Entries(&'a [Entry]),
    Vote(Vote),
    TruncateAfter(Option<LogId>),
}

impl Log {
    /// Makes a log that is kept in a file, too.
    pub(super) fn durable(file: LogFile) -> Self {
        Self { state: Arc::default(), file: Some(file) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the record of a change, if there is a file to write it to.
    fn record(&self, change: &Change<'_>) -> Option<Vec<u8>> {
        self.file.as_ref()?;
        let mut record = Vec::new();
        encode(change, &mut record);
        Some(record)
    }

    /// Has a record written, if there is one, and `told` called once it is durable.
    fn write(&self, record: Option<Vec<u8>>, told: impl FnOnce(io::Result<()>) + Send + 'static) {
        match self.file.as_ref().zip(record) {
            Some((file, record)) => file.append(record, told),
            None => told(Ok(())),
        }
    }

    /// Waits until a change is durable.
    async fn written(&self, change: &Change<'_>) -> io::Result<()> {
        let (sender, done) = oneshot::channel();
        self.write(self.record(change), |done| drop(sender.send(done)));
        done.await.unwrap_or_else(|_| Err(io::Error::other("the file is gone")))
    }
}

impl State {
    fn read(&self, range: &impl RangeBounds<u64>) -> Vec<Entry> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => *index + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => *index + 1,
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        let to = (to as usize).min(self.entries.len());
        self.entries.get(from as usize..to).unwrap_or_default().to_vec()
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        Ok(self.lock().read(&range))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.lock().vote)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let last_log_id = self.lock().entries.last().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: None, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.lock().vote = Some(*vote);
        self.written(&Change::Vote(*vote)).await
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let record = self.record(&Change::Entries(&entries));
        self.lock().entries.extend(entries);
        self.write(record, |done| flushed.io_completed(done));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let kept = last.map_or(0, |last| last.index + 1);
        self.lock().entries.truncate(kept as usize);
        self.written(&Change::TruncateAfter(last)).await
    }

    async fn purge(&mut self, _: LogId) -> Result<(), io::Error> {
        Err(io::Error::other("nobody asks for logs to be purged"))
    }
}
