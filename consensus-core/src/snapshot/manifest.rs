//! What a snapshot says of itself, and how it is verified.

use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::{Cut, SnapshotId};
use crate::{
    codec::{Decode, DecodeError, Encode, put_u32, put_u64, take_u32, take_u64},
    log::Index,
    process::GroupId,
    time::WallTime,
};

/// What a manifest starts with.
const MAGIC: u64 = u64::from_le_bytes(*b"rsnapsht");
/// The version of the format. Magic and version keep their places in every version.
const VERSION: u32 = 1;

/// The longest chunk: with its headers it stays far below a frame of the transport.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The most chunks of a snapshot: 256 GiB, and a manifest that still fits into a frame.
const CHUNKS_MAX: usize = 1 << 18;

/// What a snapshot says of itself: what it is of, and a sum of each chunk of its body.
///
/// It is the root that everything else is verified against; the sum that it ends with is the
/// snapshot's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The group.
    pub group: GroupId,
    /// The point of the log.
    pub cut: Cut,
    /// The time in the log there.
    pub at: WallTime,
    /// How many bytes the body has.
    pub length: u64,
    /// How many bytes each chunk has, but for the last one.
    pub chunk_bytes: usize,
    /// The sum of each chunk.
    pub(super) sums: Vec<u64>,
}

impl Manifest {
    /// Makes the manifest of a snapshot without a body: what a replica needs of one that stores no
    /// commands.
    pub(crate) fn without_body(group: GroupId, cut: Cut) -> Self {
        let (at, chunk_bytes) = (WallTime::default(), CHUNK_BYTES_MAX);
        Self { group, cut, at, length: 0, chunk_bytes, sums: Vec::new() }
    }

    /// Tells whether there is a body: that of a state has at least its point of the log.
    pub fn has_body(&self) -> bool {
        self.length > 0
    }

    /// Returns what names the snapshot: two with one name are the same to the last byte.
    pub fn id(&self) -> SnapshotId {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        let Cut { index, term, .. } = self.cut;
        SnapshotId { index, term, digest: XxHash3_64::oneshot(&bytes) }
    }

    /// Returns how many parts are sent of it: this manifest, then each chunk.
    pub fn parts(&self) -> u32 {
        self.sums.len() as u32 + 1
    }

    /// Returns where the chunk of this number, from 0, starts and how long it is; `None` beyond the
    /// last.
    pub(super) fn extent(&self, chunk: usize) -> Option<(u64, usize)> {
        self.sums.get(chunk)?;
        let start = chunk as u64 * self.chunk_bytes as u64;
        let rest = usize::try_from(self.length - start).unwrap_or(usize::MAX);
        Some((start, rest.min(self.chunk_bytes)))
    }

    /// Tells whether `bytes` are the chunk of this number.
    pub(super) fn verifies(&self, chunk: usize, bytes: &[u8]) -> bool {
        let length = self.extent(chunk).map(|(_, length)| length);
        let sum = sum(self.group, &self.cut, chunk, bytes);
        length == Some(bytes.len()) && self.sums.get(chunk) == Some(&sum)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, MAGIC);
        put_u32(out, VERSION);
        put_u64(out, self.group.0);
        self.cut.encode(out);
        put_u64(out, self.at.0);
        put_u64(out, self.length);
        put_u32(out, self.chunk_bytes as u32);
        put_u32(out, self.sums.len() as u32);
        self.sums.iter().for_each(|sum| put_u64(out, *sum));
    }
}

/// Returns the sum of a chunk: it holds in its group, at its point of the log and at its place only.
pub(super) fn sum(group: GroupId, cut: &Cut, chunk: usize, bytes: &[u8]) -> u64 {
    let mut place = Vec::with_capacity(32);
    [group.0, cut.index.0, cut.term, chunk as u64].iter().for_each(|n| put_u64(&mut place, *n));
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(&place), bytes)
}

impl Encode for Manifest {
    fn encode(&self, out: &mut Vec<u8>) {
        self.put(out);
        put_u64(out, self.id().digest);
    }
}

impl Decode for Manifest {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        if take_u64(input)? != MAGIC {
            return Err(DecodeError::Invalid("start of a snapshot's manifest"));
        }
        if take_u32(input)? != VERSION {
            return Err(DecodeError::Invalid("version of a snapshot"));
        }
        let (group, cut) = (GroupId(take_u64(input)?), Cut::decode(input)?);
        let (at, length) = (WallTime(take_u64(input)?), take_u64(input)?);
        let (chunk_bytes, count) = (take_u32(input)? as usize, take_u32(input)? as usize);
        if !(1..=CHUNK_BYTES_MAX).contains(&chunk_bytes)
            || count > CHUNKS_MAX
            || count as u64 != length.div_ceil(chunk_bytes as u64)
        {
            return Err(DecodeError::Invalid("length of a snapshot"));
        }
        if cut.index == Index::ZERO || cut.term == 0 || cut.membership.is_empty() {
            return Err(DecodeError::Invalid("point of a snapshot"));
        }
        if input.len() / 8 < count {
            return Err(DecodeError::Truncated);
        }
        let sums = (0..count).map(|_| take_u64(input)).collect::<Result<_, _>>()?;
        let manifest = Self { group, cut, at, length, chunk_bytes, sums };
        if take_u64(input)? != manifest.id().digest {
            return Err(DecodeError::Invalid("sum of a snapshot's manifest"));
        }
        Ok(manifest)
    }
}

/// Tells whether a body of `length` bytes would have too many chunks.
pub(super) fn is_too_long(length: u64, chunk_bytes: usize) -> bool {
    length.div_ceil(chunk_bytes.max(1) as u64) > CHUNKS_MAX as u64
}
