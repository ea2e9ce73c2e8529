//! The node's one write-ahead journal, for all groups and protocols, over a [`Disk`].
//!
//! Records are staged by [`append`](Journal::append) and become durable together at
//! [`commit`](Journal::commit), as one batch: one write, one sync, whatever groups they belong to.
//! The journal never interprets a record, never changes one, and reads them only when it is
//! [opened](Journal::open). Space is given back by the segment, once every record in it was
//! [released](Journal::release).
//!
//! # Layout
//!
//! The journal is a row of segments: files with consecutive numbers as names, each of a length that
//! is fixed when it is created. A segment is a header and then batches; what was never written to
//! reads as zeros. Integers are little-endian.
//!
//! ```text
//! segment    0  header
//!          512  batches, each at a multiple of 64
//!               zeros up to the segment's length
//!
//! header     0  "rjournal"
//!            8  version u32, zero u32
//!           16  journal u128
//!           32  number of the segment u64
//!           40  length of the segment u64
//!           48  number of its first batch u64, sum of the batch before that u64
//!           64  zeros
//!          504  sum u64 of 0..504, seeded with journal, segment number and offset 0
//!
//! batch      0  "rj-batch"
//!            8  number u64, sum of the batch before it u64
//!           24  length u32, from the header to the end of the last sum
//!           28  records u32
//!           32  blank sectors u32
//!           36  zeros
//!           56  sum u64 of 0..56, seeded with journal, segment number and the batch's offset
//!           64  records, zeros up to 8 bytes before a multiple of 64
//!               sum u64 of 64.., seeded with the sum at 56
//!
//! record     0  group u64, token u64
//!           16  length u32
//!           20  payload
//! ```
//!
//! A batch is never continued in another segment, and its header lies in one sector. Its sums hold
//! in its journal, at its place, and after the batch that it was written after: one that was
//! written elsewhere, or stood here once, is not valid. The last byte of a sum is never zero, not
//! even with a bit flipped.
//!
//! # Torn or changed
//!
//! What a crash cut short was never confirmed, and is cut. What changed after it was written may
//! have been confirmed, and a quorum may count on it: a node that dropped it would forget its vote
//! or an entry, and committed commands could be lost. Both fail their checksum. Three rules tell
//! them apart:
//!
//! * A batch is written when the one before it is durable, and a segment is begun when the one
//!   before it is. So only the very last batch can be torn: what does not match and is followed by
//!   a header, was changed.
//! * Space is zero before it is written to. So a torn batch has a hole of zeros: its end, where the
//!   last byte of its sum is zero, or a sector within it. Sectors that were zero when the batch was
//!   sealed are counted in its header as blank; a hole makes them more.
//! * A header that was sealed for the place where the last batch ought to be, and stands further on,
//!   was written there by a disk that missed: [`JournalError::Corrupt`].
//! * A last batch without a hole that does not match was changed: [`JournalError::Corrupt`].
//!
//! Three kinds of damage look like a tear and cannot be told from one: a sector of the very last
//! batch that turned to zeros, a last segment that was shortened, and one that was removed.

mod batch;
mod config;
mod disk;
mod error;
mod memory;
mod recovery;
mod retention;
mod segment;
mod staging;
mod sum;

use std::fmt;

pub use config::{Builder, Config, ConfigError};
pub use disk::{Disk, DiskError, Operation};
pub use error::JournalError;
pub use memory::MemoryDisk;
pub use recovery::{Cut, Recovered};

use self::{
    batch::Link,
    recovery::{State, Tail},
    retention::Retention,
    segment::Header,
    staging::{Planned, Staging},
    sum::Place,
};
use crate::process::{GroupId, Token};

/// Which journal it is: the incarnation of its node, so that no other node's segments, nor an old
/// self's, pass.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId(pub u128);

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a journal tells operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many segments there are.
    pub segments: usize,
    /// How many batches were made durable since the journal was opened.
    pub batches: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many records were in them.
    pub records: u64,
}

/// A write-ahead journal on the disk `D`.
///
/// ```
/// use consensus_core::{GroupId, Token, journal::{Config, Journal, JournalId, MemoryDisk}};
///
/// let group = GroupId::named("hits");
/// let (mut journal, _) = Journal::open(MemoryDisk::new(), JournalId(7), Config::default())?;
/// journal.append(group, Token(1), b"voted for n2")?;
/// journal.commit()?;
///
/// let mut disk = journal.into_disk();
/// disk.crash();
/// let (_, recovered) = Journal::open(disk, JournalId(7), Config::default())?;
/// assert_eq!(recovered.records[&group], [(Token(1), "voted for n2".into())]);
/// # Ok::<(), consensus_core::journal::JournalError>(())
/// ```
#[derive(Debug)]
pub struct Journal<D> {
    disk: D,
    id: JournalId,
    config: Config,
    staging: Staging,
    retention: Retention,
    /// The segment that batches go to; `None` until the first commit of all.
    tail: Option<Tail>,
    next_segment: u64,
    link: Link,
    stats: Stats,
    /// Why nothing is written any more.
    failure: Option<DiskError>,
}

impl<D: Disk> Journal<D> {
    /// Opens the journal `id` on `disk`, and returns what it holds.
    ///
    /// All of it is read and verified. An end that was never finished is cut; nothing else is ever
    /// changed.
    ///
    /// # Errors
    /// [`JournalError`], when `disk` holds anything but what this journal wrote, or fails.
    pub fn open(
        mut disk: D,
        id: JournalId,
        config: Config,
    ) -> Result<(Self, Recovered), JournalError> {
        let (state, recovered) = recovery::recover(&mut disk, id)?;
        let State { retention, tail, next_segment, link } = state;
        let staging = Staging::new(config.batch_bytes_max());
        let stats = Stats::default();
        let failure = None;
        let journal =
            Self { disk, id, config, staging, retention, tail, next_segment, link, stats, failure };
        Ok((journal, recovered))
    }

    /// Stages a record, to become durable at the next [`commit`](Self::commit).
    ///
    /// Staging has no bound of its own: whoever appends must stop after [`JournalError::Full`].
    ///
    /// # Errors
    /// [`JournalError::TooLarge`], or [`JournalError::Failed`] if the disk failed before; nothing
    /// is staged then.
    ///
    /// # Panics
    /// If `token` does not follow the last one of `group`: recovery would refuse such a journal.
    pub fn append(
        &mut self,
        group: GroupId,
        token: Token,
        payload: &[u8],
    ) -> Result<(), JournalError> {
        self.check()?;
        let limit = self.config.payload_bytes_max();
        if payload.len() > limit {
            return Err(JournalError::TooLarge { length: payload.len(), limit });
        }

        let expected = self.retention.expected(group);
        assert!(
            expected.is_none_or(|expected| token == expected),
            "the tokens of a group are consecutive"
        );

        let room = self.tail.as_ref().map_or(0, Tail::room);
        self.staging.push(group, token, payload, room);
        self.retention.append(group, token);
        Ok(())
    }

    /// Makes everything staged durable; when it returns, all of it is.
    ///
    /// That takes one write and one sync, and the same again for each segment that has to be begun.
    /// With nothing staged it does nothing. Segments whose records were all released are removed.
    ///
    /// # Errors
    /// [`JournalError::Full`] when a segment has to be begun and there is no room for it:
    /// everything stays staged, and a later commit makes it durable in the same order.
    /// [`JournalError::Failed`] when the disk failed: what was staged is durable or not, nobody can
    /// tell, and the journal takes nothing more.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.check()?;
        while let Some(batch) = self.staging.first() {
            if batch.fresh {
                self.begin_segment()?;
            }
            self.write(batch)?;
        }
        self.remove_released()
    }

    /// Lets the records of `group` before `before` go.
    ///
    /// Where the record `before` is only staged, as one that replaces the older ones may be, it
    /// takes effect once that is durable. It is forgotten when the journal is closed: records that
    /// are still there come back at the next [`open`](Self::open), and are to be released again.
    ///
    /// # Errors
    /// [`JournalError::Failed`].
    pub fn release(&mut self, group: GroupId, before: Token) -> Result<(), JournalError> {
        self.check()?;
        self.retention.release(group, before);
        self.remove_released()
    }

    /// Returns the oldest segment and the groups that need it, if there are more than `segments_max`
    /// that are complete: a group that is asked for little may hold up the space of all others.
    pub fn holders(&self, segments_max: usize) -> Option<(u64, Vec<GroupId>)> {
        if self.retention.closed() <= segments_max {
            return None;
        }
        self.retention.holders()
    }

    /// Tells how many records are staged.
    pub fn staged(&self) -> usize {
        self.staging.len()
    }

    /// Tells how many bytes are staged.
    pub fn staged_bytes(&self) -> usize {
        self.staging.bytes()
    }

    /// Returns what operators want to know.
    pub fn stats(&self) -> Stats {
        let segments = self.retention.closed() + usize::from(self.tail.is_some());
        Stats { segments, ..self.stats }
    }

    /// Returns the disk; whoever changes the journal's files through it breaks the journal.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Closes the journal; what is staged is lost.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Begins the next segment, after which the present one is complete.
    fn begin_segment(&mut self) -> Result<(), JournalError> {
        let (number, length) = (self.next_segment, self.config.segment_bytes());
        let header = Header { journal: self.id, number, length, first: self.link };
        let installed = segment::install(&mut self.disk, number, length, &header.encode());
        installed.map_err(|error| self.judge(error))?;

        let file = segment::name(number);
        let tail = Tail { number, file, length, offset: segment::HEADER_BYTES };
        if let Some(previous) = self.tail.replace(tail) {
            self.retention.close(previous.number);
        }
        self.next_segment += 1;
        Ok(())
    }

    /// Writes the first staged batch, which is `batch`, to the present segment.
    fn write(&mut self, batch: Planned) -> Result<(), JournalError> {
        // The first batch of a journal is fresh, and a fresh one begins a segment.
        let tail = self.tail.as_mut().expect("a batch is written to a segment that was begun");
        let extent = self.staging.first_extent();
        assert!(extent.len() <= tail.room(), "a batch is staged for the segment it fits in");

        let place = Place { journal: self.id, segment: tail.number, offset: tail.offset };
        let sum = batch::seal(extent, place, self.link, batch.records);
        let bytes = extent.len();
        let written = self.disk.write(&tail.file, tail.offset as u64, extent);
        if let Err(error) = written.and_then(|()| self.disk.sync(&tail.file)) {
            return Err(self.fail(error));
        }

        tail.offset += bytes;
        self.link = self.link.after(sum);
        self.stats.batches += 1;
        self.stats.bytes += bytes as u64;
        self.stats.records += u64::from(batch.records);
        for (group, token) in self.staging.remove_first() {
            self.retention.persist(group, token);
        }
        Ok(())
    }

    fn remove_released(&mut self) -> Result<(), JournalError> {
        // Removed, not used again: old batches then never stand where new ones are looked for.
        while let Some(number) = self.retention.pop_released() {
            self.disk.remove(&segment::name(number)).map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    /// Fails if the disk did.
    fn check(&self) -> Result<(), JournalError> {
        self.failure.clone().map_or(Ok(()), |failure| Err(JournalError::Failed(failure)))
    }

    /// Takes note of `error` unless the operation can be repeated.
    fn judge(&mut self, error: DiskError) -> JournalError {
        match error {
            DiskError::Full => JournalError::Full,
            DiskError::Failed { .. } => self.fail(error),
        }
    }

    /// Takes note that the disk failed: nothing is written after that.
    fn fail(&mut self, error: DiskError) -> JournalError {
        self.failure = Some(error.clone());
        JournalError::Failed(error)
    }
}

#[cfg(test)]
mod tests;
