//! A node's snapshots under test: the real store on a disk in memory.

use std::collections::VecDeque;

use consensus_core::{
    GroupId,
    journal::{Disk, MemoryDisk},
    replica::Replica,
    snapshot::{Cut, Draft, Order, Report, Saved, SnapshotId, Store},
};

use crate::{bug, kv::Kv};

/// Where a node keeps its snapshots, and those that it is to take.
#[derive(Debug)]
pub(crate) struct Shelf {
    group: GroupId,
    chunk_bytes: usize,
    keep: usize,
    store: Store<MemoryDisk>,
    pub(crate) taking: VecDeque<(Cut, Replica<Kv>)>,
    /// What is to be left when old ones are removed: late, when another one has been written.
    prunes: VecDeque<Vec<SnapshotId>>,
    /// What the replica is to be told.
    pub(crate) reports: VecDeque<Report>,
}

fn opened(disk: MemoryDisk, group: GroupId) -> Store<MemoryDisk> {
    bug::store(Store::open(disk, group).expect("memory does not fail").0)
}

impl Shelf {
    pub(crate) fn new(group: GroupId, chunk_bytes: usize, keep: usize) -> Self {
        let store = opened(MemoryDisk::new(), group);
        Self {
            group,
            chunk_bytes,
            keep,
            store,
            taking: VecDeque::new(),
            prunes: VecDeque::new(),
            reports: VecDeque::new(),
        }
    }

    /// Writes the oldest snapshot that is to be taken, if there is one.
    pub(crate) fn save(&mut self) -> Option<Saved> {
        let (cut, replica) = self.taking.pop_front()?;
        assert_eq!(replica.applied(), cut.index, "it is taken where it was asked for");
        let draft = Draft::begin(self.store.disk_mut(), self.group, cut, self.chunk_bytes);
        let draft = bug::draft(draft.expect("memory does not fail"));
        let manifest = draft.save(&replica).expect("memory does not fail");
        let saved = Saved::from(&manifest);
        self.store.add(manifest);
        for used in std::mem::take(&mut self.prunes) {
            self.store.prune(self.keep, &used).expect("memory does not fail");
        }
        Some(saved)
    }

    /// Reads a replica back.
    pub(crate) fn restore(&mut self, id: SnapshotId) -> Replica<Kv> {
        let mut reader = self.store.read(id).expect("it is there");
        bug::replica(Replica::restore(self.group, &mut reader).expect("it is sound"))
    }

    /// Loses what is not durable.
    pub(crate) fn crash(&mut self) {
        self.store.disk_mut().crash();
        self.taking.clear();
        self.prunes.clear();
        self.reports.clear();
    }

    /// Opens it after a crash, and returns what is sound.
    pub(crate) fn open(&mut self) -> Vec<Saved> {
        let disk = std::mem::take(self.store.disk_mut());
        self.store = opened(disk, self.group);
        let whole: Vec<_> = self.store.manifests().map(Saved::from).collect();
        whole.into_iter().filter(|saved| self.is_sound(saved.id)).collect()
    }

    fn is_sound(&mut self, id: SnapshotId) -> bool {
        let mut reader = self.store.read(id).expect("it is there");
        let sound = Replica::<Kv>::restore(self.group, &mut reader).is_ok();
        if !sound {
            self.store.forget(id);
        }
        sound
    }

    /// Changes a bit in the body of each snapshot.
    pub(crate) fn damage(&mut self) {
        let disk = self.store.disk_mut();
        for file in disk.list().expect("memory does not fail") {
            if file.ends_with(".snapshot") {
                let mut contents = disk.contents(&file).expect("it is there").to_vec();
                contents[0] ^= 1;
                disk.replace(&file, contents);
            }
        }
    }

    /// Reads, keeps or removes.
    pub(crate) fn carry_out(&mut self, order: Order) {
        match order {
            Order::Fetch { to, snapshot, part } => {
                let bytes = self.store.part(snapshot, part).ok();
                self.reports.push_back(Report::Fetched { to, snapshot, part, bytes });
            }
            Order::Store { from, snapshot, part, bytes } => {
                let received = self.store.receive(snapshot, part, &bytes);
                let received = received.expect("memory does not fail");
                let (next, whole) = (received.next, received.whole);
                self.reports.push_back(Report::Stored { from, snapshot, next, whole });
            }
            Order::Prune { used } => self.prunes.push_back(used),
            Order::Take(_) | Order::Restore(_) | Order::Decline => {
                panic!("in order with what is applied")
            }
        }
    }
}
