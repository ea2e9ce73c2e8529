//! The file system as the journal and snapshots see it.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use consensus_core::journal::{Disk, DiskError, Operation};

use super::spare::{self, Spare};

/// A directory of files.
#[derive(Debug)]
pub(crate) struct FileDisk {
    directory: PathBuf,
    open: BTreeMap<String, File>,
    /// Makes ready the file that will be created next, where all are of the same length.
    spare: Option<Spare>,
}

impl FileDisk {
    /// Makes the disk that keeps its files in `directory`, which must exist.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, open: BTreeMap::new(), spare: None }
    }

    /// Has the file of `length` that is created next made ready while the present one is written.
    pub(crate) fn with_spare(mut self, length: u64) -> Self {
        self.spare = Some(Spare::new(&self.directory, length));
        self
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.open.contains_key(name) {
            let file = OpenOptions::new().read(true).write(true).open(self.directory.join(name))?;
            self.open.insert(name.to_owned(), file);
        }
        self.open.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Creates a file of zeros: written, not merely reserved, so that a later fdatasync has no
    /// metadata to write.
    fn create_zeroed(&mut self, name: &str, length: u64) -> io::Result<()> {
        let path = self.directory.join(name);
        let spare = self.spare.as_mut().and_then(|spare| spare.take(length));
        let file = match spare {
            Some((file, is)) => {
                fs::rename(is, &path)?;
                file
            }
            None => {
                let file = blank(&path)?;
                zeroed(&file, length, (1 << 20, |_| Ok(())))?;
                file
            }
        };
        self.open.insert(name.to_owned(), file);
        sync_directory(&self.directory)
    }
}

/// Creates an empty file, in the place of one that may be there.
pub(super) fn blank(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
}

/// Makes an empty file one of so many zeros, and durable; after each piece of so many bytes `pause`
/// is told how much is done.
pub(super) fn zeroed(
    mut file: &File,
    length: u64,
    (piece, mut pause): (usize, impl FnMut(u64) -> io::Result<()>),
) -> io::Result<()> {
    let zeros = vec![0; piece.min(usize::try_from(length).unwrap_or(piece))];
    let mut done = 0;
    while done < length {
        let piece = usize::try_from(length - done).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(zeros.get(..piece).unwrap_or_default())?;
        done += piece as u64;
        pause(done)?;
    }
    file.sync_all()
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn failed(operation: Operation, file: &str) -> impl FnOnce(io::Error) -> DiskError {
    let file = file.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full,
        _ => DiskError::Failed { operation, file, reason: error.to_string() },
    }
}

impl Disk for FileDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let list = || -> io::Result<Vec<String>> {
            // What is seen here must be there after the next crash too.
            sync_directory(&self.directory)?;
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.directory)? {
                let name = entry?.file_name().into_string().ok();
                names.extend(name.filter(|name| name != spare::NAME));
            }
            Ok(names)
        };
        list().map_err(failed(Operation::List, "."))
    }

    fn read(&mut self, name: &str) -> Result<Bytes, DiskError> {
        fs::read(self.directory.join(name)).map(Bytes::from).map_err(failed(Operation::Read, name))
    }

    fn read_at(&mut self, name: &str, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        let read = |disk: &mut Self| {
            let mut bytes = vec![0; length];
            std::os::unix::fs::FileExt::read_exact_at(disk.file(name)?, &mut bytes, offset)?;
            Ok(Bytes::from(bytes))
        };
        read(self).map_err(failed(Operation::Read, name))
    }

    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.create_zeroed(name, length).map_err(|error| {
            // Half a file would hold the space that its next attempt needs.
            self.open.remove(name);
            fs::remove_file(self.directory.join(name)).ok();
            failed(Operation::Create, name)(error)
        })
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let write = |disk: &mut Self| {
            std::os::unix::fs::FileExt::write_all_at(disk.file(name)?, bytes, offset)?;
            if let Some(spare) = &mut disk.spare {
                spare.look(offset + bytes.len() as u64);
            }
            Ok(())
        };
        write(self).map_err(failed(Operation::Write, name))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let append = |disk: &mut Self| {
            let mut file = disk.file(name)?;
            file.seek(io::SeekFrom::End(0))?;
            file.write_all(bytes)
        };
        append(self).map_err(failed(Operation::Write, name))
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        self.file(name).and_then(File::sync_data).map_err(failed(Operation::Sync, name))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.open.remove(from);
        self.open.remove(to);
        fs::rename(self.directory.join(from), self.directory.join(to))
            .and_then(|()| sync_directory(&self.directory))
            .map_err(failed(Operation::Rename, from))
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.open.remove(name);
        fs::remove_file(self.directory.join(name))
            .and_then(|()| sync_directory(&self.directory))
            .map_err(failed(Operation::Remove, name))
    }
}
