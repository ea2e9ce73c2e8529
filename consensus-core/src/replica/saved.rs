//! A replica as a snapshot has it: the user's state, and with it the sessions, the keys and the time
//! that decide whether a command executes.
//!
//! ```text
//! length u32 | tables: group, index, time, sessions, keys | the state in named MessagePack
//! ```

use std::io::{self, Read, Write};

use bytes::Bytes;

use super::{Rejection, Replica, Reply, mutant::Mutant};
use crate::{
    codec::{DecodeError, put_bytes, put_u32, put_u64, take_bytes, take_u8, take_u32, take_u64},
    log::Index,
    process::GroupId,
    state_machine::StateMachine,
    time::WallTime,
};

/// Why what was saved is no replica.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It cannot be read, or its chunks do not verify.
    #[error("the snapshot cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The tables around the state make no sense.
    #[error("the snapshot makes no sense: {0}")]
    Malformed(#[from] DecodeError),
    /// It is of another group.
    #[error("the snapshot is of another group")]
    OtherGroup,
    /// The state is none of this state machine: its type has changed.
    #[error("the state cannot be read back, its type may have changed: {0}")]
    OtherState(#[from] rmp_serde::decode::Error),
}

/// Why a replica cannot be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// It cannot be written.
    #[error("the snapshot cannot be written: {0}")]
    Unwritable(#[from] io::Error),
    /// The state refuses to be encoded.
    #[error("the state cannot be encoded: {0}")]
    Unencodable(#[from] rmp_serde::encode::Error),
}

impl<S: StateMachine> Replica<S> {
    /// Writes all that decides what the replica will answer.
    ///
    /// # Errors
    /// [`SaveError`].
    pub fn save(&self, out: &mut impl Write) -> Result<(), SaveError> {
        let mut tables = Vec::new();
        put_u64(&mut tables, self.group.0);
        put_u64(&mut tables, self.applied.0);
        put_u64(&mut tables, self.now.0);
        if !self.bugs.has(Mutant::SessionsNotSaved) {
            self.sessions.put(&mut tables);
        } else {
            put_u32(&mut tables, 0);
        }
        if !self.bugs.has(Mutant::KeysNotSaved) {
            self.keys.put(&mut tables);
        } else {
            put_u32(&mut tables, 0);
        }
        let length = u32::try_from(tables.len())
            .map_err(|_| io::Error::other("sessions and keys take more than 4 GiB"))?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&tables)?;
        rmp_serde::encode::write_named(out, &self.machine)?;
        out.flush()?;
        Ok(())
    }

    /// Rebuilds the replica of `group` that was saved.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(group: GroupId, input: &mut impl Read) -> Result<Self, RestoreError> {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        // It grows as it is read: what a damaged length promises is not allocated.
        let mut tables = Vec::new();
        let length = u64::from(u32::from_le_bytes(length));
        input.take(length).read_to_end(&mut tables)?;
        let mut tables = Bytes::from(tables);
        let tables = &mut tables;
        if take_u64(tables)? != group.0 {
            return Err(RestoreError::OtherGroup);
        }
        let mut replica = Self::new(group);
        replica.applied = Index(take_u64(tables)?);
        replica.now = WallTime(take_u64(tables)?);
        replica.sessions.take(tables)?;
        replica.keys.take(tables)?;
        replica.machine = rmp_serde::from_read(input)?;
        Ok(replica)
    }
}

/// Appends a reply that is kept.
pub(super) fn put_reply(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Ok(bytes) => {
            out.push(0);
            put_bytes(out, bytes);
        }
        Err(rejection) => out.push(match rejection {
            Rejection::Panicked => 1,
            Rejection::ReplyTooLarge => 2,
            Rejection::Malformed => 3,
            Rejection::UnknownSession => 4,
            Rejection::AlreadyAnswered => 5,
            Rejection::SessionWindow => 6,
            Rejection::RequestReused => 7,
            Rejection::KeyReused => 8,
        }),
    }
}

/// Reads what [`put_reply`] wrote.
pub(super) fn take_reply(input: &mut Bytes) -> Result<Reply, DecodeError> {
    Ok(Err(match take_u8(input)? {
        // A copy: a kept reply must not hold all the tables.
        0 => return Ok(Ok(Bytes::copy_from_slice(&take_bytes(input)?))),
        1 => Rejection::Panicked,
        2 => Rejection::ReplyTooLarge,
        3 => Rejection::Malformed,
        4 => Rejection::UnknownSession,
        5 => Rejection::AlreadyAnswered,
        6 => Rejection::SessionWindow,
        7 => Rejection::RequestReused,
        8 => Rejection::KeyReused,
        tag => return Err(DecodeError::UnknownTag { what: "reply", tag }),
    }))
}

/// Appends how many items there are, then each.
pub(super) fn put_all<T>(
    out: &mut Vec<u8>,
    items: impl ExactSizeIterator<Item = T>,
    mut put: impl FnMut(&mut Vec<u8>, T),
) {
    put_u32(out, items.len() as u32);
    items.for_each(|item| put(out, item));
}

/// Reads what [`put_all`] wrote, and hands each item on.
pub(super) fn take_all(
    input: &mut Bytes,
    mut take: impl FnMut(&mut Bytes) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    (0..take_u32(input)?).try_for_each(|_| take(input))
}
