use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use consensus_core::{
    codec::Encode,
    journal::{Config, DiskError, JournalId, MemoryDisk},
};

use super::*;
use crate::sync::lock;

/// What happened, in order.
type Events = Arc<Mutex<Vec<&'static str>>>;

/// A disk that notes its syncs, and that so many files find full.
struct Noted(MemoryDisk, Events, Arc<AtomicUsize>);

impl Disk for Noted {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.0.list()
    }

    fn read(&mut self, file: &str) -> Result<Bytes, DiskError> {
        self.0.read(file)
    }

    fn read_at(&mut self, file: &str, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        self.0.read_at(file, offset, length)
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.append(file, bytes)
    }

    fn create(&mut self, file: &str, length: u64) -> Result<(), DiskError> {
        let left = self.2.load(Ordering::Relaxed);
        if left > 0 {
            self.2.store(left - 1, Ordering::Relaxed);
            return Err(DiskError::Full);
        }
        self.0.create(file, length)
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write(file, offset, bytes)
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        lock(&self.1).push("synced");
        self.0.sync(file)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.0.rename(from, to)
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.0.remove(file)
    }
}

/// Notes what a group is told.
struct Told(Events);

/// A record.
struct Record;

impl Encode for Record {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[7; 100]);
    }
}

impl Durability for Told {
    fn persisted(&self, upto: Token) {
        lock(&self.0).push(if upto == Token(2) { "all persisted" } else { "some persisted" });
    }

    fn storage_full(&self, full: bool) {
        lock(&self.0).push(if full { "full" } else { "room" });
    }

    fn make_room(&self) {
        lock(&self.0).push("asked for room");
    }
}

// Goal: records are reported durable after the sync that makes them so, not before, and not while
// the disk has no room for them.
#[test]
fn report_follows_the_sync() {
    let events = Events::default();
    let disk: NodeDisk =
        Box::new(Noted(MemoryDisk::new(), Arc::clone(&events), Arc::new(1.into())));
    let (journal, _) = Journal::open(disk, JournalId(1), Config::default()).expect("it is empty");
    let group = GroupId(1);
    actix::System::new().block_on(async {
        tokio::time::pause();
        let actor = JournalActor::new(journal, Box::new(|error| panic!("{error}")));
        let records = actor.launch_here();
        let durability = Arc::new(Told(Arc::clone(&events)));
        records.register(group, durability);
        for token in 1..=2 {
            assert_eq!(records.append(group, vec![(Token(token), Record)], false), None);
        }
        tokio::time::sleep(2 * FULL_RETRY).await;
    });
    // The header of the segment is synced, then the batch.
    let expected = ["full", "synced", "synced", "room", "all persisted"];
    assert_eq!(*lock(&events), expected);
}

// Goal: what a peer waits for is written at once where the journal is idle and its disk known to be
// quick, and never before what is on its way; what is much goes to the journal's thread.
#[test]
fn journal_is_written_in_place_of_its_actor() {
    let events = Events::default();
    let disk: NodeDisk = Box::new(Noted(MemoryDisk::new(), Arc::clone(&events), Arc::default()));
    let (journal, _) = Journal::open(disk, JournalId(1), Config::default()).expect("it is empty");
    let group = GroupId(1);
    actix::System::new().block_on(async {
        tokio::time::pause();
        let actor = JournalActor::new(journal, Box::new(|error| panic!("{error}")));
        let records = actor.launch_here();
        records.register(group, Arc::new(Told(Arc::clone(&events))));
        let append = |tokens: std::ops::RangeInclusive<u64>| {
            let all = tokens.map(|token| (Token(token), Record)).collect();
            records.append(group, all, true)
        };
        let settle = || tokio::time::sleep(Duration::from_millis(20));
        assert_eq!(append(1..=1), None, "nobody knows yet how quick the disk is");
        settle().await;
        lock(&events).clear();
        assert_eq!(append(2..=3), Some(Token(3)));
        assert_eq!(*lock(&events), ["synced"], "and nobody else is told");
        assert_eq!(append(4..=33), None, "three kilobytes are much");
        assert_eq!(append(34..=34), None, "what is on its way comes first");
        assert_eq!(*lock(&events), ["synced"]);
        settle().await;
        assert_eq!(append(35..=35), Some(Token(35)));
    });
    let expected = ["synced", "synced", "some persisted", "synced"];
    assert_eq!(*lock(&events), expected);
}

// Goal: a disk that is full when somebody writes in the actor's place is the actor's to wait for:
// the group hears of it, and of its records once there is room.
#[test]
fn full_disk_is_left_to_the_actor() {
    let events = Events::default();
    let refused = Arc::new(AtomicUsize::new(0));
    let disk = Noted(MemoryDisk::new(), Arc::clone(&events), Arc::clone(&refused));
    let disk: NodeDisk = Box::new(disk);
    let config = Config::builder().segment_bytes(16_384).build().expect("segments may be short");
    let (journal, _) = Journal::open(disk, JournalId(1), config).expect("it is empty");
    let group = GroupId(1);
    actix::System::new().block_on(async {
        tokio::time::pause();
        let actor = JournalActor::new(journal, Box::new(|error| panic!("{error}")));
        let records = actor.launch_here();
        records.register(group, Arc::new(Told(Arc::clone(&events))));
        let mut last = 1;
        assert_eq!(records.append(group, vec![(Token(1), Record)], true), None);
        tokio::time::sleep(Duration::from_millis(20)).await;
        refused.store(2, Ordering::Relaxed);
        while records.append(group, vec![(Token(last + 1), Record)], true).is_some() {
            last += 1;
        }
        assert!(last > 1, "the segment has room for some");
        lock(&events).clear();
        tokio::time::sleep(2 * FULL_RETRY).await;
    });
    let expected = ["full", "synced", "synced", "room", "some persisted"];
    assert_eq!(*lock(&events), expected);
}

// Goal: a journal that goes through many files, each made ready beside the one before it, holds at
// each start whatever was committed and not released, and nothing else.
// Method: batches of all lengths through short segments, most records released soon; a start over
// the same directory now and then.
#[test]
fn journal_goes_through_many_files() {
    const SEGMENT_BYTES: usize = 8 << 10;
    let (directory, group) = (tempfile::tempdir().expect("there is room"), GroupId::named("hits"));
    let open = || {
        let disk = FileDisk::new(directory.path().to_owned()).with_spare(SEGMENT_BYTES as u64);
        let config = Config::builder().segment_bytes(SEGMENT_BYTES).build().expect("it is valid");
        Journal::open(disk, JournalId(7), config).expect("nothing is wrong")
    };
    let record = |token: u64| vec![token as u8 | 1; (token * 37 % 900) as usize + 1];
    let (mut journal, _) = open();
    let (mut next, mut kept, mut most) = (1_u64, 1_u64, 0);
    for round in 0..400_u64 {
        for _ in 0..round % 4 + 1 {
            journal.append(group, Token(next), &record(next)).expect("it fits");
            next += 1;
        }
        journal.commit().expect("there is room");
        kept = kept.max(next.saturating_sub(20));
        journal.release(group, Token(kept)).expect("there is room");
        most = most.max(journal.stats().segments);
        if round % 23 == 0 {
            drop(journal);
            let (opened, recovered) = open();
            journal = opened;
            let records = &recovered.records[&group];
            let tokens: Vec<u64> = records.iter().map(|(token, _)| token.0).collect();
            let first = tokens[0];
            assert!(first <= kept, "{first} and {kept}");
            assert_eq!(tokens, (first..next).collect::<Vec<_>>());
            assert!(records.iter().all(|(token, bytes)| *bytes == record(token.0)));
        }
    }
    assert!(most <= 4, "{most} segments at a time, so that many came and went");
}
