//! Snapshots on a disk: what is whole survives, what is not is never taken for one.

use std::io::{Read, Write};

use consensus_core::{
    GroupId, Index, Members, WallTime,
    journal::{Disk, MemoryDisk},
    snapshot::{Cut, Draft, Manifest, Opened, Received, SnapshotError, Store},
};

use crate::{bug, node::id};

const GROUP: GroupId = GroupId(5);
const CHUNK_BYTES: usize = 16;

fn cut(index: u64) -> Cut {
    let members: Members = (1..=3).map(id).collect();
    Cut { index: Index(index), term: 2, membership: members.into() }
}

fn body(index: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at * 7 + index) as u8).collect()
}

fn write<D: Disk>(disk: D, index: u64, length: usize) -> Result<Manifest, SnapshotError> {
    let mut draft = bug::draft(Draft::begin(disk, GROUP, cut(index), CHUNK_BYTES)?);
    // What the disk says comes back from the end.
    draft.write_all(&body(index, length)).ok();
    draft.finish(WallTime(9))
}

fn open<D: Disk>(disk: D) -> (Store<D>, Opened) {
    let (store, opened) = Store::open(disk, GROUP).expect("memory does not fail");
    (bug::store(store), opened)
}

fn read<D: Disk>(store: &mut Store<D>, manifest: &Manifest) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.read(manifest.id()).expect("it is there").read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Sends every part of a snapshot from one store to another; returns what came of the last.
fn send(from: &mut Store<MemoryDisk>, to: &mut Store<MemoryDisk>, manifest: &Manifest) -> Received {
    let mut received = Received { next: 0, whole: None };
    while received.whole.is_none() {
        let part = from.part(manifest.id(), received.next).expect("it is there");
        let next = to.receive(manifest.id(), received.next, &part).expect("memory does not fail");
        assert!(next.next > received.next || next.whole.is_some(), "each part brings it further");
        received = next;
    }
    received
}

// Goal: S4, a crash at any change of the disk leaves the former snapshot, and the new one or nothing;
// one that was told to be whole survives the loss of all that was not synced (7).
#[test]
pub(crate) fn whole_snapshot_survives_a_crash() {
    for length in [0, 1, 16, 100] {
        for changes in 0.. {
            let mut disk = MemoryDisk::new();
            let former = write(&mut disk, 3, 40).expect("the disk is sound");
            disk.stop_after(changes);
            let written = write(&mut disk, 8, length);
            disk.crash();
            let (mut store, opened) = open(disk);
            assert_eq!(opened.damaged, Vec::<String>::new());
            assert_eq!(read(&mut store, &former).ok(), Some(body(3, 40)));
            let whole: Vec<_> = store.manifests().cloned().collect();
            if let Some(manifest) = whole.get(1) {
                assert_eq!(read(&mut store, manifest).ok(), Some(body(8, length)));
            }
            if let Ok(manifest) = written {
                assert_eq!(whole, [former, manifest]);
                break;
            }
            let files = store.disk_mut().list().expect("memory does not fail");
            assert_eq!(files.len(), whole.len() * 2, "nothing unfinished is left: {files:?}");
        }
    }
}

// Goal: a snapshot travels in parts, in order; one that comes again, or too early, changes nothing,
// and whoever goes on with the same snapshot goes on where it stopped.
#[test]
fn parts_make_up_the_snapshot() {
    let (mut from, mut to) = (open(MemoryDisk::new()).0, open(MemoryDisk::new()).0);
    let manifest = write(from.disk_mut(), 4, 50).expect("the disk is sound");
    from.add(manifest.clone());
    let id = manifest.id();
    let part = |from: &mut Store<_>, part| from.part(id, part).expect("it is there");
    assert_eq!(to.receive(id, 1, &part(&mut from, 1)), Ok(Received { next: 0, whole: None }));
    assert_eq!(to.receive(id, 0, &part(&mut from, 0)), Ok(Received { next: 1, whole: None }));
    assert_eq!(to.receive(id, 2, &part(&mut from, 2)), Ok(Received { next: 1, whole: None }));
    for _ in 0..2 {
        assert_eq!(to.receive(id, 1, &part(&mut from, 1)), Ok(Received { next: 2, whole: None }));
        assert_eq!(to.receive(id, 0, &part(&mut from, 0)), Ok(Received { next: 2, whole: None }));
    }
    let received = send(&mut from, &mut to, &manifest);
    assert_eq!(received.next, manifest.parts());
    assert_eq!(read(&mut to, &manifest).ok(), Some(body(4, 50)));
    let (mut to, _) = open(to.into_disk());
    assert_eq!(read(&mut to, &manifest).ok(), Some(body(4, 50)), "it is durable");
}

// Goal: a part of another snapshot, of another place, or that was changed on its way, is not taken.
#[test]
pub(crate) fn part_of_another_snapshot_is_refused() {
    let (mut from, mut to) = (open(MemoryDisk::new()).0, open(MemoryDisk::new()).0);
    let [first, second] = [4, 5].map(|index| {
        let manifest = write(from.disk_mut(), index, 64).expect("the disk is sound");
        from.add(manifest.clone());
        manifest
    });
    let part = |from: &mut Store<_>, of: &Manifest, part| from.part(of.id(), part).expect("there");
    to.receive(first.id(), 0, &part(&mut from, &first, 0)).expect("memory does not fail");
    let mut changed = part(&mut from, &first, 1).to_vec();
    changed[3] ^= 1;
    let parts = [
        (second.id(), part(&mut from, &second, 1)),
        (first.id(), part(&mut from, &second, 1)),
        (first.id(), part(&mut from, &first, 2)),
        (first.id(), changed.into()),
    ];
    for (id, bytes) in parts {
        to.receive(id, 1, &bytes).expect("memory does not fail");
    }
    send(&mut from, &mut to, &first);
    assert_eq!(read(&mut to, &first).ok(), Some(body(4, 64)));
}

// Goal: a sender that has a newer snapshot starts that anew, and what was received of the former is
// given up.
#[test]
fn newer_snapshot_takes_the_place_of_a_former() {
    let (mut from, mut to) = (open(MemoryDisk::new()).0, open(MemoryDisk::new()).0);
    let [first, second] = [4, 5].map(|index| {
        let manifest = write(from.disk_mut(), index, 64).expect("the disk is sound");
        from.add(manifest.clone());
        manifest
    });
    for part in 0..2 {
        let bytes = from.part(first.id(), part).expect("it is there");
        to.receive(first.id(), part, &bytes).expect("memory does not fail");
    }
    send(&mut from, &mut to, &second);
    let whole: Vec<_> = to.manifests().cloned().collect();
    assert_eq!(whole, [second]);
    assert_eq!(to.disk_mut().list().map(|files| files.len()), Ok(2));
}

// Goal: whatever bit changes in a snapshot's files, it is refused and never read as another.
#[test]
fn damaged_snapshot_is_never_read() {
    let mut disk = MemoryDisk::new();
    let manifest = write(&mut disk, 4, 50).expect("the disk is sound");
    for file in disk.list().expect("memory does not fail") {
        let contents = disk.contents(&file).expect("it is there").to_vec();
        for bit in 0..contents.len() * 8 {
            let mut disk = disk.clone();
            let mut changed = contents.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            disk.replace(&file, changed);
            let (mut store, opened) = open(disk);
            let found = store.manifests().next().cloned();
            match found {
                None => assert_eq!(opened.damaged.len(), 1, "it is told"),
                Some(found) => {
                    assert_eq!(found, manifest);
                    assert!(read(&mut store, &found).is_err(), "bit {bit} of {file}");
                }
            }
        }
    }
}

// Goal: the newest ones stay, and those that are being sent, until they are not.
#[test]
fn old_snapshots_go_unless_they_are_used() {
    let (mut store, _) = open(MemoryDisk::new());
    let written: Vec<_> = (1..=5)
        .map(|index| {
            let manifest = write(store.disk_mut(), index, 20).expect("the disk is sound");
            store.add(manifest.clone());
            manifest.id()
        })
        .collect();
    let indices = |store: &Store<_>| {
        store.manifests().map(|manifest| manifest.cut.index.0).collect::<Vec<_>>()
    };
    store.prune(2, &written[..1]).expect("memory does not fail");
    assert_eq!(indices(&store), [1, 4, 5]);
    store.prune(2, &[]).expect("memory does not fail");
    assert_eq!(indices(&store), [4, 5]);
    assert_eq!(store.disk_mut().list().map(|files| files.len()), Ok(4));
}

// Goal: a full disk leaves no half of a snapshot, and what was there stays.
#[test]
fn full_disk_takes_no_snapshot() {
    let mut disk = MemoryDisk::new();
    let former = write(&mut disk, 3, 40).expect("the disk is sound");
    disk.set_capacity(Some(400));
    assert!(matches!(write(&mut disk, 8, 300), Err(SnapshotError::Disk(_))));
    let (mut store, _) = open(disk);
    assert_eq!(read(&mut store, &former).ok(), Some(body(3, 40)));
    assert_eq!(store.disk_mut().list().map(|files| files.len()), Ok(2));
}
