//! Why a journal cannot be opened or written.

use super::{DiskError, JournalId};
use crate::process::{GroupId, Token};

/// Why the journal refuses.
///
/// All but [`Full`](Self::Full), [`Failed`](Self::Failed) and [`TooLarge`](Self::TooLarge) come
/// from [`Journal::open`](super::Journal::open): what is on the disk is not what this journal
/// wrote. It is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Bytes changed after they were durable: records that peers may count on cannot be trusted any
    /// more.
    #[error(
        "{file} was changed at byte {offset} after it was written: {reason}; restore this node \
         from its peers as a new member, and never delete the file by hand"
    )]
    Corrupt {
        /// The segment.
        file: String,
        /// Where the batch or header that was changed starts.
        offset: u64,
        /// What does not fit.
        reason: &'static str,
    },
    /// The disk failed, now or at an earlier call; nothing will be written until the node restarts.
    #[error("the journal stopped, restart the node once the disk is sound: {0}")]
    Failed(#[source] DiskError),
    /// The segment belongs to another journal.
    #[error(
        "{file} belongs to journal {found}, not to {expected}; put each node's own directory back"
    )]
    Foreign {
        /// The segment.
        file: String,
        /// Whose it is.
        found: JournalId,
        /// Which journal was opened.
        expected: JournalId,
    },
    /// No room for another segment; what is staged stays staged, and the next commit tries again.
    #[error("the disk is full; what was staged will be written once there is room")]
    Full,
    /// Records of a group are missing between two that are there.
    #[error(
        "record {} of group {group:?} is missing, {file} goes on with {}; restore this node from \
         its peers as a new member, and never delete the file by hand",
        .expected.0, .found.0
    )]
    Gap {
        /// The segment with the record that does not follow.
        file: String,
        /// The group.
        group: GroupId,
        /// The record that had to come.
        expected: Token,
        /// The record that came.
        found: Token,
    },
    /// The segment has the name of another one of the same journal.
    #[error(
        "{file} is segment {number:016x} under a wrong name; give each segment its own name back"
    )]
    Misnamed {
        /// The segment.
        file: String,
        /// Which one it is.
        number: u64,
    },
    /// A segment is missing between two that are there.
    #[error("{file} is missing; put it back, or restore this node from its peers as a new member")]
    Missing {
        /// The segment.
        file: String,
    },
    /// A record of a group is there twice, or after a younger one.
    #[error(
        "record {} of group {group:?} comes again in {file}, where {} had to come; restore this \
         node from its peers as a new member, and never delete the file by hand",
        .found.0, .expected.0
    )]
    Repeated {
        /// The segment with the record that does not follow.
        file: String,
        /// The group.
        group: GroupId,
        /// The record that had to come.
        expected: Token,
        /// The record that came.
        found: Token,
    },
    /// The record fits in no segment; nothing was staged.
    #[error("a record of {length} bytes is too large for the journal, which takes {limit} at most")]
    TooLarge {
        /// The length of the payload.
        length: usize,
        /// The longest payload, [`Config::payload_bytes_max`](super::Config::payload_bytes_max).
        limit: usize,
    },
    /// The file is no segment of any journal.
    #[error("{file} is no journal segment; move it out of the journal's directory")]
    UnknownFormat {
        /// The file.
        file: String,
    },
    /// The segment was written by another version of this program.
    #[error("{file} has format version {version}, and this program reads version {known} only")]
    UnknownVersion {
        /// The segment.
        file: String,
        /// Its version.
        version: u32,
        /// The version that this program reads and writes.
        known: u32,
    },
}

impl From<DiskError> for JournalError {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::Full => Self::Full,
            DiskError::Failed { .. } => Self::Failed(error),
        }
    }
}
