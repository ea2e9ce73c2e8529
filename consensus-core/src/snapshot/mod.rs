//! Snapshots: the state of a replica at a point of its log, which the log before it is let go for.
//!
//! A protocol says when one is [taken](Order::Take), sent and installed; what is in one is the
//! replica's ([`Replica::save`](crate::replica::Replica::save)); how it lies on a disk, is cut into
//! parts and verified is here, over the journal's [`Disk`](crate::journal::Disk), so that the
//! simulator and the actors run the same.
//!
//! # Layout
//!
//! A directory for each group. A snapshot is two files named after its index, term and digest:
//!
//! ```text
//! ....snapshot    the body, as the replica wrote it
//! ....manifest    magic, version, group, point of the log, time, lengths, a sum of each chunk of
//!                 the body, and a sum of all that: the digest
//! ```
//!
//! The manifest gets its name last, when the body is durable: what has none was never finished and
//! is removed when the [`Store`] is opened. The sums hold at one place of one snapshot only.
//!
//! Bodies are deterministic, as states are: two replicas that take a snapshot of one index get the
//! same digest, and whoever receives one may go on with another sender where it stopped.

mod draft;
mod manifest;
mod mutant;
mod pace;
mod reader;
mod store;

use std::fmt;

use bytes::Bytes;

pub use draft::Draft;
pub use manifest::{CHUNK_BYTES_MAX, Manifest};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
#[cfg(not(feature = "mutants"))]
use mutant::Mutant;
pub(crate) use pace::{Due, Pace};
pub use reader::Reader;
pub use store::{Opened, Received, Store};

use crate::{
    codec::{Decode, DecodeError, Encode, put_u64, take_u64},
    journal::DiskError,
    log::Index,
    members::NodeId,
    membership::Membership,
};

/// A point of a log: what a snapshot there covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    /// The last index that it covers.
    pub index: Index,
    /// The leadership clock of the entry there: Raft's term.
    pub term: u64,
    /// Who takes part there.
    pub membership: Membership,
}

/// What names a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// The last index that it covers.
    pub index: Index,
    /// The leadership clock of the entry there.
    pub term: u64,
    /// The digest of its manifest.
    pub digest: u64,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// What a protocol asks its host to do with snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Takes one of the state at `cut`, in order with what is applied; answered by
    /// [`Report::Saved`] or [`Report::Failed`].
    Take(Cut),
    /// Takes none, though one was asked for: the replica has no state, or not yet.
    Decline,
    /// Puts this one, which is durable, in the place of the replica's state, in order with what is
    /// applied.
    Restore(SnapshotId),
    /// Reads a part for a peer; answered by [`Report::Fetched`].
    Fetch {
        /// The peer.
        to: NodeId,
        /// The snapshot.
        snapshot: SnapshotId,
        /// The part: 0 is the manifest, and the chunks follow.
        part: u32,
    },
    /// Keeps a part that a peer sent; answered by [`Report::Stored`].
    Store {
        /// The peer.
        from: NodeId,
        /// The snapshot.
        snapshot: SnapshotId,
        /// The part.
        part: u32,
        /// The part's bytes, not verified yet.
        bytes: Bytes,
    },
    /// Removes all but the newest ones and these, which are being sent.
    Prune {
        /// What must stay.
        used: Vec<SnapshotId>,
    },
}

/// What a host tells a protocol of snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// One is durable: taken here, or found on the disk at the start.
    Saved(Saved),
    /// The one that was to be taken could not be.
    Failed,
    /// The one that the log rests on is damaged or gone: the replica has no state.
    Lost,
    /// A part for a peer.
    Fetched {
        /// The peer.
        to: NodeId,
        /// The snapshot.
        snapshot: SnapshotId,
        /// The part.
        part: u32,
        /// Its bytes; `None` where it is damaged or gone.
        bytes: Option<Bytes>,
    },
    /// What has come of a snapshot that a peer sends.
    Stored {
        /// The peer.
        from: NodeId,
        /// The snapshot.
        snapshot: SnapshotId,
        /// The first part that is not there yet.
        next: u32,
        /// The whole snapshot, once it is durable.
        whole: Option<Saved>,
    },
}

/// A durable snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Saved {
    /// What names it.
    pub id: SnapshotId,
    /// What it covers.
    pub cut: Cut,
    /// How many parts are sent of it.
    pub parts: u32,
    /// How many bytes its body has.
    pub length: u64,
}

impl From<&Manifest> for Saved {
    fn from(manifest: &Manifest) -> Self {
        let (id, cut) = (manifest.id(), manifest.cut.clone());
        Self { id, cut, parts: manifest.parts(), length: manifest.length }
    }
}

/// Why a snapshot cannot be written, read or taken from a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// What is there is not what was written.
    #[error("snapshot {id} is damaged: {reason}")]
    Damaged {
        /// The snapshot.
        id: SnapshotId,
        /// What does not fit.
        reason: &'static str,
    },
    /// There is no such snapshot.
    #[error("snapshot {id} is not here")]
    Unknown {
        /// The snapshot.
        id: SnapshotId,
    },
    /// It would have more chunks than a manifest may name.
    #[error("a snapshot of {bytes} bytes is too long")]
    TooLong {
        /// How long it has become.
        bytes: u64,
    },
    /// The state refuses to be encoded.
    #[error("the state cannot be saved: {reason}")]
    Unencodable {
        /// Why.
        reason: String,
    },
    /// The disk failed, or is full.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Encode for Cut {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.index.0);
        put_u64(out, self.term);
        self.membership.encode(out);
    }
}

impl Decode for Cut {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            index: Index(take_u64(input)?),
            term: take_u64(input)?,
            membership: Membership::decode(input)?,
        })
    }
}

impl Encode for SnapshotId {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.index.0);
        put_u64(out, self.term);
        put_u64(out, self.digest);
    }
}

impl Decode for SnapshotId {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            index: Index(take_u64(input)?),
            term: take_u64(input)?,
            digest: take_u64(input)?,
        })
    }
}
