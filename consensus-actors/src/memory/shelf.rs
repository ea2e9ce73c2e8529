//! A disk in memory of which there are several views.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use consensus_core::journal::{Disk, DiskError, MemoryDisk};

use crate::sync::lock;

/// A view of a disk; clones are views of the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<MemoryDisk>>);

impl Disk for Shared {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        lock(&self.0).list()
    }

    fn read(&mut self, file: &str) -> Result<Bytes, DiskError> {
        lock(&self.0).read(file)
    }

    fn read_at(&mut self, file: &str, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        lock(&self.0).read_at(file, offset, length)
    }

    fn create(&mut self, file: &str, length: u64) -> Result<(), DiskError> {
        lock(&self.0).create(file, length)
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        lock(&self.0).write(file, offset, bytes)
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        lock(&self.0).append(file, bytes)
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        lock(&self.0).sync(file)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        lock(&self.0).rename(from, to)
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        lock(&self.0).remove(file)
    }
}
