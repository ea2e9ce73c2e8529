//! The snapshots of a group on a disk: those that are whole, and the one that a peer sends.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Cut, Manifest, Mutant, Reader, Saved, SnapshotError, SnapshotId, draft::publish};
use crate::{
    codec::{Decode, Encode},
    journal::{Disk, DiskError},
    log::Index,
    mutants::Bugs,
    process::GroupId,
};

const BODY: &str = ".snapshot";
const MANIFEST: &str = ".manifest";
const UNFINISHED: &str = ".new";
const RECEIVING: &str = ".part";

fn name(id: SnapshotId) -> String {
    format!("{:016x}-{:016x}-{:016x}", id.index.0, id.term, id.digest)
}

pub(super) fn body_name(id: SnapshotId) -> String {
    name(id) + BODY
}

pub(super) fn manifest_name(id: SnapshotId) -> String {
    name(id) + MANIFEST
}

pub(super) fn unfinished_manifest_name(id: SnapshotId) -> String {
    manifest_name(id) + UNFINISHED
}

/// Returns the name of a body that is being written here, its digest not known yet.
pub(super) fn draft_name(cut: &Cut) -> String {
    format!("{:016x}-{:016x}{BODY}{UNFINISHED}", cut.index.0, cut.term)
}

fn receiving_name(id: SnapshotId) -> String {
    body_name(id) + RECEIVING
}

/// Returns the snapshot whose manifest is called `file`; `None` if none is called that.
fn named(file: &str) -> Option<SnapshotId> {
    let mut numbers = file.strip_suffix(MANIFEST)?.split('-');
    let mut next = || u64::from_str_radix(numbers.next()?, 16).ok();
    let id = SnapshotId { index: Index(next()?), term: next()?, digest: next()? };
    (manifest_name(id) == file).then_some(id)
}

/// The snapshots of a group.
#[derive(Debug)]
pub struct Store<D> {
    disk: D,
    group: GroupId,
    whole: BTreeMap<SnapshotId, Manifest>,
    receiving: Option<Receiving>,
    bugs: Bugs<Mutant>,
}

/// A snapshot that a peer sends.
#[derive(Debug)]
struct Receiving {
    id: SnapshotId,
    manifest: Manifest,
    /// The chunk that comes next.
    next: usize,
}

/// What was found when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Manifests that are not what was written: their snapshots are not used, and left as they are.
    pub damaged: Vec<String>,
    /// How many files were removed because they were never finished.
    pub unfinished: usize,
}

/// What has come of a snapshot that a peer sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The first part that is not there yet.
    pub next: u32,
    /// The whole snapshot, once it is durable.
    pub whole: Option<Saved>,
}

impl<D: Disk> Store<D> {
    /// Opens the snapshots of `group` on `disk`, and removes what was never finished.
    ///
    /// Manifests are verified here, bodies when they are read.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn open(disk: D, group: GroupId) -> Result<(Self, Opened), DiskError> {
        let bugs = Bugs::default();
        let mut store = Self { disk, group, whole: BTreeMap::new(), receiving: None, bugs };
        let mut opened = Opened::default();
        let files = store.disk.list()?;
        for file in &files {
            let Some(id) = named(file) else { continue };
            let manifest = Manifest::decode_all(store.disk.read(file)?).ok();
            let manifest = manifest.filter(|manifest| {
                manifest.group == group && manifest.id() == id && files.contains(&body_name(id))
            });
            match manifest {
                Some(manifest) => drop(store.whole.insert(id, manifest)),
                None => opened.damaged.push(file.clone()),
            }
        }
        let is_kept = |file: &String| {
            named(file).is_some() || store.whole.keys().any(|id| body_name(*id) == *file)
        };
        let of_damaged = |file: &String| {
            opened
                .damaged
                .iter()
                .any(|damaged| damaged.strip_suffix(MANIFEST) == file.strip_suffix(BODY))
        };
        let leftovers: Vec<_> =
            files.iter().filter(|file| !is_kept(file) && !of_damaged(file)).cloned().collect();
        for file in &leftovers {
            store.disk.remove(file)?;
        }
        opened.unfinished = leftovers.len();
        Ok((store, opened))
    }

    /// Puts a known bug back, for tests that must find it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.bugs = Bugs::only(mutant);
        self
    }

    /// Returns the whole snapshots, oldest first.
    pub fn manifests(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.whole.values()
    }

    /// Takes note of a snapshot that was written to the same disk.
    pub fn add(&mut self, manifest: Manifest) {
        self.whole.insert(manifest.id(), manifest);
    }

    /// Forgets a snapshot that turned out to be damaged; its files stay as they are.
    pub fn forget(&mut self, id: SnapshotId) {
        self.whole.remove(&id);
    }

    /// Returns the disk, to write a snapshot on, or to read one.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Closes the store.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Returns the body of a snapshot.
    ///
    /// # Errors
    /// [`SnapshotError::Unknown`]. What is damaged shows while it is read.
    pub fn read(&mut self, id: SnapshotId) -> Result<Reader<&mut D>, SnapshotError> {
        let manifest = self.whole.get(&id).ok_or(SnapshotError::Unknown { id })?;
        Ok(Reader::new(&mut self.disk, manifest.clone()))
    }

    /// Returns a part of a snapshot, verified.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn part(&mut self, id: SnapshotId, part: u32) -> Result<Bytes, SnapshotError> {
        let manifest = self.whole.get(&id).ok_or(SnapshotError::Unknown { id })?;
        let Some(chunk) = (part as usize).checked_sub(1) else {
            return Ok(manifest.encoded().into());
        };
        let Some((start, length)) = manifest.extent(chunk) else {
            return Err(SnapshotError::Unknown { id });
        };
        let bytes = self.disk.read_at(&body_name(id), start, length)?;
        if manifest.verifies(chunk, &bytes) {
            return Ok(bytes);
        }
        Err(SnapshotError::Damaged { id, reason: "a chunk does not match its sum" })
    }

    /// Takes a part that a peer sent, if it is the one that comes next; what does not verify is
    /// left out.
    ///
    /// # Errors
    /// [`SnapshotError::Disk`].
    pub fn receive(
        &mut self,
        id: SnapshotId,
        part: u32,
        bytes: &[u8],
    ) -> Result<Received, SnapshotError> {
        if let Some(manifest) = self.whole.get(&id) {
            let saved = Saved::from(manifest);
            return Ok(Received { next: saved.parts, whole: Some(saved) });
        }
        if part == 0 && self.receiving.as_ref().is_none_or(|receiving| receiving.id != id) {
            self.begin(id, bytes)?;
        }
        let takes_any = self.bugs.has(Mutant::AnyPartTaken);
        let mine = self.receiving.as_mut().filter(|receiving| receiving.id == id || takes_any);
        let Some(receiving) = mine else { return Ok(Received { next: 0, whole: None }) };
        let next = receiving.next as u32 + 1;
        let fits = receiving.manifest.verifies(receiving.next, bytes);
        if part == next && (fits || takes_any) {
            self.disk.append(&receiving_name(receiving.id), bytes)?;
            receiving.next += 1;
        }
        self.finish()
    }

    fn begin(&mut self, id: SnapshotId, manifest: &[u8]) -> Result<(), SnapshotError> {
        let manifest = Manifest::decode_all(Bytes::copy_from_slice(manifest)).ok();
        let Some(manifest) = manifest.filter(|it| it.group == self.group && it.id() == id) else {
            return Ok(());
        };
        if let Some(former) = self.receiving.take() {
            self.disk.remove(&receiving_name(former.id))?;
        }
        self.disk.create(&receiving_name(id), 0)?;
        self.receiving = Some(Receiving { id, manifest, next: 0 });
        Ok(())
    }

    /// Makes what is received a snapshot once nothing is missing.
    fn finish(&mut self) -> Result<Received, SnapshotError> {
        let Some(receiving) = &self.receiving else { return Ok(Received { next: 0, whole: None }) };
        let (next, parts) = (receiving.next as u32 + 1, receiving.manifest.parts());
        if next < parts {
            return Ok(Received { next, whole: None });
        }
        let Some(Receiving { id, manifest, .. }) = self.receiving.take() else {
            return Ok(Received { next, whole: None });
        };
        publish(&mut self.disk, &receiving_name(id), &manifest, self.bugs)?;
        let saved = Saved::from(&manifest);
        self.whole.insert(id, manifest);
        Ok(Received { next, whole: Some(saved) })
    }

    /// Gives up what a peer was sending: the disk is full, or the peer is another one.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn give_up_receiving(&mut self) -> Result<(), DiskError> {
        match self.receiving.take() {
            Some(receiving) => self.disk.remove(&receiving_name(receiving.id)),
            None => Ok(()),
        }
    }

    /// Removes all but the newest `keep` and those that are `used`.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn prune(&mut self, keep: usize, used: &[SnapshotId]) -> Result<(), DiskError> {
        let old = self.whole.len().saturating_sub(keep);
        let old: Vec<_> = self.whole.keys().take(old).copied().collect();
        for id in old.into_iter().filter(|id| !used.contains(id)) {
            // The manifest goes first: what has none is no snapshot.
            self.whole.remove(&id);
            self.disk.remove(&manifest_name(id))?;
            self.disk.remove(&body_name(id))?;
        }
        Ok(())
    }
}
