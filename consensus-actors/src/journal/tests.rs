use std::sync::Mutex;

use bytes::Bytes;
use consensus_core::{
    codec::Encode,
    journal::{Config, DiskError, JournalId, MemoryDisk},
};

use super::*;
use crate::sync::lock;

/// What happened, in order.
type Events = Arc<Mutex<Vec<&'static str>>>;

/// A disk that notes its syncs, and is full at first.
struct Noted(MemoryDisk, Events, bool);

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
        if std::mem::take(&mut self.2) { Err(DiskError::Full) } else { self.0.create(file, length) }
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
}

// Goal: records are reported durable after the sync that makes them so, not before, and not while
// the disk has no room for them.
#[test]
fn report_follows_the_sync() {
    let events = Events::default();
    let disk: NodeDisk = Box::new(Noted(MemoryDisk::new(), Arc::clone(&events), true));
    let (journal, _) = Journal::open(disk, JournalId(1), Config::default()).expect("it is empty");
    let group = GroupId(1);
    actix::System::new().block_on(async {
        tokio::time::pause();
        let actor = JournalActor::new(journal, Box::new(|error| panic!("{error}")));
        let desk = actor.desk();
        let records = Records::Kept { journal: actor.start(), desk };
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
