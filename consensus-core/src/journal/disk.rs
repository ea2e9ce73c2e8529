//! What the journal and snapshots ask of a disk: a directory of named files, and nothing else in it.

use std::fmt;

use bytes::Bytes;

/// A directory of files, each of a length that is fixed when it is created, unless it is
/// [appended](Disk::append) to.
///
/// The journal relies on three promises. A sync that succeeds makes every earlier write to that
/// file durable. A sector of 512 bytes holds, after a crash, either what stood in it before a write
/// or what was written. And a file that was never written to reads as zeros.
pub trait Disk {
    /// Returns the names of all files, in any order; each survives a crash from then on.
    ///
    /// A name may still be on its way to the disk when its node was stopped and started again.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    fn list(&mut self) -> Result<Vec<String>, DiskError>;

    /// Returns the whole of `file`.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    fn read(&mut self, file: &str) -> Result<Bytes, DiskError>;

    /// Returns `length` bytes of `file` from `offset` on.
    ///
    /// # Errors
    /// [`DiskError::Failed`], also where the file ends before.
    fn read_at(&mut self, file: &str, offset: u64, length: usize) -> Result<Bytes, DiskError>;

    /// Creates `file` with `length` zeros in place of whatever had that name; durable when it
    /// returns.
    ///
    /// The space is allocated, not promised: no later write to it may find the disk full.
    ///
    /// # Errors
    /// [`DiskError::Full`] when there is no room for it, [`DiskError::Failed`] otherwise.
    fn create(&mut self, file: &str, length: u64) -> Result<(), DiskError>;

    /// Writes `bytes` at `offset`, within the length of `file`; durable after the next
    /// [`Disk::sync`].
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Writes `bytes` at the end of `file`, which grows; durable after the next [`Disk::sync`].
    ///
    /// # Errors
    /// [`DiskError::Full`] when there is no room, and then part of it may be there all the same;
    /// [`DiskError::Failed`] otherwise.
    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes every write to `file` durable.
    ///
    /// # Errors
    /// [`DiskError::Failed`]; what was written since the last sync is then lost or not, and nobody
    /// can tell.
    fn sync(&mut self, file: &str) -> Result<(), DiskError>;

    /// Gives `from` the name `to` in place of whatever had it, at once or not at all; durable when
    /// it returns.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes `file`; durable when it returns.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    fn remove(&mut self, file: &str) -> Result<(), DiskError>;
}

/// Lets what points to a disk be one.
macro_rules! forward {
    ($($pointer:ty),+) => {
        $(impl<D: Disk + ?Sized> Disk for $pointer {
            fn list(&mut self) -> Result<Vec<String>, DiskError> {
                (**self).list()
            }

            fn read(&mut self, file: &str) -> Result<Bytes, DiskError> {
                (**self).read(file)
            }

            fn read_at(
                &mut self,
                file: &str,
                offset: u64,
                length: usize,
            ) -> Result<Bytes, DiskError> {
                (**self).read_at(file, offset, length)
            }

            fn create(&mut self, file: &str, length: u64) -> Result<(), DiskError> {
                (**self).create(file, length)
            }

            fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
                (**self).write(file, offset, bytes)
            }

            fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
                (**self).append(file, bytes)
            }

            fn sync(&mut self, file: &str) -> Result<(), DiskError> {
                (**self).sync(file)
            }

            fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
                (**self).rename(from, to)
            }

            fn remove(&mut self, file: &str) -> Result<(), DiskError> {
                (**self).remove(file)
            }
        })+
    };
}

forward!(&mut D, Box<D>);

/// Which operation of a [`Disk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// [`Disk::create`].
    Create,
    /// [`Disk::list`].
    List,
    /// [`Disk::read`].
    Read,
    /// [`Disk::remove`].
    Remove,
    /// [`Disk::rename`].
    Rename,
    /// [`Disk::sync`].
    Sync,
    /// [`Disk::write`].
    Write,
}

impl Operation {
    /// Tells whether the disk is another one afterwards.
    pub(super) fn changes_something(self) -> bool {
        match self {
            Self::Create | Self::Remove | Self::Rename | Self::Sync | Self::Write => true,
            Self::List | Self::Read => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Read => "read",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Sync => "sync",
            Self::Write => "write",
        })
    }
}

/// Why a disk did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// There is no room for another file; nothing has changed.
    #[error("the disk is full")]
    Full,
    /// The operating system refused, and what is on the disk is not known any more.
    #[error("cannot {operation} {file}: {reason}")]
    Failed {
        /// What was asked.
        operation: Operation,
        /// The file it was asked for; the directory itself for [`Operation::List`].
        file: String,
        /// What the operating system said.
        reason: String,
    },
}
