//! A node's snapshots on the same kind of faulty disk as its journal.

use super::{drive::Platter, fault::Faults, protocol::Snapshots, random::Random};
#[cfg(feature = "mutants")]
use crate::mutants::Bug;
use crate::{
    journal::DiskError,
    process::GroupId,
    replica::Replica,
    snapshot::{Cut, Draft, Manifest, Opened, Received, SnapshotError, SnapshotId, Store},
    state_machine::StateMachine,
};

/// Where a node keeps its snapshots.
#[derive(Debug)]
pub(super) struct Shelf {
    group: GroupId,
    snapshots: Snapshots,
    store: Option<Store<Platter>>,
    /// The disk while the node is down.
    platter: Platter,
    random: Random,
    faults: Faults,
    #[cfg(feature = "mutants")]
    bug: Option<crate::snapshot::Mutant>,
}

const SHELVES: u64 = 4 << 32;

impl Shelf {
    /// Makes an empty shelf for the node of this number.
    pub(super) fn new(
        (seed, node): (u64, u64),
        group: GroupId,
        snapshots: Snapshots,
        faults: Faults,
    ) -> Self {
        Self {
            group,
            snapshots,
            store: None,
            platter: Platter::default(),
            random: Random::new(seed, SHELVES + node),
            faults,
            #[cfg(feature = "mutants")]
            bug: None,
        }
    }

    #[cfg(feature = "mutants")]
    pub(super) fn with_bug(mut self, bug: Option<Bug>) -> Self {
        self.bug = match bug {
            Some(Bug::Snapshot(mutant)) => Some(mutant),
            Some(
                Bug::Raft(_)
                | Bug::Replica(_)
                | Bug::Client(_)
                | Bug::Paxos(_)
                | Bug::MultiPaxos(_)
                | Bug::FastPaxos(_)
                | Bug::Saga(_),
            )
            | None => None,
        };
        self
    }

    /// Opens it.
    pub(super) fn open(&mut self) -> Result<Opened, DiskError> {
        let (store, opened) = Store::open(std::mem::take(&mut self.platter), self.group)?;
        #[cfg(feature = "mutants")]
        let store = match self.bug {
            Some(mutant) => store.with_mutant(mutant),
            None => store,
        };
        self.store = Some(store);
        Ok(opened)
    }

    fn store(&mut self) -> &mut Store<Platter> {
        self.store.as_mut().expect("a node that runs has opened its shelf")
    }

    /// Returns the manifests of whole snapshots, oldest first.
    pub(super) fn manifests(&mut self) -> Vec<Manifest> {
        self.store().manifests().cloned().collect()
    }

    /// Writes a snapshot of `replica`.
    pub(super) fn save<S: StateMachine>(
        &mut self,
        cut: Cut,
        replica: &Replica<S>,
    ) -> Result<Manifest, SnapshotError> {
        let (group, chunk_bytes) = (self.group, self.snapshots.chunk_bytes);
        #[cfg(feature = "mutants")]
        let bug = self.bug;
        let store = self.store();
        let draft = Draft::begin(store.disk_mut(), group, cut, chunk_bytes)?;
        #[cfg(feature = "mutants")]
        let draft = match bug {
            Some(mutant) => draft.with_mutant(mutant),
            None => draft,
        };
        let manifest = draft.save(replica)?;
        store.add(manifest.clone());
        Ok(manifest)
    }

    /// Reads a replica back.
    pub(super) fn restore<S: StateMachine>(
        &mut self,
        id: SnapshotId,
    ) -> Result<Replica<S>, String> {
        let group = self.group;
        let store = self.store();
        let mut reader = store.read(id).map_err(|error| error.to_string())?;
        let restored = Replica::restore(group, &mut reader).map_err(|error| error.to_string());
        if restored.is_err() {
            store.forget(id);
        }
        restored
    }

    /// Tells whether a snapshot is whole.
    pub(super) fn is_sound<S: StateMachine>(&mut self, id: SnapshotId) -> bool {
        self.restore::<S>(id).is_ok()
    }

    /// Returns a part of a snapshot; `None` if it is damaged or gone.
    pub(super) fn part(&mut self, id: SnapshotId, part: u32) -> Option<bytes::Bytes> {
        self.store().part(id, part).ok()
    }

    /// Takes a part that a peer sent.
    pub(super) fn receive(
        &mut self,
        id: SnapshotId,
        part: u32,
        bytes: &[u8],
    ) -> Result<Received, SnapshotError> {
        let store = self.store();
        let received = store.receive(id, part, bytes);
        if received == Err(SnapshotError::Disk(DiskError::Full)) {
            store.give_up_receiving()?;
            return Ok(Received { next: 0, whole: None });
        }
        received
    }

    /// Removes old snapshots but for those that are `used`.
    pub(super) fn prune(&mut self, used: &[SnapshotId]) -> Result<(), DiskError> {
        let keep = self.snapshots.keep;
        self.store().prune(keep, used)
    }

    pub(super) fn disk(&mut self) -> &mut Platter {
        match &mut self.store {
            Some(store) => store.disk_mut(),
            None => &mut self.platter,
        }
    }

    /// Changes a bit of a file; false if there is none.
    pub(super) fn rot(&mut self) -> bool {
        let pick = self.random.any();
        self.disk().rot(pick)
    }

    /// Empties it.
    pub(super) fn wipe(&mut self) {
        self.platter = Platter::default();
    }

    /// Ends the process, with its machine or without.
    pub(super) fn stop(&mut self, with_power: bool) {
        if let Some(store) = self.store.take() {
            self.platter = store.into_disk();
        }
        let torn = self.faults.has(super::fault::Fault::TornWrite);
        self.platter.end(with_power, || if torn { self.random.below(2) == 0 } else { false });
    }
}
