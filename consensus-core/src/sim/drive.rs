//! A node's disk with the real journal on it, and the faults of both.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    fault::{Fault, Faults},
    random::Random,
};
use crate::{
    journal::{
        Config, Disk, DiskError, Journal, JournalError, JournalId, MemoryDisk, Operation, Recovered,
    },
    process::{GroupId, Token},
};

/// A disk whose next write may go astray.
#[derive(Debug, Default)]
pub(super) struct Platter {
    disk: MemoryDisk,
    /// By how many sectors the next write misses its place.
    astray: Option<u64>,
    /// Whether one did since it was asked last.
    missed: bool,
}

const SECTOR_BYTES: u64 = 512;

impl Disk for Platter {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn read(&mut self, file: &str) -> Result<Bytes, DiskError> {
        self.disk.read(file)
    }

    fn read_at(&mut self, file: &str, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        self.disk.read_at(file, offset, length)
    }

    fn create(&mut self, file: &str, length: u64) -> Result<(), DiskError> {
        self.disk.create(file, length)
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let length = self.disk.contents(file).map_or(0, |contents| contents.len() as u64);
        let Some(sectors) = self.astray.take() else { return self.disk.write(file, offset, bytes) };
        let room = length.saturating_sub(bytes.len() as u64) / SECTOR_BYTES + 1;
        let place = (offset / SECTOR_BYTES + sectors) % room * SECTOR_BYTES + offset % SECTOR_BYTES;
        let fits = place != offset && place + bytes.len() as u64 <= length;
        self.missed |= fits;
        self.disk.write(file, if fits { place } else { offset }, bytes)
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.append(file, bytes)
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        self.disk.sync(file)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.disk.remove(file)
    }
}

impl Platter {
    /// Lets `changes` more changes reach it before the process ends.
    pub(super) fn stop_after(&mut self, changes: u64) {
        self.disk.stop_after(changes);
    }

    /// Fails the next operation of a kind.
    pub(super) fn fail_next(&mut self, operation: Operation) {
        self.disk.fail_next(operation);
    }

    /// Leaves no room, or gives it back.
    pub(super) fn set_full(&mut self, full: bool) {
        self.disk.set_capacity(full.then_some(0));
    }

    /// Takes back what was armed and has not happened.
    pub(super) fn mend(&mut self) {
        self.astray = None;
        self.disk.restart();
    }

    /// Changes a bit that was written, chosen by `pick`; false if nothing was.
    pub(super) fn rot(&mut self, pick: u64) -> bool {
        let files = self.disk.list().unwrap_or_default();
        let Some(file) = files.get(pick as usize % files.len().max(1)) else { return false };
        let Some(mut contents) = self.disk.contents(file).map(<[u8]>::to_vec) else {
            return false;
        };
        let written: Vec<usize> =
            (0..contents.len()).filter(|at| contents.get(*at).is_some_and(|b| *b != 0)).collect();
        let Some(place) = written.get((pick >> 16) as usize % written.len().max(1)) else {
            return false;
        };
        let Some(byte) = contents.get_mut(*place) else { return false };
        *byte ^= 1 << ((pick >> 8) % 8);
        let file = file.clone();
        self.disk.replace(&file, contents);
        true
    }

    /// Ends the process, and with the machine's power loses what was not synced, but for the sectors
    /// that are `kept`.
    pub(super) fn end(&mut self, with_power: bool, mut kept: impl FnMut() -> bool) {
        self.astray = None;
        if with_power {
            self.disk.crash_keeping(|_, _| if kept() { SECTOR_BYTES as usize } else { 0 });
        } else {
            self.disk.restart();
        }
    }
}

/// How a commit went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// Records up to this one are durable.
    Durable(Token),
    /// There is no room: what is staged waits.
    Full,
    /// The disk failed, and the process with it.
    Failed(String),
    /// The journal takes no such record.
    Refused(String),
}

/// How a process ended, as far as its disk cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The process ended and the machine did not: the page cache is there.
    Process,
    /// The machine lost its power.
    Power,
}

/// A node's disk, and the journal while the node runs.
#[derive(Debug)]
pub(super) struct Drive {
    group: GroupId,
    id: JournalId,
    config: Config,
    journal: Option<Journal<Platter>>,
    /// The disk while the node is down.
    platter: Platter,
    /// Records that were handed over and are not staged yet.
    queue: VecDeque<(Token, Vec<u8>)>,
    staged: Token,
    random: Random,
    faults: Faults,
}

const DRIVES: u64 = 2 << 32;

impl Drive {
    /// Makes an empty disk for the node of this number.
    pub(super) fn new(
        seed: u64,
        node: u64,
        group: GroupId,
        config: Config,
        faults: Faults,
    ) -> Self {
        Self {
            group,
            id: JournalId(u128::from(node)),
            config,
            journal: None,
            platter: Platter::default(),
            queue: VecDeque::new(),
            staged: Token::default(),
            random: Random::new(seed, DRIVES + node),
            faults,
        }
    }

    /// Opens the journal and returns what it holds.
    ///
    /// # Errors
    /// [`JournalError`], and then the node cannot start.
    pub(super) fn open(&mut self) -> Result<Vec<(Token, Bytes)>, JournalError> {
        let platter = std::mem::take(&mut self.platter);
        // A journal that refuses takes the disk with it; nobody opens it again.
        let (journal, recovered) = Journal::open(platter, self.id, self.config.clone())?;
        self.journal = Some(journal);
        let Recovered { mut records, .. } = recovered;
        let records = records.remove(&self.group).unwrap_or_default();
        self.staged = records.last().map(|(token, _)| *token).unwrap_or_default();
        Ok(records)
    }

    /// Takes a record over.
    pub(super) fn push(&mut self, token: Token, record: Vec<u8>) {
        self.queue.push_back((token, record));
    }

    /// Tells whether anything waits to be durable.
    pub(super) fn is_busy(&self) -> bool {
        let staged = self.journal.as_ref().map_or(0, Journal::staged);
        staged > 0 || !self.queue.is_empty()
    }

    /// Tells whether what waits fills several sectors, or, where no more than that is to be hoped
    /// for, may touch two.
    pub(super) fn is_long(&self, hopeful: bool) -> bool {
        let bytes: usize = self.queue.iter().map(|(_, record)| record.len()).sum();
        let sector = SECTOR_BYTES as usize;
        bytes > if hopeful { 2 * sector } else { sector / 4 }
    }

    /// Writes and syncs what waits, or the older part of it.
    pub(super) fn commit(&mut self) -> Committed {
        let Some(journal) = &mut self.journal else { return Committed::Failed("closed".into()) };
        let count = match self.random.below(4) {
            0 => 1 + self.random.place(self.queue.len()),
            _ => self.queue.len(),
        };
        for _ in 0..count.min(self.queue.len()) {
            let Some((token, record)) = self.queue.pop_front() else { break };
            if let Err(error) = journal.append(self.group, token, &record) {
                return Committed::Refused(error.to_string());
            }
            self.staged = token;
        }
        match journal.commit() {
            Ok(()) => Committed::Durable(self.staged),
            Err(JournalError::Full) => Committed::Full,
            Err(error) => Committed::Failed(error.to_string()),
        }
    }

    /// Gives up records.
    pub(super) fn release(&mut self, before: Token) -> Result<(), JournalError> {
        match &mut self.journal {
            Some(journal) => journal.release(self.group, before),
            None => Ok(()),
        }
    }

    fn disk(&mut self) -> &mut Platter {
        match &mut self.journal {
            Some(journal) => journal.disk_mut(),
            None => &mut self.platter,
        }
    }

    /// Lets `changes` more changes reach the disk before the process ends.
    pub(super) fn stop_after(&mut self, changes: u64) {
        self.disk().stop_after(changes);
    }

    /// Fails the next write or sync.
    pub(super) fn fail_next(&mut self, operation: Operation) {
        self.disk().fail_next(operation);
    }

    /// Leaves no room for another segment, or gives it back.
    pub(super) fn set_full(&mut self, full: bool) {
        self.disk().set_full(full);
    }

    /// Lets the next write go astray.
    pub(super) fn misdirect(&mut self) {
        let sectors = 1 + self.random.below(64);
        self.disk().astray = Some(sectors);
    }

    /// Tells, once, whether a write went astray.
    pub(super) fn take_missed(&mut self) -> bool {
        std::mem::take(&mut self.disk().missed)
    }

    /// Changes a bit that was written; false if nothing was.
    pub(super) fn rot(&mut self) -> bool {
        let pick = self.random.any();
        self.disk().rot(pick)
    }

    /// Takes back what was armed and has not happened.
    pub(super) fn mend(&mut self) {
        self.disk().mend();
    }

    /// Empties the disk, for another incarnation.
    pub(super) fn wipe(&mut self) {
        self.id = JournalId(self.id.0 | 1 << 64);
        self.platter = Platter::default();
        self.staged = Token::default();
    }

    /// Ends the process; returns the faults that this was.
    pub(super) fn stop(&mut self, ending: Ending) -> Faults {
        let mut happened = Faults::NONE;
        if self.is_busy() {
            happened = happened.with(Fault::LostSuffix);
        }
        self.queue.clear();
        if let Some(journal) = self.journal.take() {
            self.platter = journal.into_disk();
        }
        let (random, torn) = (&mut self.random, self.faults.has(Fault::TornWrite));
        let (mut kept, mut lost) = (0_u32, 0_u32);
        self.platter.end(ending == Ending::Power, || {
            let keeps = torn && random.below(2) == 0;
            (kept, lost) = (kept + u32::from(keeps), lost + u32::from(!keeps));
            keeps
        });
        if kept > 0 && lost > 0 {
            happened = happened.with(Fault::TornWrite);
        }
        if lost > 0 {
            happened = happened.with(Fault::LostSuffix);
        }
        happened
    }
}
