//! Batches: what one commit writes at once, and what one checksum protects.

use bytes::{Buf, BufMut, Bytes};

use super::{
    segment::SECTOR_BYTES,
    sum::{self, Place, SUM_BYTES},
};
use crate::{
    codec::{self, DecodeError},
    process::{GroupId, Token},
};

/// The length of a batch's header.
pub(super) const HEADER_BYTES: usize = 64;
/// Batches start and end at multiples of this, so that no header lies in two sectors.
const ALIGNMENT: usize = HEADER_BYTES;
/// What a batch takes besides its records.
pub(super) const OVERHEAD_BYTES: usize = HEADER_BYTES + SUM_BYTES;
/// What a record takes besides its payload.
pub(super) const RECORD_BYTES: usize = 20;
/// What a batch starts with.
const MAGIC: [u8; 8] = *b"rj-batch";

/// A batch's place in the chain of all batches of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// From 1, without gaps.
    pub(super) number: u64,
    /// The sum of the batch before it.
    pub(super) previous: u64,
}

impl Link {
    /// The first batch of a journal.
    pub(super) const FIRST: Self = Self { number: 1, previous: 0 };

    /// Returns the place after the batch that is here and has that sum.
    pub(super) fn after(self, sum: u64) -> Self {
        Self { number: self.number.saturating_add(1), previous: sum }
    }
}

/// Returns how long the batch of `records_bytes` is, from its header to its sum.
pub(super) fn extent(records_bytes: usize) -> usize {
    (OVERHEAD_BYTES + records_bytes).next_multiple_of(ALIGNMENT)
}

/// Appends one record to a batch.
pub(super) fn put_record(out: &mut Vec<u8>, group: GroupId, token: Token, payload: &[u8]) {
    codec::put_u64(out, group.0);
    codec::put_u64(out, token.0);
    codec::put_bytes(out, payload);
}

/// Takes one record from the front of `records`; its payload is a slice of it.
pub(super) fn take_record(records: &mut Bytes) -> Result<(GroupId, Token, Bytes), DecodeError> {
    let group = GroupId(codec::take_u64(records)?);
    let token = Token(codec::take_u64(records)?);
    Ok((group, token, codec::take_bytes(records)?))
}

/// Writes header and sum around the records in `extent`; returns the batch's sum.
///
/// Between the header's place and the sum's, both zero so far, stand the records and zeros up to
/// the sum.
pub(super) fn seal(extent: &mut [u8], place: Place, link: Link, records: u32) -> u64 {
    assert!(extent.len().is_multiple_of(ALIGNMENT), "an extent ends where the next may start");
    assert!(extent.len() > OVERHEAD_BYTES, "a batch has records");

    let length = extent.len();
    let blank = blank_sectors(extent, place.offset);
    let (header, body) = extent.split_at_mut(HEADER_BYTES);
    let header_sum = Header { link, length, records, blank }.encode(header, place);
    let (records, mut end) = body.split_at_mut(length - OVERHEAD_BYTES);
    let body_sum = sum::sum(header_sum, records);
    end.put_u64_le(body_sum);
    body_sum
}

/// What stands where a batch may start.
#[derive(Debug)]
pub(super) enum Found {
    /// A batch as it was sealed.
    Batch {
        link: Link,
        /// How many records are in it.
        count: u32,
        /// The records, and zeros up to the sum.
        records: Bytes,
        /// The batch's sum.
        sum: u64,
        /// Where the batch ends.
        end: usize,
    },
    /// What changed after it was sealed.
    Changed(&'static str),
    /// No header, or the start of one: no batch was written here, or its first sector was not.
    Nothing,
    /// A batch of which a part was never written.
    Torn {
        /// Where it would end.
        end: usize,
    },
}

/// Judges what stands at `place` in the segment that is `image`.
pub(super) fn examine(image: &Bytes, place: Place) -> Found {
    let rest = image.get(place.offset..).unwrap_or_default();
    let Some(bytes) = rest.first_chunk() else {
        return Found::Nothing;
    };
    let Some((header, header_sum)) = Header::decode(bytes, place) else {
        return match bytes.last() {
            Some(0) => Found::Nothing,
            _ => Found::Changed("the header of a batch does not match the header's sum"),
        };
    };
    let end = place.offset + header.length;
    let extent = rest.get(..header.length).and_then(|extent| extent.split_last_chunk());
    let Some((_, sum)) = extent else {
        return Found::Changed("a batch reaches beyond the end of its segment");
    };
    let records = image.slice(place.offset + HEADER_BYTES..end - SUM_BYTES);
    let sum = u64::from_le_bytes(*sum);
    if sum == sum::sum(header_sum, &records) {
        return Found::Batch { link: header.link, count: header.records, records, sum, end };
    }

    // Either the write ended early, or it left out sectors, which then read as zeros more than were
    // sealed.
    let extent = rest.get(..header.length).unwrap_or_default();
    if extent.last() == Some(&0) || blank_sectors(extent, place.offset) > header.blank {
        Found::Torn { end }
    } else {
        Found::Changed("a batch does not match its sum")
    }
}

/// Tells whether a header stands at `place` or further on; what it heads is not looked at.
pub(super) fn has_header(image: &[u8], place: Place) -> bool {
    let rest = image.get(place.offset..).unwrap_or_default();
    let chunks = rest.as_chunks::<HEADER_BYTES>().0.iter();
    let mut places = (place.offset..).step_by(ALIGNMENT).map(|offset| Place { offset, ..place });
    chunks.zip(&mut places).any(|(bytes, place)| Header::decode(bytes, place).is_some())
}

/// Tells whether a header that was sealed for `place` stands further on: its write missed.
pub(super) fn has_gone_astray(image: &[u8], place: Place) -> bool {
    let beyond = image.get(place.offset + ALIGNMENT..).unwrap_or_default();
    let mut chunks = beyond.as_chunks::<HEADER_BYTES>().0.iter();
    chunks.any(|bytes| Header::decode(bytes, place).is_some())
}

#[derive(Clone, Copy, Debug)]
struct Header {
    link: Link,
    /// From the header to the end of the sum.
    length: usize,
    records: u32,
    /// How many sectors within it are zero though they were written.
    blank: u32,
}

impl Header {
    /// Writes the header to `out`; returns its sum.
    fn encode(self, out: &mut [u8], place: Place) -> u64 {
        let (fields, mut end) = out.split_at_mut(HEADER_BYTES - SUM_BYTES);
        let mut output = &mut *fields;
        output.put_slice(&MAGIC);
        output.put_u64_le(self.link.number);
        output.put_u64_le(self.link.previous);
        output.put_u32_le(self.length as u32);
        output.put_u32_le(self.records);
        output.put_u32_le(self.blank);
        let sum = place.sum(fields);
        end.put_u64_le(sum);
        sum
    }

    /// Reads a header and its sum; `None` unless it was written at `place`.
    fn decode(bytes: &[u8; HEADER_BYTES], place: Place) -> Option<(Self, u64)> {
        let (mut input, mut end) = bytes.split_at(HEADER_BYTES - SUM_BYTES);
        if !input.starts_with(&MAGIC) {
            return None;
        }
        let sum = end.get_u64_le();
        if place.sum(input) != sum {
            return None;
        }
        input.advance(MAGIC.len());
        let header = Self {
            link: Link { number: input.get_u64_le(), previous: input.get_u64_le() },
            length: input.get_u32_le() as usize,
            records: input.get_u32_le(),
            blank: input.get_u32_le(),
        };
        (header.length > OVERHEAD_BYTES).then_some((header, sum))
    }
}

/// Counts the sectors in `extent`, which starts at `offset`, that hold nothing but zeros.
///
/// The ones that hold a part of the header or of the sum are never among them.
fn blank_sectors(extent: &[u8], offset: usize) -> u32 {
    let until_sector = offset.next_multiple_of(SECTOR_BYTES) - offset;
    let within = extent.get(until_sector..extent.len() - SUM_BYTES).unwrap_or_default();
    let sectors = within.as_chunks::<SECTOR_BYTES>().0;
    sectors.iter().filter(|sector| **sector == [0; SECTOR_BYTES]).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::JournalId;

    const PLACE: Place = Place { journal: JournalId(9), segment: 3, offset: 704 };

    /// Returns a segment with one batch at [`PLACE`], and where the batch ends.
    ///
    /// Its payload: noise, three sectors of zeros, noise.
    fn sealed() -> (Vec<u8>, usize) {
        let payload = [&[7; 900][..], &[0; 2_000], &[7; 900]].concat();
        let mut batch = vec![0; HEADER_BYTES];
        put_record(&mut batch, GroupId(1), Token(1), &payload);
        batch.resize(extent(RECORD_BYTES + payload.len()), 0);
        seal(&mut batch, PLACE, Link::FIRST, 1);
        let end = PLACE.offset + batch.len();
        let mut image = vec![0; 8_192];
        image[PLACE.offset..end].copy_from_slice(&batch);
        (image, end)
    }

    fn judge(image: &[u8]) -> Found {
        examine(&Bytes::copy_from_slice(image), PLACE)
    }

    // Goal: sectors that are zero on purpose are no hole, so that a change beside them is not taken
    // for a tear.
    // Method: flip every bit of a batch with such sectors.
    #[test]
    fn a_change_beside_zeros_is_no_tear() {
        let (mut image, end) = sealed();
        assert!(matches!(judge(&image), Found::Batch { .. }));
        for bit in PLACE.offset * 8..end * 8 {
            image[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(judge(&image), Found::Changed(_)), "bit {bit}");
            image[bit / 8] ^= 1 << (bit % 8);
        }
    }

    // Goal: a batch is valid at its own place only.
    // Method: look at the same bytes as if they stood in another journal or segment, and move them
    // within theirs.
    #[test]
    fn a_batch_is_valid_at_its_own_place_only() {
        let (image, end) = sealed();
        let bytes = Bytes::copy_from_slice(&image);
        let others = [Place { journal: JournalId(8), ..PLACE }, Place { segment: 4, ..PLACE }];
        for place in others {
            assert!(matches!(examine(&bytes, place), Found::Changed(_)), "{place:?}");
        }
        for offset in (0..image.len() - (end - PLACE.offset)).step_by(ALIGNMENT) {
            let mut moved = image.clone();
            moved.copy_within(PLACE.offset..end, offset);
            let found = examine(&moved.into(), Place { offset, ..PLACE });
            assert_eq!(matches!(found, Found::Batch { .. }), offset == PLACE.offset, "{offset}");
        }
    }

    // Goal: a batch of which any sectors were not written is torn, unless they are zero anyway.
    // Method: every set of its sectors.
    #[test]
    fn every_set_of_missing_sectors_is_a_tear() {
        let (image, end) = sealed();
        let first = PLACE.offset / SECTOR_BYTES;
        let sectors = end.div_ceil(SECTOR_BYTES) - first;
        for missing in 0..1_usize << sectors {
            let mut torn = image.clone();
            for sector in (0..sectors).filter(|sector| missing >> sector & 1 == 1) {
                let start = (first + sector) * SECTOR_BYTES;
                torn[start..start + SECTOR_BYTES].fill(0);
            }
            let found = judge(&torn);
            match found {
                Found::Batch { .. } => assert_eq!(torn, image),
                Found::Nothing => assert_eq!(missing & 1, 1, "the header is missing"),
                Found::Torn { end: found } => assert_eq!((found, missing & 1), (end, 0)),
                Found::Changed(reason) => panic!("{missing:b}: {reason}"),
            }
        }
    }
}
