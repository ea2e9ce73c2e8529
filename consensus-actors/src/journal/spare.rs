//! The file that a journal will need next, made ready while it writes the present one: to write
//! zeros takes a while, and nothing would become durable meanwhile.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::files::{blank, zeroed};

/// What a spare file is called. It holds nothing, and is no part of the journal.
pub(super) const NAME: &str = "spare";

/// How much of a spare file is written at once: what is to be durable meanwhile waits as long as that
/// takes.
const PIECE: usize = 128 << 10;

/// The pause after each piece of a spare file: the disk has more urgent things to do.
const PAUSE: Duration = Duration::from_millis(2);

/// A file that is being made ready, or is.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    length: u64,
    /// How far the present file is written.
    written: Arc<AtomicU64>,
    making: Option<JoinHandle<io::Result<File>>>,
}

impl Spare {
    /// Begins without one; what a former process left is of unknown state, and goes.
    pub(super) fn new(directory: &Path, length: u64) -> Self {
        let path = directory.join(NAME);
        fs::remove_file(&path).ok();
        Self { path, length, written: Arc::default(), making: None }
    }

    /// Takes note how far the present file is written: beyond an eighth of it the next one is made
    /// ready.
    pub(super) fn look(&mut self, written: u64) {
        self.written.store(written, Ordering::Relaxed);
        if written > self.length / 8 && self.making.is_none() {
            self.prepare();
        }
    }

    fn prepare(&mut self) {
        // Opened here: a thread that outlives its journal must not find the file of the next one.
        let Ok(file) = blank(&self.path) else { return };
        let (length, written) = (self.length, Arc::clone(&self.written));
        let make = move || {
            let pause = |done: u64| {
                file.sync_data()?;
                // It must be ready when the present one is full, with an eighth to spare.
                let room = length.saturating_sub(written.load(Ordering::Relaxed) + length / 8);
                if length - done <= room {
                    thread::sleep(PAUSE);
                }
                Ok(())
            };
            if let Err(error) = zeroed(&file, length, (PIECE, pause)) {
                // Half a file would hold the space that others need.
                file.set_len(0).ok();
                return Err(error);
            }
            Ok(file)
        };
        self.making = thread::Builder::new().name("consensus-spare".to_owned()).spawn(make).ok();
    }

    /// Takes the file once it is ready, and the path that it is to be renamed from; `None` if none
    /// of this length is being made.
    pub(super) fn take(&mut self, length: u64) -> Option<(File, PathBuf)> {
        let file = self.making.take()?.join().ok()?.ok()?;
        (length == self.length).then(|| (file, self.path.clone()))
    }
}

#[cfg(test)]
mod tests {
    use consensus_core::journal::Disk;

    use super::*;
    use crate::journal::FileDisk;

    // Goal: the next file is there when it is asked for, of zeros and of the right length; nobody
    // sees the one that is being made, and what a former process left of one is not trusted.
    #[test]
    fn next_file_is_ready() {
        const LENGTH: u64 = 3 << 20;
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(NAME), "half a file").unwrap();
        let mut disk = FileDisk::new(directory.path().to_owned()).with_spare(LENGTH);
        disk.create("first", LENGTH).unwrap();
        disk.write("first", 0, b"a batch").unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        disk.write("first", LENGTH - 7, b"another").unwrap();
        disk.write("first", LENGTH - 7, b"another").unwrap();
        assert_eq!(disk.list().unwrap(), ["first"]);
        disk.create("second", LENGTH).unwrap();
        assert_eq!(disk.read("second").unwrap(), vec![0; LENGTH as usize]);
        let mut names = disk.list().unwrap();
        names.sort_unstable();
        assert_eq!(names, ["first", "second"]);
        // One of another length is made anew.
        disk.write("second", LENGTH - 7, b"another").unwrap();
        disk.create("third", 512).unwrap();
        assert_eq!(disk.read("third").unwrap().len(), 512);
    }
}
