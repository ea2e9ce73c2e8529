//! The journal loses nothing that it confirmed and invents nothing, whatever the disk does.

mod crashes;

use std::collections::BTreeMap;

use bytes::Bytes;
use consensus_core::{
    GroupId, Token,
    journal::{Config, Disk, Journal, JournalError, JournalId, MemoryDisk, Recovered},
};

const ID: JournalId = JournalId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
const SEGMENT_BYTES: usize = 4 << 10;
const SECTOR_BYTES: usize = 512;
const GROUPS: [GroupId; 3] = [GroupId(1), GroupId(7), GroupId(u64::MAX)];

type Records = BTreeMap<GroupId, Vec<(Token, Bytes)>>;

fn config() -> Config {
    Config::builder().segment_bytes(SEGMENT_BYTES).build().expect("4 KiB are allowed")
}

fn open<D: Disk>(disk: D) -> Result<(Journal<D>, Recovered), JournalError> {
    Journal::open(disk, ID, config())
}

/// A number that looks random, from two.
fn mix(left: u64, right: u64) -> u64 {
    let mut bits = left.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ right.wrapping_add(0x7f4a_7c15);
    for shift in [33, 29, 32] {
        bits = (bits ^ bits >> shift).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    bits ^ bits >> 31
}

/// What the record `token` of `group` says: up to two sectors of noise, or three of zeros.
fn payload(group: GroupId, token: Token) -> Vec<u8> {
    let seed = mix(group.0, token.0);
    match seed % 8 {
        0 => vec![0; 1_500],
        1 => Vec::new(),
        2..=5 => noise(seed, seed as usize % 60),
        _ => noise(seed, seed as usize % 900),
    }
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    (0..length as u64).step_by(8).flat_map(|at| mix(seed, at).to_le_bytes()).take(length).collect()
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

/// Appends to every group and opens the journal again: nothing of all that may be missing.
fn assert_continues(disk: &mut MemoryDisk, mut records: Records) {
    let (mut journal, recovered) = open(&mut *disk).expect("the journal is sound");
    assert_eq!(recovered.records, records);
    assert_eq!(recovered.cut, None, "all was cut before");
    for group in GROUPS {
        append(&mut journal, &mut records, group, noise(group.0, 900));
    }
    journal.commit().expect("the disk is sound");
    disk.crash();
    let (_, recovered) = open(&mut *disk).expect("the journal is sound");
    assert_eq!(recovered.records, records);
}

/// A closed journal of several segments.
struct Written {
    disk: MemoryDisk,
    records: Records,
    /// Where the header and each batch of the last segment ends, and what was written by then.
    ends: Vec<(usize, Records)>,
}

impl Written {
    /// Writes batches until segment `segments` has four of them; `salt` varies what they say.
    fn new(id: JournalId, segments: usize, salt: u64) -> Self {
        let mut records = Records::new();
        let mut ends = Vec::new();
        let (mut journal, _) =
            Journal::open(MemoryDisk::new(), id, config()).expect("the disk is empty");
        while ends.len() < 5 {
            let before = journal.stats();
            // Where a segment ends, a batch of several records would be divided.
            let groups = if before.segments < segments { &GROUPS[..1] } else { &GROUPS[..] };
            let written = records.clone();
            for group in groups {
                let seed = mix(group.0, before.bytes);
                let bytes = noise(seed ^ salt, 60 + seed as usize % 280);
                append(&mut journal, &mut records, *group, bytes);
            }
            journal.commit().expect("the disk is sound");
            if journal.stats().segments == segments {
                if before.segments < segments {
                    ends.push((SECTOR_BYTES, written));
                }
                let start = ends.last().map_or(0, |(end, _)| *end);
                let length = (journal.stats().bytes - before.bytes) as usize;
                ends.push((start + length, records.clone()));
            }
        }
        assert_eq!(journal.stats().segments, segments, "all of it is where the test looks");
        Self { disk: journal.into_disk(), records, ends }
    }

    fn files(&self) -> Vec<String> {
        self.disk.clone().list().expect("the disk is sound")
    }

    /// Returns what had been written when the last segment was whole up to `end`.
    fn records_before(&self, end: usize) -> &Records {
        let whole = self.ends.iter().rev().find(|(batch_end, _)| *batch_end <= end);
        &whole.unwrap_or(&self.ends[0]).1
    }
}

// Goal: what was committed comes back, over restarts and segments, by group and in order.
// Method: six lives of one journal, each with commits of many records for all groups.
#[test]
fn committed_records_survive_restarts() {
    let mut disk = MemoryDisk::new();
    let mut records = Records::new();
    for life in 0..6 {
        let (mut journal, recovered) = open(&mut disk).expect("the journal is sound");
        assert_eq!(recovered.records, records);
        for round in 0..10 {
            for count in 0..=mix(life, round) % 8 {
                let group = GROUPS[mix(count, round) as usize % GROUPS.len()];
                let next = Token(records.get(&group).map_or(1, |list| list.len() as u64 + 1));
                append(&mut journal, &mut records, group, payload(group, next));
            }
            journal.commit().expect("the disk is sound");
        }
        disk.crash();
    }
    assert!(disk.list().is_ok_and(|files| files.len() > 6), "there are several segments");
}

// Goal: a last segment whose end is missing or was never written keeps its whole batches.
// Method: shorten the file to every length, and zero it from every byte on; then append.
#[test]
fn a_torn_end_is_cut_and_the_journal_continues() {
    let written = Written::new(ID, 2, 0);
    let file = written.files().pop().expect("there are segments");
    let contents = written.disk.contents(&file).expect("it is there");
    for length in 0..=SEGMENT_BYTES {
        for zeroed in [false, true] {
            let mut torn = contents[..length].to_vec();
            if zeroed {
                torn.resize(SEGMENT_BYTES, 0);
            }
            let mut disk = written.disk.clone();
            disk.replace(&file, torn);
            let (_, recovered) = open(&mut disk).expect("a torn end is no corruption");
            let expected = written.records_before(length);
            assert_eq!(recovered.records, *expected, "{length} {zeroed}");
            if length % 7 == 0 {
                assert_continues(&mut disk, expected.clone());
            }
        }
    }
}

// Goal: F4, no bit that flips, anywhere, costs a record, changes one or adds one.
// Method: flip every bit of every segment; what opens holds exactly what was written.
#[test]
fn a_flipped_bit_is_refused_or_harmless() {
    let written = Written::new(ID, 2, 0);
    let batches_end = written.ends.last().expect("there are batches").0;
    for file in written.files() {
        let mut contents = written.disk.contents(&file).expect("it is there").to_vec();
        let is_last = written.files().last() == Some(&file);
        for bit in 0..contents.len() * 8 {
            contents[bit / 8] ^= 1 << (bit % 8);
            let mut disk = written.disk.clone();
            disk.replace(&file, contents.clone());
            match open(&mut disk) {
                Ok((_, recovered)) => {
                    assert_eq!(recovered.records, written.records, "{file} bit {bit}");
                    assert!(!is_last || bit / 8 >= batches_end, "{file} bit {bit} is protected");
                }
                Err(JournalError::Corrupt { .. } | JournalError::UnknownFormat { .. }) => {}
                Err(error) => panic!("{file} bit {bit}: {error}"),
            }
            contents[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

// Goal: F2, what is damaged before the last batch is no torn tail, however much it looks like one.
// Method: zero sectors, batches and ends of segments, and shorten one, where batches follow.
#[test]
fn damage_before_the_last_batch_is_never_cut() {
    let written = Written::new(ID, 2, 0);
    let [first, last] = &written.files()[..] else { panic!("there are two segments") };
    let ends: Vec<usize> = written.ends.iter().map(|(end, _)| *end).collect();
    let holes = [
        (last, ends[0]..ends[1]),
        (last, ends[2]..ends[3]),
        (last, ends[3] - 8..ends[3]),
        (last, ends[1]..ends[1] + 64),
        (first, SECTOR_BYTES..2 * SECTOR_BYTES),
        (first, 3 * SECTOR_BYTES..SEGMENT_BYTES),
        (first, 0..SEGMENT_BYTES),
    ];
    for (file, hole) in holes {
        let mut contents = written.disk.contents(file).expect("it is there").to_vec();
        contents[hole.clone()].fill(0);
        assert_corrupt(&written, file, contents, &format!("{file} {hole:?}"));
    }
    for start in (SECTOR_BYTES..3_000).step_by(64) {
        let mut contents = written.disk.contents(first).expect("it is there").to_vec();
        contents[start..].fill(0);
        assert_corrupt(&written, first, contents, &format!("{first} from {start} on"));
    }
    for length in [0, 100, SECTOR_BYTES, 2_000, SEGMENT_BYTES - 1] {
        let contents = written.disk.contents(first).expect("it is there")[..length].to_vec();
        assert_corrupt(&written, first, contents, &format!("{first} of {length} bytes"));
    }
}

// Goal: a segment that was begun proves that the one before it was complete, even if it is empty.
// Method: tear the last segment and put an empty one after it.
#[test]
fn a_torn_batch_before_an_empty_segment_is_no_tear() {
    let mut written = Written::new(ID, 2, 0);
    let [_, last] = &written.files()[..] else { panic!("there are two segments") };
    written.disk.replace("0000000000000003.journal", vec![0; SEGMENT_BYTES]);
    let mut contents = written.disk.contents(last).expect("it is there").to_vec();
    assert_eq!(open(written.disk.clone()).expect("it is sound").1.records, written.records);
    contents[written.ends[4].0 - 100..].fill(0);
    assert_corrupt(&written, last, contents, "torn before an empty segment");
}

// Goal: a batch that stood at its place in another history of this journal is not taken.
// Method: exchange each batch for the one of a twin that said other things at the same lengths.
#[test]
fn a_batch_of_another_history_is_refused() {
    let (written, twin) = (Written::new(ID, 2, 0), Written::new(ID, 2, 1));
    let [_, last] = &written.files()[..] else { panic!("there are two segments") };
    let stale = twin.disk.contents(last).expect("they are alike");
    for batch in written.ends.windows(2).map(|ends| ends[0].0..ends[1].0) {
        let mut contents = written.disk.contents(last).expect("it is there").to_vec();
        contents[batch.clone()].copy_from_slice(&stale[batch.clone()]);
        assert_corrupt(&written, last, contents, &format!("{batch:?}"));
    }
    assert_corrupt(&written, last, stale.to_vec(), "the whole segment");
}

fn assert_corrupt(written: &Written, file: &str, contents: Vec<u8>, what: &str) {
    let mut disk = written.disk.clone();
    disk.replace(file, contents.clone());
    let refused = open(&mut disk).map(|_| ());
    assert!(matches!(refused, Err(JournalError::Corrupt { .. })), "{what}: {refused:?}");
    assert_eq!(disk.contents(file), Some(&contents[..]), "what is refused is left as it is");
}

// Goal: F3, a batch is valid nowhere but where it was written.
// Method: write each batch, and each of another journal, at every place of the last segment.
#[test]
fn a_misdirected_batch_is_never_taken() {
    let written = Written::new(ID, 2, 0);
    let other = Written::new(JournalId(1), 2, 0);
    let file = written.files().pop().expect("there are segments");
    let target = written.disk.contents(&file).expect("it is there");
    for source in [&written, &other] {
        let contents = source.disk.contents(&file).expect("both have as many segments");
        for batch in source.ends.windows(2).map(|ends| &contents[ends[0].0..ends[1].0]) {
            for place in (0..=SEGMENT_BYTES - batch.len()).step_by(64) {
                let mut misdirected = target.to_vec();
                misdirected[place..place + batch.len()].copy_from_slice(batch);
                let is_home = misdirected == target;
                let mut disk = written.disk.clone();
                disk.replace(&file, misdirected);
                match open(&mut disk) {
                    Ok((_, recovered)) => assert_eq!(recovered.records, written.records, "{place}"),
                    Err(error) => assert!(!is_home, "{place}: {error}"),
                }
            }
        }
    }
}

// Goal: F3, a last batch that a disk wrote to another place than its own is no end that was never
// written: it was confirmed.
// Method: move the last batch to every place behind its own.
#[test]
fn a_last_batch_that_went_astray_is_refused() {
    let written = Written::new(ID, 2, 0);
    let file = written.files().pop().expect("there are segments");
    let contents = written.disk.contents(&file).expect("it is there");
    let [.., (start, _), (end, _)] = &written.ends[..] else { panic!("there are batches") };
    let batch = &contents[*start..*end];
    for place in (start + 64..=SEGMENT_BYTES - batch.len()).step_by(64) {
        let mut astray = contents.to_vec();
        astray[*start..*end].fill(0);
        astray[place..place + batch.len()].copy_from_slice(batch);
        assert_corrupt(&written, &file, astray, &format!("moved to {place}"));
    }
}

// Goal: what is no row of this journal's segments is refused, each with its own reason.
// Method: take away, exchange, rename and add files.
#[test]
fn strange_segments_are_refused() {
    let written = Written::new(ID, 3, 0);
    let [first, second, third] = &written.files()[..] else { panic!("there are three segments") };
    let open_with = |file: &str, contents: Vec<u8>| {
        let mut disk = written.disk.clone();
        disk.replace(file, contents);
        open(disk).map(|_| ()).expect_err("it is refused")
    };
    let contents = |file: &str| written.disk.contents(file).expect("it is there").to_vec();

    let mut disk = written.disk.clone();
    disk.remove(second).expect("it is there");
    let missing = open(disk).map(|_| ()).expect_err("it is refused");
    assert_eq!(missing, JournalError::Missing { file: second.clone() });

    let misnamed = open_with(third, contents(second));
    assert_eq!(misnamed, JournalError::Misnamed { file: third.clone(), number: 2 });

    let other = Written::new(JournalId(1), 3, 0);
    let foreign = open_with(first, other.disk.contents(first).expect("it is there").to_vec());
    let expected = JournalError::Foreign { file: first.clone(), found: JournalId(1), expected: ID };
    assert_eq!(foreign, expected);

    for strange in [b"dear diary, ".repeat(100), b"short".to_vec()] {
        let file = "0000000000000004.journal".to_owned();
        assert_eq!(open_with(&file, strange), JournalError::UnknownFormat { file });
    }

    // What never got a segment's name is none, and files of other names are not looked at.
    let mut disk = written.disk.clone();
    disk.replace("0000000000000004.journal.new", vec![7; 100]);
    disk.replace("README", vec![7; 100]);
    let (_, recovered) = open(&mut disk).expect("the journal is sound");
    assert_eq!(recovered.records, written.records);
    assert_eq!(disk.list().map(|files| files.len()), Ok(4));
}

// Goal: whatever bytes stand in a segment, opening neither panics nor invents a record.
// Method: seeded noise as a whole segment, after a true header, and in the middle of true batches.
#[test]
fn arbitrary_bytes_never_panic() {
    let written = Written::new(ID, 2, 0);
    let file = written.files().pop().expect("there are segments");
    let contents = written.disk.contents(&file).expect("it is there");
    for seed in 0..1_500 {
        let start = [0, 8, SECTOR_BYTES, mix(seed, 1) as usize % SEGMENT_BYTES][seed as usize % 4];
        let length = mix(seed, 2) as usize % (SEGMENT_BYTES - start + 100);
        let mut arbitrary = contents[..start].to_vec();
        arbitrary.extend(noise(seed, length));
        if seed % 3 == 0 && arbitrary.len() < SEGMENT_BYTES {
            arbitrary.extend(&contents[arbitrary.len()..]);
        }
        let mut disk = written.disk.clone();
        disk.replace(&file, arbitrary);
        if let Ok((_, recovered)) = open(&mut disk) {
            for (group, list) in &recovered.records {
                assert!(written.records[group].starts_with(list), "{seed}");
            }
        }
    }
}
