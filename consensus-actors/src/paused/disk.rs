//! A disk that fails when it hurts most, and loses what was not synced.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use consensus_core::journal::{Disk, DiskError, MemoryDisk, Operation};

use super::{
    pulse::Pulse,
    random::{Random, Trace},
    tally::Tally,
};
use crate::{journal::NodeDisk, sync::lock};

/// What happens at an operation to come, and ends the life of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trap {
    /// A write fails.
    FailedWrite,
    /// A sync fails, and forgets what it had to write.
    FailedSync,
    /// The power goes after a write, before its sync.
    PowerBeforeSync,
    /// The power goes after a sync, before anybody is told.
    PowerAfterSync,
}

/// What a node leaves behind when it dies.
#[derive(Clone)]
pub(super) struct Platter(Arc<Mutex<Inner>>);

struct Inner {
    disk: MemoryDisk,
    generation: u64,
    random: Random,
    trace: Trace,
    tally: Tally,
    full: bool,
    /// How long each sync keeps the disk busy.
    slowness: Duration,
    trap: Option<(Trap, u64)>,
    sprung: Option<Trap>,
}

impl Platter {
    /// Makes an empty disk.
    pub(super) fn new(random: Random) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            disk: MemoryDisk::new(),
            generation: 0,
            random,
            trace: Trace::default(),
            tally: Tally::default(),
            full: false,
            slowness: Duration::ZERO,
            trap: None,
            sprung: None,
        })))
    }

    /// Returns the disk for the life of `pulse`; those of former lives fail from now on.
    pub(super) fn attach(&self, pulse: Arc<Pulse>) -> NodeDisk {
        lock(&self.0).generation = pulse.life.generation;
        Box::new(Attached { platter: self.clone(), pulse })
    }

    /// Lets `trap` snap at its `operations`-th occasion from now on.
    pub(super) fn set_trap(&self, trap: Trap, operations: u64) {
        lock(&self.0).trap = Some((trap, operations));
    }

    /// Takes the trap away.
    pub(super) fn disarm(&self) {
        lock(&self.0).trap = None;
    }

    /// Tells whether a trap has ended the life of the node.
    pub(super) fn has_failed(&self) -> bool {
        lock(&self.0).sprung.is_some()
    }

    pub(super) fn set_full(&self, full: bool) {
        lock(&self.0).full = full;
    }

    pub(super) fn set_slowness(&self, slowness: Duration) {
        lock(&self.0).slowness = slowness;
    }

    /// Settles what is on the disk after its node died: all of it if the process ended, and of what
    /// was not synced any sectors if the `machine` did.
    pub(super) fn settle(&self, machine: bool) {
        let mut guard = lock(&self.0);
        let Inner { disk, random, sprung, trap, tally, .. } = &mut *guard;
        *trap = None;
        let power = match sprung.take() {
            Some(Trap::PowerBeforeSync | Trap::PowerAfterSync) => true,
            Some(Trap::FailedWrite | Trap::FailedSync) | None => machine,
        };
        if !power {
            return disk.restart();
        }
        let (mut kept, mut lost) = (0, 0);
        disk.crash_keeping(|_, _| {
            let keep = random.chance(500);
            *(if keep { &mut kept } else { &mut lost }) += 1;
            if keep { 512 } else { 0 }
        });
        tally.add("sector lost", lost);
        tally.add("write torn", u64::from(kept > 0 && lost > 0));
    }

    /// Returns the hash of everything that was done, and what was counted.
    pub(super) fn seen(&self) -> (Trace, Tally) {
        let inner = lock(&self.0);
        (inner.trace, inner.tally.clone())
    }
}

impl Inner {
    /// Snaps the trap if this is its occasion.
    fn snap(&mut self, occasion: &[Trap]) -> Option<Trap> {
        let (trap, left) = self.trap.as_mut()?;
        if !occasion.contains(trap) {
            return None;
        }
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        let (trap, _) = self.trap.take()?;
        self.sprung = Some(trap);
        self.tally.add(
            match trap {
                Trap::FailedWrite => "write failed",
                Trap::FailedSync => "sync failed",
                Trap::PowerBeforeSync => "power lost before a sync",
                Trap::PowerAfterSync => "power lost after a sync",
            },
            1,
        );
        Some(trap)
    }
}

/// The disk as one life of a node has it.
struct Attached {
    platter: Platter,
    pulse: Arc<Pulse>,
}

impl Attached {
    fn with<T>(
        &self,
        operation: Operation,
        file: &str,
        act: impl FnOnce(&mut Inner) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let mut inner = lock(&self.platter.0);
        if self.pulse.is_dead() || inner.generation != self.pulse.life.generation {
            return Err(failed(operation, file, "the node is dead"));
        }
        inner.trace.note(&[operation as u64], file.as_bytes());
        act(&mut inner)
    }
}

impl Disk for Attached {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.with(Operation::List, ".", |inner| inner.disk.list())
    }

    fn read(&mut self, file: &str) -> Result<Bytes, DiskError> {
        self.with(Operation::Read, file, |inner| inner.disk.read(file))
    }

    fn read_at(&mut self, file: &str, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        self.with(Operation::Read, file, |inner| inner.disk.read_at(file, offset, length))
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.with(Operation::Write, file, |inner| {
            if inner.full {
                inner.tally.add("disk found full", 1);
                return Err(DiskError::Full);
            }
            inner.disk.append(file, bytes)
        })
    }

    fn create(&mut self, file: &str, length: u64) -> Result<(), DiskError> {
        self.with(Operation::Create, file, |inner| {
            if inner.full {
                inner.tally.add("disk found full", 1);
                return Err(DiskError::Full);
            }
            inner.disk.create(file, length)
        })
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.with(Operation::Write, file, |inner| {
            // A batch ends with its sum.
            let end = bytes.last_chunk::<16>().map_or(bytes, |end| end);
            inner.trace.note(&[offset, bytes.len() as u64], end);
            if inner.snap(&[Trap::FailedWrite]).is_some() {
                inner.disk.fail_next(Operation::Write);
            }
            inner.disk.write(file, offset, bytes)
        })
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        let pulse = &self.pulse;
        self.with(Operation::Sync, file, |inner| {
            inner.tally.add("sync", 1);
            if !inner.slowness.is_zero() {
                inner.tally.add("sync slow", 1);
                pulse.hold_up(inner.slowness);
            }
            match inner.snap(&[Trap::FailedSync, Trap::PowerBeforeSync, Trap::PowerAfterSync]) {
                Some(Trap::FailedSync) => inner.disk.fail_next(Operation::Sync),
                Some(Trap::PowerBeforeSync) => {
                    pulse.die(true);
                    return Err(failed(Operation::Sync, file, "the power is gone"));
                }
                Some(Trap::PowerAfterSync) => pulse.die(true),
                Some(Trap::FailedWrite) | None => {}
            }
            inner.disk.sync(file)
        })
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.with(Operation::Rename, from, |inner| inner.disk.rename(from, to))
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.with(Operation::Remove, file, |inner| inner.disk.remove(file))
    }
}

fn failed(operation: Operation, file: &str, reason: &str) -> DiskError {
    DiskError::Failed { operation, file: file.to_owned(), reason: reason.to_owned() }
}
