//! What a follower says of the parts of a snapshot.

use bytes::Bytes;

use crate::{
    codec::{Decode, DecodeError, Encode, put_u32, put_u64, take_u8, take_u32, take_u64},
    log::Index,
    snapshot::SnapshotId,
};

/// More parts than any snapshot has: the follower needs none.
pub(super) const ALL_PARTS: u32 = u32::MAX;

/// What became of the parts of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotResult {
    /// The parts before `next` are there, verified.
    Stored {
        /// What names the snapshot.
        snapshot: SnapshotId,
        /// The part that comes next; beyond the last where none is needed.
        next: u32,
    },
    /// The follower has lost its own snapshot to its disk, and needs one.
    Wanted {
        /// It must cover this index at least.
        index: Index,
    },
}

impl Encode for SnapshotResult {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Stored { snapshot, next } => {
                out.push(0);
                snapshot.encode(out);
                put_u32(out, *next);
            }
            Self::Wanted { index } => {
                out.push(1);
                put_u64(out, index.0);
            }
        }
    }
}

impl Decode for SnapshotResult {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_u8(input)? {
            0 => Ok(Self::Stored { snapshot: SnapshotId::decode(input)?, next: take_u32(input)? }),
            1 => Ok(Self::Wanted { index: Index(take_u64(input)?) }),
            tag => Err(DecodeError::UnknownTag { what: "answer to a snapshot", tag }),
        }
    }
}
