//! Reading a snapshot.

use std::io::{self, Read};

use bytes::{Buf, Bytes};

use super::{Manifest, SnapshotError};
use crate::journal::Disk;

/// The body of a snapshot, chunk by chunk, each verified before any of it is handed out.
#[derive(Debug)]
pub struct Reader<D> {
    disk: D,
    manifest: Manifest,
    file: String,
    next: usize,
    chunk: Bytes,
}

impl<D: Disk> Reader<D> {
    /// Reads the snapshot of `manifest` from `disk`, another view of whose files its store has.
    pub fn new(disk: D, manifest: Manifest) -> Self {
        let file = super::store::body_name(manifest.id());
        Self { disk, manifest, file, next: 0, chunk: Bytes::new() }
    }

    fn advance(&mut self) -> Result<(), SnapshotError> {
        if let Some((start, length)) = self.manifest.extent(self.next) {
            let chunk = self.disk.read_at(&self.file, start, length)?;
            if !self.manifest.verifies(self.next, &chunk) {
                let reason = "a chunk does not match its sum";
                return Err(SnapshotError::Damaged { id: self.manifest.id(), reason });
            }
            (self.chunk, self.next) = (chunk, self.next + 1);
        }
        Ok(())
    }
}

impl<D: Disk> Read for Reader<D> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.advance().map_err(io::Error::other)?;
        }
        let count = out.len().min(self.chunk.len());
        if let Some(out) = out.get_mut(..count) {
            self.chunk.copy_to_slice(out);
        }
        Ok(count)
    }
}
