//! The files of a journal: their names and their headers.

use bytes::{Buf, BufMut};

use super::{
    Disk, DiskError, JournalError, JournalId,
    batch::Link,
    config::SEGMENT_BYTES_MAX,
    sum::{Place, SUM_BYTES},
};

/// What a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;
/// The header has a sector of its own, which is never written again.
pub(super) const HEADER_BYTES: usize = SECTOR_BYTES;
/// What a segment starts with; without a zero, so that its start is never taken for space not
/// written to.
const MAGIC: [u8; 8] = *b"rjournal";
/// The version of the format. Magic, version and sum keep their places in every version.
const VERSION: u32 = 1;

const SUFFIX: &str = ".journal";
const UNFINISHED_SUFFIX: &str = ".journal.new";

/// Returns the name of segment `number`.
pub(super) fn name(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

/// Returns the name under which segment `number` is written before it gets its own.
pub(super) fn unfinished_name(number: u64) -> String {
    format!("{number:016x}{UNFINISHED_SUFFIX}")
}

/// Tells whether `file` is a segment that was being written when its node stopped.
pub(super) fn is_unfinished_name(file: &str) -> bool {
    file.ends_with(UNFINISHED_SUFFIX)
}

/// Returns the number of the segment called `file`; `None` if no segment is called that.
pub(super) fn number(file: &str) -> Option<u64> {
    let number = u64::from_str_radix(file.strip_suffix(SUFFIX)?, 16).ok()?;
    (name(number) == file).then_some(number)
}

/// Puts a segment of `length` bytes that starts with `content` in the place of segment `number`, if
/// there is one.
///
/// It gets its name last, when all of it is durable: no crash leaves half a segment under that
/// name, or none.
pub(super) fn install<D: Disk>(
    disk: &mut D,
    number: u64,
    length: usize,
    content: &[u8],
) -> Result<(), DiskError> {
    let unfinished = unfinished_name(number);
    disk.create(&unfinished, length as u64)?;
    disk.write(&unfinished, 0, content)?;
    disk.sync(&unfinished)?;
    disk.rename(&unfinished, &name(number))
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) journal: JournalId,
    pub(super) number: u64,
    /// The length of the file.
    pub(super) length: usize,
    /// The number of the segment's first batch, and the sum of the one before it.
    pub(super) first: Link,
}

impl Header {
    /// Returns the sector that the segment starts with.
    pub(super) fn encode(self) -> Vec<u8> {
        self.encode_as(VERSION)
    }

    fn encode_as(self, version: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.put_slice(&MAGIC);
        bytes.put_u32_le(version);
        bytes.put_u32_le(0);
        bytes.put_u128_le(self.journal.0);
        bytes.put_u64_le(self.number);
        bytes.put_u64_le(self.length as u64);
        bytes.put_u64_le(self.first.number);
        bytes.put_u64_le(self.first.previous);
        bytes.resize(HEADER_BYTES - SUM_BYTES, 0);
        let sum = self.place().sum(&bytes);
        bytes.put_u64_le(sum);
        bytes
    }

    /// Reads the header of segment `number` of `journal` from the bytes of `file`.
    ///
    /// `None` when the file ends, or only zeros follow, before the header does: no batch was
    /// written to it.
    ///
    /// # Errors
    /// Whatever else it is but this segment's header.
    pub(super) fn read(
        bytes: &[u8],
        file: &str,
        number: u64,
        journal: JournalId,
    ) -> Result<Option<Self>, JournalError> {
        let corrupt = |reason| JournalError::Corrupt { file: file.to_owned(), offset: 0, reason };
        let magic_is_ours = |magic: &[u8]| MAGIC.starts_with(magic);

        let header = bytes.get(..HEADER_BYTES).filter(|header| header.last() != Some(&0));
        let Some(header) = header else {
            let written = written(bytes);
            if !magic_is_ours(written.get(..MAGIC.len()).unwrap_or(written)) {
                return Err(JournalError::UnknownFormat { file: file.to_owned() });
            }
            if written.len() > HEADER_BYTES {
                return Err(corrupt("the end of its header is missing, and batches follow"));
            }
            return Ok(None);
        };

        let (fields, mut sum) = header.split_at(HEADER_BYTES - SUM_BYTES);
        let mut input = fields;
        if !magic_is_ours(&input.copy_to_bytes(MAGIC.len())) {
            return Err(JournalError::UnknownFormat { file: file.to_owned() });
        }
        let version = input.get_u32_le();
        let _reserved = input.get_u32_le();
        let header = Self {
            journal: JournalId(input.get_u128_le()),
            number: input.get_u64_le(),
            length: usize::try_from(input.get_u64_le()).unwrap_or(usize::MAX),
            first: Link { number: input.get_u64_le(), previous: input.get_u64_le() },
        };
        if sum.get_u64_le() != header.place().sum(fields) {
            return Err(corrupt("its header does not match the header's sum"));
        }
        if version != VERSION {
            return Err(JournalError::UnknownVersion {
                file: file.to_owned(),
                version,
                known: VERSION,
            });
        }
        if header.journal != journal {
            return Err(JournalError::Foreign {
                file: file.to_owned(),
                found: header.journal,
                expected: journal,
            });
        }
        if header.number != number {
            return Err(JournalError::Misnamed { file: file.to_owned(), number: header.number });
        }
        if header.length > SEGMENT_BYTES_MAX || header.length < bytes.len() {
            return Err(corrupt("it does not have the length that it was made with"));
        }
        Ok(Some(header))
    }

    fn place(self) -> Place {
        Place { journal: self.journal, segment: self.number, offset: 0 }
    }
}

/// Returns `bytes` up to the last one that is not zero.
pub(super) fn written(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a segment of another version is refused by its version, not as damage.
    #[test]
    fn another_version_is_refused_by_name() {
        let journal = JournalId(9);
        let header = Header { journal, number: 3, length: 8_192, first: Link::FIRST };
        let read = |bytes: &[u8]| Header::read(bytes, "file", 3, journal);
        assert_eq!(read(&header.encode()), Ok(Some(header)));
        let refused =
            JournalError::UnknownVersion { file: "file".to_owned(), version: 2, known: 1 };
        assert_eq!(read(&header.encode_as(2)), Err(refused));
    }

    // Goal: a name stands for one number and a number for one name, so that no segment is read
    // twice.
    #[test]
    fn names_and_numbers_match() {
        for expected in [0, 1, 0xabc, u64::MAX] {
            assert_eq!(number(&name(expected)), Some(expected));
            assert!(is_unfinished_name(&unfinished_name(expected)));
            assert_eq!(number(&unfinished_name(expected)), None);
        }
        for strange in ["1.journal", "000000000000000A.journal", "+000000000000001.journal", ""] {
            assert_eq!(number(strange), None, "{strange}");
        }
    }
}
