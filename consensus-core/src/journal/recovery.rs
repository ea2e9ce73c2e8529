//! Reading a journal back: what is verified, what is refused, and what is cut.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Disk, DiskError, JournalError, JournalId,
    batch::{self, Found, Link},
    retention::Retention,
    segment::{self, Header},
    sum::Place,
};
use crate::process::{GroupId, Token};

/// What a journal held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The records of each group, oldest first, with consecutive tokens. Each is a slice of its
    /// segment.
    pub records: BTreeMap<GroupId, Vec<(Token, Bytes)>>,
    /// What was removed because it was never finished.
    pub cut: Option<Cut>,
}

/// The end of the journal that belonged to no whole batch: a commit that was never confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: String,
    /// From where on it was emptied.
    pub offset: u64,
}

/// The segment that the next batch goes to if it has room.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) number: u64,
    pub(super) file: String,
    pub(super) length: usize,
    /// Where the next batch starts.
    pub(super) offset: usize,
}

impl Tail {
    /// Returns how long a batch may be.
    pub(super) fn room(&self) -> usize {
        self.length - self.offset
    }
}

/// All that a journal knows besides its disk.
#[derive(Debug)]
pub(super) struct State {
    pub(super) retention: Retention,
    pub(super) tail: Option<Tail>,
    /// The next segment to be created.
    pub(super) next_segment: u64,
    /// The next batch.
    pub(super) link: Link,
}

/// Verifies all that is on `disk`, cuts what was never finished, and returns the rest.
pub(super) fn recover<D: Disk>(
    disk: &mut D,
    journal: JournalId,
) -> Result<(State, Recovered), JournalError> {
    let (numbers, mut leftovers) = list(disk)?;
    let mut reader = Reader::new(journal);
    for number in &numbers {
        let bytes = disk.read(&segment::name(*number))?;
        reader.read(*number, bytes, Some(number) == numbers.last())?;
    }

    // Nothing is changed before all is verified.
    let mut cut = reader.headless.map(|number| Cut { file: segment::name(number), offset: 0 });
    leftovers.extend(cut.iter().map(|cut| cut.file.clone()));
    for file in &leftovers {
        disk.remove(file)?;
    }
    if let Some(last) = &reader.last {
        confirm(disk, last)?;
        if clear(disk, last)? {
            cut = Some(Cut { file: last.file.clone(), offset: last.end as u64 });
        }
    }

    let next = numbers.last().map_or(1, |last| last.saturating_add(1));
    let state = State {
        retention: reader.retention,
        tail: reader.last.map(Segment::into_tail),
        next_segment: reader.headless.unwrap_or(next),
        link: reader.link,
    };
    Ok((state, Recovered { records: reader.records, cut }))
}

/// Returns the numbers of the segments in order, and the files that never became segments.
fn list<D: Disk>(disk: &mut D) -> Result<(Vec<u64>, Vec<String>), JournalError> {
    let files = disk.list()?;
    let mut numbers: Vec<u64> = files.iter().filter_map(|file| segment::number(file)).collect();
    numbers.sort_unstable();
    for (number, next) in numbers.iter().zip(numbers.iter().skip(1)) {
        if *next != number + 1 {
            return Err(JournalError::Missing { file: segment::name(number + 1) });
        }
    }
    let leftovers = files.into_iter().filter(|file| segment::is_unfinished_name(file)).collect();
    Ok((numbers, leftovers))
}

/// A segment that was read.
struct Segment {
    number: u64,
    file: String,
    /// As long as it was made: what is missing at the end of the file reads as zeros.
    bytes: Bytes,
    /// Whether something is missing at the end of the file.
    is_short: bool,
    /// Where its last whole batch starts; its end if it has none.
    last_batch: usize,
    /// Where its last whole batch ends.
    end: usize,
}

impl Segment {
    fn into_tail(self) -> Tail {
        let length = self.bytes.len();
        Tail { number: self.number, file: self.file, length, offset: self.end }
    }

    fn corrupt(&self, reason: &'static str) -> JournalError {
        JournalError::Corrupt { file: self.file.clone(), offset: self.end as u64, reason }
    }
}

/// Reads segments in order.
struct Reader {
    journal: JournalId,
    records: BTreeMap<GroupId, Vec<(Token, Bytes)>>,
    retention: Retention,
    /// The segment that was read last.
    last: Option<Segment>,
    /// The segment after it, if its header was never finished.
    headless: Option<u64>,
    /// The batch that must come next.
    link: Link,
}

impl Reader {
    fn new(journal: JournalId) -> Self {
        Self {
            journal,
            records: BTreeMap::new(),
            retention: Retention::default(),
            last: None,
            headless: None,
            link: Link::FIRST,
        }
    }

    /// Reads the segment that follows; only the last of all may have an end that was never written.
    fn read(&mut self, number: u64, bytes: Bytes, is_last: bool) -> Result<(), JournalError> {
        let file = segment::name(number);
        let corrupt = |offset: usize, reason| {
            Err(JournalError::Corrupt { file: file.clone(), offset: offset as u64, reason })
        };
        let Some(header) = Header::read(&bytes, &file, number, self.journal)? else {
            if is_last {
                self.headless = Some(number);
                return Ok(());
            }
            return corrupt(0, "its header is missing, and other segments follow");
        };
        let is_short = bytes.len() < header.length;
        if is_short && !is_last {
            return corrupt(bytes.len(), "its end is missing, and other segments follow");
        }
        if let Some(previous) = self.last.take() {
            if header.first != self.link {
                return Err(previous.corrupt("batches that came after this one are missing"));
            }
            self.retention.close(previous.number);
        }

        self.link = header.first;
        let bytes = if is_short { extend(&bytes, header.length) } else { bytes };
        let end = segment::HEADER_BYTES;
        let mut segment = Segment { number, file, bytes, is_short, last_batch: end, end };
        self.read_batches(&mut segment, is_last)?;
        self.last = Some(segment);
        Ok(())
    }

    fn read_batches(&mut self, segment: &mut Segment, is_last: bool) -> Result<(), JournalError> {
        let mut place =
            Place { journal: self.journal, segment: segment.number, offset: segment.end };
        loop {
            match batch::examine(&segment.bytes, place) {
                Found::Batch { link, count, records, sum, end } => {
                    if link != self.link {
                        return Err(segment.corrupt("a batch is not the one that comes next"));
                    }
                    self.read_records(segment, records, count)?;
                    self.link = link.after(sum);
                    segment.last_batch = segment.end;
                    segment.end = end;
                    place.offset = end;
                }
                Found::Changed(reason) => return Err(segment.corrupt(reason)),
                Found::Torn { end } => {
                    let beyond = segment.bytes.get(end..).unwrap_or_default();
                    if !is_last || !segment::written(beyond).is_empty() {
                        return Err(segment.corrupt("a batch has gaps, and others follow"));
                    }
                    return Ok(());
                }
                Found::Nothing => break,
            }
        }

        // What was sealed for this place and stands elsewhere was written, and may have been
        // confirmed.
        if batch::has_gone_astray(&segment.bytes, place) {
            return Err(segment.corrupt("the batch that belongs here was written elsewhere"));
        }
        // A batch is written when the one before it is durable: one that follows proves that
        // something was here.
        place.offset += batch::HEADER_BYTES;
        if batch::has_header(&segment.bytes, place) {
            return Err(segment.corrupt("a batch is missing, and others follow"));
        }
        Ok(())
    }

    fn read_records(
        &mut self,
        segment: &Segment,
        mut records: Bytes,
        count: u32,
    ) -> Result<(), JournalError> {
        for _ in 0..count {
            let Ok((group, token, payload)) = batch::take_record(&mut records) else {
                return Err(segment.corrupt("its records reach beyond the end of their batch"));
            };
            if let Some(expected) = self.retention.expected(group)
                && token != expected
            {
                return Err(not_consecutive(segment, group, expected, token));
            }
            self.retention.append(group, token);
            self.retention.persist(group, token);
            self.records.entry(group).or_default().push((token, payload));
        }
        Ok(())
    }
}

fn not_consecutive(
    segment: &Segment,
    group: GroupId,
    expected: Token,
    found: Token,
) -> JournalError {
    let file = segment.file.clone();
    if found > expected {
        JournalError::Gap { file, group, expected, found }
    } else {
        JournalError::Repeated { file, group, expected, found }
    }
}

/// Returns `bytes` and zeros up to `length`.
fn extend(bytes: &[u8], length: usize) -> Bytes {
    let mut extended = bytes.to_vec();
    extended.resize(length, 0);
    extended.into()
}

/// Makes the last whole batch durable, which it need not be if its node was stopped between write
/// and sync.
///
/// It may have been read from the operating system's cache, and after a failed sync it may never
/// leave it. So it is written again; a write that repeats what is there can tear nothing. The
/// batches before it were synced.
fn confirm<D: Disk>(disk: &mut D, segment: &Segment) -> Result<(), DiskError> {
    let batch = segment.bytes.get(segment.last_batch..segment.end).unwrap_or_default();
    if batch.is_empty() || segment.is_short {
        return Ok(());
    }
    disk.write(&segment.file, segment.last_batch as u64, batch)?;
    disk.sync(&segment.file)
}

/// Makes everything after the last whole batch zero, and as long as it was; returns whether it was
/// not.
///
/// A crash at any point leaves what will be cleared again.
fn clear<D: Disk>(disk: &mut D, segment: &Segment) -> Result<bool, DiskError> {
    let (batches, beyond) = segment.bytes.split_at(segment.end);
    if segment.is_short {
        segment::install(disk, segment.number, segment.bytes.len(), batches)?;
        return Ok(true);
    }
    let dirt = segment::written(beyond).len();
    if dirt == 0 {
        return Ok(false);
    }

    // The end of a header goes first: without it the batch stays unfinished, whatever part of it
    // goes next.
    if let Some((header, _)) = beyond.split_first_chunk::<{ batch::HEADER_BYTES }>()
        && header.last() != Some(&0)
    {
        disk.write(&segment.file, (segment.end + header.len() - 1) as u64, &[0])?;
        disk.sync(&segment.file)?;
    }
    disk.write(&segment.file, segment.end as u64, &vec![0; dirt])?;
    disk.sync(&segment.file)?;
    Ok(true)
}
