//! The journal's writing side: commits, space, and what the disk may refuse.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;

use super::*;

const ID: JournalId = JournalId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
const SEGMENT_BYTES: usize = 4 << 10;
const GROUPS: [GroupId; 3] = [GroupId(1), GroupId(7), GroupId(u64::MAX)];

type Records = BTreeMap<GroupId, Vec<(Token, Bytes)>>;

fn config() -> Config {
    Config::builder().segment_bytes(SEGMENT_BYTES).build().expect("4 KiB are allowed")
}

fn open<D: Disk>(disk: D) -> Result<(Journal<D>, Recovered), JournalError> {
    Journal::open(disk, ID, config())
}

/// Returns `length` bytes, most of them not zero, which tell `seed`.
fn filled(seed: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|position| (seed * 31 + position * 7) as u8).collect()
}

/// Appends the record that follows the last one of `group` in `records` to both.
fn append<D: Disk>(
    journal: &mut Journal<D>,
    records: &mut Records,
    group: GroupId,
    bytes: Vec<u8>,
) {
    let list = records.entry(group).or_default();
    let token = list.last().map_or(Token(1), |(last, _)| last.next());
    journal.append(group, token, &bytes).expect("the disk is sound");
    list.push((token, bytes.into()));
}

// Goal: everything staged, of whatever groups, becomes durable by one write and one sync; without a
// commit none does.
// Method: count the disk's operations; crash before and after the commit.
#[test]
fn a_commit_is_one_write_and_one_sync() {
    let (mut journal, _) = open(MemoryDisk::new()).expect("the disk is empty");
    let mut records = Records::new();
    append(&mut journal, &mut records, GROUPS[0], filled(1, 10));
    journal.commit().expect("the disk is sound");
    for group in GROUPS {
        for seed in 0..9 {
            append(&mut journal, &mut records, group, filled(seed, 30));
        }
    }
    assert_eq!(journal.staged(), 27);
    let before = journal.disk_mut().changes();
    journal.commit().expect("the disk is sound");
    assert_eq!(journal.disk_mut().changes() - before, 2);
    assert_eq!((journal.staged(), journal.staged_bytes()), (0, 0));
    journal.commit().expect("nothing is to be done");
    assert_eq!(journal.disk_mut().changes() - before, 2);
    let expected = Stats { segments: 1, batches: 2, bytes: 128 + 1_472, records: 28 };
    assert_eq!(journal.stats(), expected);

    journal.append(GROUPS[0], Token(11), b"staged only").expect("the disk is sound");
    let mut disk = journal.into_disk();
    disk.crash();
    assert_eq!(open(disk).expect("the journal is sound").1.records, records);
}

// Goal: segments whose records were all released go, oldest first, and what is left is a journal.
// Method: a group that keeps its first record holds every segment; once it lets go, a restart finds
// the rest.
#[test]
fn released_segments_are_removed() {
    let [keeper, busy, _] = GROUPS;
    let (mut journal, _) = open(MemoryDisk::new()).expect("the disk is empty");
    let mut records = Records::new();
    append(&mut journal, &mut records, keeper, filled(1, 10));
    for seed in 0..40 {
        append(&mut journal, &mut records, busy, filled(seed, 500));
        journal.commit().expect("the disk is sound");
    }
    let segments = journal.stats().segments;
    assert!(segments > 5);
    let all = journal.disk_mut().clone();

    journal.release(busy, Token(38)).expect("the disk is sound");
    assert_eq!(journal.stats().segments, segments, "the oldest one holds the keeper's record");
    append(&mut journal, &mut records, keeper, filled(2, 10));
    journal.release(keeper, Token(2)).expect("the disk is sound");
    assert_eq!(journal.stats().segments, segments, "what replaces the first record is only staged");
    journal.commit().expect("the disk is sound");
    assert!(journal.stats().segments <= 2);

    let mut disk = journal.into_disk();
    assert!(disk.list().expect("the disk is sound").len() <= 2);
    let (_, recovered) = open(&mut disk).expect("the journal is sound");
    assert_eq!(recovered.records[&keeper], records[&keeper][1..]);
    let kept = &recovered.records[&busy];
    assert!(kept.len() >= 3 && records[&busy].ends_with(kept), "an unbroken end is left");

    // A release is not remembered, and works again; the present segment stays.
    let (mut journal, _) = open(all).expect("the journal is sound");
    assert_eq!(journal.stats().segments, segments);
    for group in GROUPS {
        journal.release(group, Token(u64::MAX)).expect("the disk is sound");
    }
    assert_eq!(journal.stats().segments, 1);
}

// Goal: a segment of which nothing is there but the name is begun again under that name.
// Method: shorten and zero the second segment, open, and append more than the first one has room
// for.
#[test]
fn an_empty_segment_is_begun_again() {
    for length in [0, 300, SEGMENT_BYTES] {
        let (mut journal, _) = open(MemoryDisk::new()).expect("the disk is empty");
        let mut records = Records::new();
        append(&mut journal, &mut records, GROUPS[0], filled(1, 3_000));
        journal.commit().expect("the disk is sound");
        let mut disk = journal.into_disk();
        disk.replace(&segment::name(2), vec![0; length]);
        let (mut journal, recovered) = open(&mut disk).expect("the journal is sound");
        assert_eq!(recovered.cut, Some(Cut { file: segment::name(2), offset: 0 }));
        append(&mut journal, &mut records, GROUPS[0], filled(2, 3_000));
        journal.commit().expect("the disk is sound");
        assert_eq!(disk.list(), Ok(vec![segment::name(1), segment::name(2)]));
        assert_eq!(open(disk).expect("the journal is sound").1.records, records);
    }
}

// Goal: a recovery that is stopped while it cuts a torn batch can be repeated.
// Method: stop it after every change, with every number of bytes of the unsynced sector kept.
#[test]
fn a_cut_that_was_stopped_is_made_again() {
    let (mut journal, _) = open(MemoryDisk::new()).expect("the disk is empty");
    let mut records = Records::new();
    append(&mut journal, &mut records, GROUPS[0], filled(1, 50));
    journal.commit().expect("the disk is sound");
    append(&mut journal, &mut records.clone(), GROUPS[0], filled(2, 1_500));
    journal.disk_mut().stop_after(1);
    journal.commit().expect_err("the node stops before the sync");
    let mut torn = journal.into_disk();
    torn.crash_keeping(|_, offset| if offset == 1_024 { 0 } else { 512 });

    for stop in 0..7 {
        for kept in 0..=512 {
            let mut disk = torn.clone();
            disk.stop_after(stop);
            let stopped = open(&mut disk).is_err();
            assert_eq!(stopped, stop < 6, "batch, end of the header and the rest: written, synced");
            disk.crash_keeping(|_, offset| if offset == 512 { kept } else { 0 });
            let (_, recovered) = open(&mut disk).expect("a crash is no corruption");
            assert_eq!(recovered.records, records, "{stop} {kept}");
        }
    }
}

// Goal: a full disk loses and reorders nothing: commits succeed again once there is room, or
// something was released.
// Method: fill a disk of two segments, append while it is full, then enlarge it, or release.
#[test]
fn a_full_disk_keeps_what_is_staged() {
    for enlarge in [false, true] {
        let mut disk = MemoryDisk::new();
        disk.set_capacity(Some(2 * SEGMENT_BYTES as u64));
        let (mut journal, _) = open(disk).expect("the disk is empty");
        let mut records = Records::new();
        let mut durable = Records::new();
        let mut commits = 0;
        while journal.commit() == Ok(()) {
            durable.clone_from(&records);
            commits += 1;
            append(&mut journal, &mut records, GROUPS[commits % 2], filled(commits as u64, 700));
        }
        append(&mut journal, &mut records, GROUPS[2], filled(3, 3_000));
        append(&mut journal, &mut records, GROUPS[0], filled(4, 3_000));
        assert_eq!(journal.commit(), Err(JournalError::Full));
        assert_eq!(journal.staged(), 3);
        let (_, recovered) = open(journal.disk_mut().clone()).expect("reading needs no space");
        assert_eq!(recovered.records, durable);

        if !enlarge {
            for group in &GROUPS[..2] {
                let last = durable[group].last().expect("each has records").0;
                journal.release(*group, last).expect("the disk is sound");
            }
            assert_eq!(journal.commit(), Err(JournalError::Full), "there is room for one segment");
            assert_eq!(journal.staged(), 2);
        }
        journal.disk_mut().set_capacity(None);
        journal.commit().expect("there is room again");
        let (_, recovered) = open(journal.into_disk()).expect("the journal is sound");
        assert_eq!(recovered.records == records, enlarge, "else the oldest segment is gone");
        for (group, list) in &records {
            assert!(list.ends_with(&recovered.records[group]), "{group:?} is in order");
        }
    }
}

// Goal: F1, the first failure of the disk is final: nothing is confirmed, staged or tried again
// after it.
// Method: fail each operation once; then reopen from the operating system's cache, and again after
// a power loss.
#[test]
fn a_failure_of_the_disk_is_final() {
    use Operation::{Create, Remove, Rename, Sync, Write};
    for operation in [Create, Remove, Rename, Sync, Write] {
        let (mut journal, _) = open(MemoryDisk::new()).expect("the disk is empty");
        let mut records = Records::new();
        append(&mut journal, &mut records, GROUPS[0], filled(1, 1_000));
        journal.commit().expect("the disk is sound");
        journal.disk_mut().fail_next(operation);
        let confirmed = records.clone();
        let large = if operation == Sync || operation == Write { 100 } else { 3_400 };
        append(&mut journal, &mut records, GROUPS[0], filled(2, large));
        journal.release(GROUPS[0], Token(2)).expect("it waits for the commit");
        let failed = journal.commit().expect_err("the disk failed");
        assert!(matches!(failed, JournalError::Failed(_)), "{failed}");
        let again = Err(failed);
        assert_eq!(journal.commit(), again);
        assert_eq!(journal.append(GROUPS[0], Token(3), b"late"), again);
        assert_eq!(journal.release(GROUPS[0], Token(2)), again);

        let mut disk = journal.into_disk();
        let (_, seen) = open(&mut disk).expect("the disk works again");
        assert!(seen.records == confirmed || seen.records == records, "{operation}");
        disk.crash();
        let (_, recovered) = open(&mut disk).expect("the journal is sound");
        assert_eq!(recovered.records, seen.records, "{operation}: what was seen is durable");
    }
}

// Goal: a record that fits in no segment is refused before anything is staged; the longest one that
// fits is taken.
#[test]
fn a_record_larger_than_a_segment_is_refused() {
    let (mut journal, _) = open(MemoryDisk::new()).expect("the disk is empty");
    let mut records = Records::new();
    let limit = config().payload_bytes_max();
    let refused = journal.append(GROUPS[0], Token(1), &vec![1; limit + 1]);
    assert_eq!(refused, Err(JournalError::TooLarge { length: limit + 1, limit }));
    assert_eq!(journal.staged(), 0);
    append(&mut journal, &mut records, GROUPS[0], vec![1; limit]);
    append(&mut journal, &mut records, GROUPS[1], vec![2; limit]);
    journal.commit().expect("the disk is sound");
    assert_eq!(open(journal.into_disk()).expect("the journal is sound").1.records, records);
}

// Goal: a token that does not follow is a mistake of ours that stops the node, before it spoils its
// journal.
// Method: append a gap and a repetition; what was staged before stays.
#[test]
fn a_token_that_does_not_follow_is_never_staged() {
    let (mut journal, _) = open(MemoryDisk::new()).expect("the disk is empty");
    journal.append(GROUPS[0], Token(5), b"any may be the first").expect("the disk is empty");
    for token in [Token(4), Token(5), Token(7)] {
        let append = AssertUnwindSafe(|| journal.append(GROUPS[0], token, b""));
        assert!(catch_unwind(append).is_err(), "{token:?} does not follow");
        assert_eq!(journal.staged(), 1);
    }
}

// Goal: S13, a gap in a group's records is refused, and so is a record that is there twice.
// Method: seal batches that the journal itself never would.
#[test]
fn records_that_are_not_consecutive_are_refused() {
    let [group, other, _] = GROUPS;
    let file = segment::name(1);
    let expected = Token(8);
    let gap = [(group, Token(7)), (other, Token(1)), (group, Token(9))];
    let refused = open(sealed(&gap)).map(|_| ());
    let found = Token(9);
    assert_eq!(refused, Err(JournalError::Gap { file: file.clone(), group, expected, found }));
    for found in [Token(7), Token(3)] {
        let refused = open(sealed(&[(group, Token(7)), (group, found)])).map(|_| ());
        let file = file.clone();
        assert_eq!(refused, Err(JournalError::Repeated { file, group, expected, found }));
    }
    assert!(open(sealed(&[(group, Token(7)), (other, Token(7)), (group, Token(8))])).is_ok());
    assert!(open(sealed(&[(group, Token(u64::MAX)), (group, Token(u64::MAX - 1))])).is_err());
}

/// Returns a disk with one segment that holds a batch of these records.
fn sealed(records: &[(GroupId, Token)]) -> MemoryDisk {
    let mut staging = Staging::new(config().batch_bytes_max());
    for (group, token) in records {
        staging.push(*group, *token, b"sealed", config().batch_bytes_max());
    }
    let place = Place { journal: ID, segment: 1, offset: segment::HEADER_BYTES };
    let extent = staging.first_extent();
    batch::seal(extent, place, Link::FIRST, records.len() as u32);
    let header = Header { journal: ID, number: 1, length: SEGMENT_BYTES, first: Link::FIRST };
    let mut disk = MemoryDisk::new();
    disk.replace(&segment::name(1), [&header.encode()[..], extent].concat());
    disk
}

// Goal: a configuration that exists is valid.
#[test]
fn invalid_configurations_do_not_exist() {
    let build = |bytes| Config::builder().segment_bytes(bytes).build().map(|_| ());
    for bytes in [0, 4_095, (1 << 30) + 512, usize::MAX] {
        assert_eq!(build(bytes), Err(ConfigError::SegmentLength { bytes }));
    }
    assert_eq!(build(5_000), Err(ConfigError::BrokenSector { bytes: 5_000 }));
    assert_eq!(build(16 << 20), Ok(()));
}

// Goal: a group that is asked for little is told apart as the one for which segments are kept, once
// there are many, and no more when it has written anew what it rests on.
#[test]
fn whoever_holds_up_space_is_known() {
    let (mut journal, _) = open(MemoryDisk::new()).expect("the disk is empty");
    let mut records = Records::new();
    let [quiet, busy, _] = GROUPS;
    append(&mut journal, &mut records, quiet, filled(0, 100));
    for seed in 0..40 {
        append(&mut journal, &mut records, busy, filled(seed, 1_000));
        journal.commit().expect("the disk is sound");
    }
    let last = records[&busy].last().expect("it has some").0;
    journal.release(busy, last).expect("the disk is sound");
    let segments = journal.stats().segments;
    assert!(segments > 8, "{segments}");
    assert_eq!(journal.holders(segments), None);
    let (oldest, holders) = journal.holders(2).expect("there are more");
    assert_eq!(holders, [quiet]);

    append(&mut journal, &mut records, quiet, filled(1, 100));
    journal.release(quiet, Token(2)).expect("the disk is sound");
    assert_eq!(journal.holders(2).map(|(oldest, _)| oldest), Some(oldest), "it may be lost yet");
    journal.commit().expect("the disk is sound");
    assert_eq!(journal.holders(2), None);
    assert!(journal.stats().segments <= 2);
}
