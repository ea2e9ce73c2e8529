//! The journal, and who may write to it: its actor, or in its place whoever finds it idle.

use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use consensus_core::{
    GroupId, Token,
    journal::{Journal, JournalError},
};
use tokio::time::Instant;

use super::{GiveUp, NodeDisk};
use crate::sync::lock;

/// How long a sync may have taken, the last time, for a thread that has other work to wait for the
/// next one.
const QUICK: Duration = Duration::from_millis(1);

/// Where the journal is written.
pub(crate) struct Desk {
    writer: Mutex<Writer>,
    /// How many messages are on their way to the actor, or wait for the disk: what they bring comes
    /// before whatever is new.
    unsettled: AtomicUsize,
}

/// Who holds it writes.
pub(crate) struct Writer {
    journal: Journal<NodeDisk>,
    give_up: GiveUp,
    /// How long the last sync took; nobody knows before the first.
    last: Option<Duration>,
}

impl Desk {
    pub(super) fn new(journal: Journal<NodeDisk>, give_up: GiveUp) -> Self {
        let writer = Mutex::new(Writer { journal, give_up, last: None });
        Self { writer, unsettled: AtomicUsize::new(0) }
    }

    /// Waits until nobody else writes.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }

    /// Returns the writer if nobody writes, nothing waits, and a sync takes no longer than to wake
    /// another thread and be woken by it does.
    pub(super) fn idle(&self) -> Option<MutexGuard<'_, Writer>> {
        if self.unsettled.load(Ordering::Acquire) > 0 {
            return None;
        }
        let writer = self.writer.try_lock().ok()?;
        let is_quick = writer.last.is_some_and(|last| last < QUICK);
        (is_quick && writer.journal.staged() == 0).then_some(writer)
    }

    /// Notes a message that is about to be sent to the actor.
    pub(super) fn owe(&self) {
        self.unsettled.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that what so many messages brought is durable.
    pub(super) fn settle(&self, messages: usize) {
        self.unsettled.fetch_sub(messages, Ordering::AcqRel);
    }
}

impl Writer {
    /// Stages records of a group, in order.
    ///
    /// # Errors
    /// As [`Journal::append`]; the node is given up then.
    pub(super) fn stage(
        &mut self,
        group: GroupId,
        records: &[(Token, Vec<u8>)],
    ) -> Result<(), JournalError> {
        for (token, record) in records {
            let staged = self.journal.append(group, *token, record);
            self.judge(staged)?;
        }
        Ok(())
    }

    /// Makes durable what is staged.
    ///
    /// # Errors
    /// As [`Journal::commit`]; the node is given up unless the disk is full.
    pub(super) fn commit(&mut self) -> Result<(), JournalError> {
        let began = Instant::now();
        let committed = self.journal.commit();
        self.last = Some(began.elapsed());
        self.judge(committed)
    }

    /// Gives up records of a group.
    ///
    /// # Errors
    /// As [`Journal::release`]; the node is given up then.
    pub(super) fn release(&mut self, group: GroupId, before: Token) -> Result<(), JournalError> {
        let released = self.journal.release(group, before);
        self.judge(released)
    }

    /// Returns which groups need the oldest segment, if too many wait for it.
    pub(super) fn holders(&self, segments_max: usize) -> Option<(u64, Vec<GroupId>)> {
        self.journal.holders(segments_max)
    }

    fn judge(&mut self, result: Result<(), JournalError>) -> Result<(), JournalError> {
        if let Err(error) = &result
            && !matches!(error, JournalError::Full)
        {
            (self.give_up)(error);
        }
        result
    }
}
