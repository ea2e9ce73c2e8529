//! Writing a snapshot.

use std::io;

use super::{
    Cut, Manifest, Mutant, SnapshotError,
    manifest::{CHUNK_BYTES_MAX, is_too_long, sum},
    store,
};
use crate::{
    codec::Encode,
    journal::{Disk, DiskError},
    mutants::Bugs,
    process::GroupId,
    replica::Replica,
    state_machine::StateMachine,
    time::WallTime,
};

/// A sync after so many chunks: all at once would hold up the journal on the same disk for long.
const SYNC_CHUNKS: usize = 16;

/// A snapshot that is being written; its body is what is written to it.
///
/// It has a name that stands for something unfinished until it is [finished](Self::finish).
#[derive(Debug)]
pub struct Draft<D: Disk> {
    disk: D,
    group: GroupId,
    cut: Cut,
    chunk_bytes: usize,
    chunk: Vec<u8>,
    sums: Vec<u64>,
    length: u64,
    failure: Option<SnapshotError>,
    bugs: Bugs<Mutant>,
}

impl<D: Disk> Draft<D> {
    /// Begins a snapshot of `group` at `cut`, in chunks of `chunk_bytes`, at most
    /// [`CHUNK_BYTES_MAX`].
    ///
    /// # Errors
    /// [`SnapshotError::Disk`].
    pub fn begin(
        mut disk: D,
        group: GroupId,
        cut: Cut,
        chunk_bytes: usize,
    ) -> Result<Self, SnapshotError> {
        disk.create(&store::draft_name(&cut), 0)?;
        Ok(Self {
            disk,
            group,
            cut,
            chunk_bytes: chunk_bytes.clamp(1, CHUNK_BYTES_MAX),
            chunk: Vec::new(),
            sums: Vec::new(),
            length: 0,
            failure: None,
            bugs: Bugs::default(),
        })
    }

    /// Puts a known bug back, for tests that must find it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.bugs = Bugs::only(mutant);
        self
    }

    /// Writes `replica` and makes the snapshot durable.
    ///
    /// # Errors
    /// [`SnapshotError`]; what was written of it is removed then, as far as the disk lets it be.
    pub fn save<S: StateMachine>(
        mut self,
        replica: &Replica<S>,
    ) -> Result<Manifest, SnapshotError> {
        match replica.save(&mut self) {
            // A state that refuses to be encoded must not end as half of one.
            Err(error) if self.failure.is_none() => {
                self.disk.remove(&store::draft_name(&self.cut)).ok();
                Err(SnapshotError::Unencodable { reason: error.to_string() })
            }
            Ok(()) | Err(_) => self.finish(replica.now()),
        }
    }

    /// Makes the snapshot durable, its log time being `at`, and returns its manifest.
    ///
    /// # Errors
    /// [`SnapshotError::Disk`] and [`SnapshotError::TooLong`]; what was written of it is removed
    /// then, as far as the disk lets it be.
    pub fn finish(mut self, at: WallTime) -> Result<Manifest, SnapshotError> {
        let finished = self.complete(at);
        if finished.is_err() {
            self.disk.remove(&store::draft_name(&self.cut)).ok();
        }
        finished
    }

    fn complete(&mut self, at: WallTime) -> Result<Manifest, SnapshotError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if !self.chunk.is_empty() {
            self.put_chunk()?;
        }
        let manifest = Manifest {
            group: self.group,
            cut: self.cut.clone(),
            at,
            length: self.length,
            chunk_bytes: self.chunk_bytes,
            sums: std::mem::take(&mut self.sums),
        };
        let draft = store::draft_name(&self.cut);
        publish(&mut self.disk, &draft, &manifest, self.bugs)?;
        Ok(manifest)
    }

    fn put_chunk(&mut self) -> Result<(), SnapshotError> {
        let draft = store::draft_name(&self.cut);
        self.disk.append(&draft, &self.chunk)?;
        self.length += self.chunk.len() as u64;
        if is_too_long(self.length, self.chunk_bytes) {
            return Err(SnapshotError::TooLong { bytes: self.length });
        }
        self.sums.push(sum(self.group, &self.cut, self.sums.len(), &self.chunk));
        self.chunk.clear();
        if self.sums.len().is_multiple_of(SYNC_CHUNKS) && !self.bugs.has(Mutant::SnapshotNotSynced)
        {
            self.disk.sync(&draft)?;
        }
        Ok(())
    }
}

impl<D: Disk> io::Write for Draft<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.chunk_bytes - self.chunk.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.chunk.extend_from_slice(taken);
        if self.chunk.len() == self.chunk_bytes {
            self.put_chunk().map_err(|failure| {
                let told = io::Error::other(failure.to_string());
                self.failure = Some(failure);
                told
            })?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the body in `draft` durable under its own name, and then the manifest, which makes it a
/// snapshot.
pub(super) fn publish<D: Disk>(
    disk: &mut D,
    draft: &str,
    manifest: &Manifest,
    bugs: Bugs<Mutant>,
) -> Result<(), DiskError> {
    if !bugs.has(Mutant::SnapshotNotSynced) {
        disk.sync(draft)?;
    }
    let id = manifest.id();
    disk.rename(draft, &store::body_name(id))?;
    let unfinished = store::unfinished_manifest_name(id);
    disk.create(&unfinished, 0)?;
    disk.append(&unfinished, &manifest.encoded())?;
    disk.sync(&unfinished)?;
    disk.rename(&unfinished, &store::manifest_name(id))
}
