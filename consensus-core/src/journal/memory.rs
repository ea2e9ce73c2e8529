//! A disk in memory that can crash, fill up and fail: for tests, the simulator, and journals that
//! need not last.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Disk, DiskError, Operation, segment::SECTOR_BYTES};

/// Files in memory, of which only what was synced survives a [`crash`](Self::crash).
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    files: BTreeMap<String, File>,
    capacity: Option<u64>,
    failing: BTreeSet<Operation>,
    /// How many operations have changed something.
    changes: u64,
    /// The count of changes at which the node stops.
    stop: Option<u64>,
}

#[derive(Clone, Debug)]
struct File {
    /// What a crash leaves.
    durable: Vec<u8>,
    /// What is read.
    current: Vec<u8>,
    /// The sectors in which the two may differ, and which the next sync makes durable.
    unsynced: BTreeSet<usize>,
}

impl MemoryDisk {
    /// Makes an empty disk without a bound.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds the lengths of all files together; `None` for no bound. Files that are there stay.
    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    /// Makes the next `operation` fail.
    ///
    /// A sync that fails forgets what it had to write, as operating systems do: the next one
    /// succeeds without it.
    pub fn fail_next(&mut self, operation: Operation) {
        self.failing.insert(operation);
    }

    /// Lets `changes` more operations change something, and fails those after them as if the node
    /// had stopped.
    pub fn stop_after(&mut self, changes: u64) {
        self.stop = Some(self.changes.saturating_add(changes));
    }

    /// Returns how many operations have changed something: all but lists and reads.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Loses everything that was not synced.
    pub fn crash(&mut self) {
        self.crash_keeping(|_, _| 0);
    }

    /// Loses what was not synced but for what `kept` says; what was to fail or stop works again.
    ///
    /// It is asked for each unsynced sector, by file and offset, how many of the sector's 512 bytes
    /// reached the disk.
    pub fn crash_keeping(&mut self, mut kept: impl FnMut(&str, u64) -> usize) {
        for (name, file) in &mut self.files {
            for sector in std::mem::take(&mut file.unsynced) {
                file.persist(sector, kept(name, (sector * SECTOR_BYTES) as u64));
            }
            file.current.clone_from(&file.durable);
        }
        self.restart();
    }

    /// Loses nothing: the node was stopped and started, and the machine was not. What was to fail
    /// works again.
    pub fn restart(&mut self) {
        self.failing.clear();
        self.stop = None;
    }

    /// Returns what a read of `file` would.
    pub fn contents(&self, file: &str) -> Option<&[u8]> {
        self.files.get(file).map(|file| file.current.as_slice())
    }

    /// Replaces or adds `file`, at once and durably: what bit rot, a lost write, or an operator
    /// does.
    pub fn replace(&mut self, file: &str, contents: Vec<u8>) {
        let unsynced = BTreeSet::new();
        let durable = contents.clone();
        self.files.insert(file.to_owned(), File { durable, current: contents, unsynced });
    }

    /// Fails if `operation` is to fail, or `file` is not there.
    fn open(&mut self, operation: Operation, file: &str) -> Result<&mut File, DiskError> {
        self.start(operation, file)?;
        self.files.get_mut(file).ok_or_else(|| failed(operation, file, "there is no such file"))
    }

    /// Fails if files of `bytes` altogether do not fit.
    fn check_room(&self, bytes: u64) -> Result<(), DiskError> {
        let is_full = self.capacity.is_some_and(|capacity| bytes > capacity);
        if is_full { Err(DiskError::Full) } else { Ok(()) }
    }

    fn start(&mut self, operation: Operation, file: &str) -> Result<(), DiskError> {
        if self.failing.remove(&operation) {
            return Err(failed(operation, file, "input/output error"));
        }
        if operation.changes_something() {
            if self.stop == Some(self.changes) {
                return Err(failed(operation, file, "the node was stopped"));
            }
            self.changes += 1;
        }
        Ok(())
    }
}

impl File {
    /// Makes the first `length` bytes of `sector` durable.
    fn persist(&mut self, sector: usize, length: usize) {
        let start = sector * SECTOR_BYTES;
        let end = self.current.len().min(start + length.min(SECTOR_BYTES));
        if let (Some(to), Some(from)) =
            (self.durable.get_mut(start..end), self.current.get(start..end))
        {
            to.copy_from_slice(from);
        }
    }
}

impl Disk for MemoryDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.start(Operation::List, ".")?;
        Ok(self.files.keys().cloned().collect())
    }

    fn read(&mut self, file: &str) -> Result<Bytes, DiskError> {
        let file = self.open(Operation::Read, file)?;
        Ok(Bytes::copy_from_slice(&file.current))
    }

    fn read_at(&mut self, file: &str, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        let name = file;
        let file = self.open(Operation::Read, name)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = file.current.get(start..start.saturating_add(length));
        bytes
            .map(Bytes::copy_from_slice)
            .ok_or_else(|| failed(Operation::Read, name, "the file ends before"))
    }

    fn create(&mut self, file: &str, length: u64) -> Result<(), DiskError> {
        self.start(Operation::Create, file)?;
        let others = self.files.iter().filter(|(name, _)| name.as_str() != file);
        let used: u64 = others.map(|(_, file)| file.current.len() as u64).sum();
        self.check_room(used.saturating_add(length))?;
        let length = usize::try_from(length).map_err(|_| DiskError::Full)?;
        self.replace(file, vec![0; length]);
        Ok(())
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let name = file;
        let file = self.open(Operation::Write, name)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        let Some(target) = file.current.get_mut(start..end) else {
            return Err(failed(Operation::Write, name, "the file ends before"));
        };
        target.copy_from_slice(bytes);
        file.unsynced.extend(start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
        Ok(())
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        // An append is a write to those who count and fail them.
        self.open(Operation::Write, file)?;
        let used: u64 = self.files.values().map(|file| file.current.len() as u64).sum();
        self.check_room(used + bytes.len() as u64)?;
        let Some(file) = self.files.get_mut(file) else { return Ok(()) };
        let start = file.current.len();
        file.current.extend_from_slice(bytes);
        file.durable.resize(file.current.len(), 0);
        file.unsynced.extend(start / SECTOR_BYTES..file.current.len().div_ceil(SECTOR_BYTES));
        Ok(())
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        if self.failing.contains(&Operation::Sync)
            && let Some(file) = self.files.get_mut(file)
        {
            file.unsynced.clear();
        }
        let file = self.open(Operation::Sync, file)?;
        for sector in std::mem::take(&mut file.unsynced) {
            file.persist(sector, SECTOR_BYTES);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.open(Operation::Rename, from)?;
        if let Some(file) = self.files.remove(from) {
            self.files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.open(Operation::Remove, file)?;
        self.files.remove(file);
        Ok(())
    }
}

fn failed(operation: Operation, file: &str, reason: &str) -> DiskError {
    DiskError::Failed { operation, file: file.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> MemoryDisk {
        let mut disk = MemoryDisk::new();
        disk.create("file", 1_024).expect("there is room");
        disk
    }

    // Goal: a crash loses what was not synced, whole or in part, and nothing else.
    #[test]
    fn a_crash_loses_what_was_not_synced() {
        let mut disk = disk();
        disk.write("file", 0, &[1; 600]).expect("it is there");
        disk.sync("file").expect("it is there");
        disk.write("file", 500, &[2; 100]).expect("it is there");
        assert_eq!(disk.contents("file").map(|bytes| bytes[500]), Some(2));
        disk.crash_keeping(|_, offset| if offset == 512 { 10 } else { 0 });
        let expected = [&[1; 512][..], &[2; 10], &[1; 78], &[0; 424]].concat();
        assert_eq!(disk.contents("file"), Some(&expected[..]));
    }

    // Goal: a sync that failed takes with it what it had to write, and the next one does not bring
    // it back.
    #[test]
    fn a_failed_sync_forgets() {
        let mut disk = disk();
        disk.write("file", 0, &[1]).expect("it is there");
        disk.fail_next(Operation::Sync);
        assert!(disk.sync("file").is_err());
        assert!(disk.sync("file").is_ok());
        disk.crash();
        assert_eq!(disk.contents("file"), Some(&[0; 1_024][..]));
    }

    // Goal: a file that does not fit is not created, and one in its own place does.
    #[test]
    fn capacity_bounds_all_files_together() {
        let mut disk = disk();
        disk.set_capacity(Some(1_500));
        assert_eq!(disk.create("other", 1_000), Err(DiskError::Full));
        assert_eq!(disk.create("file", 1_500), Ok(()));
        assert_eq!(disk.list(), Ok(vec!["file".to_owned()]));
    }
}
