//! The file of a log. Records are appended by a thread of its own, which takes all that waits,
//! writes it at once, syncs once, and then tells everybody.
//!
//! A record is its length, a CRC-32 of its bytes, and its bytes; both numbers have four bytes and
//! are little-endian. Zeros follow the last one: they are written beforehand, so that a sync has no
//! more to do than to write data. The file is never read back: what is measured does not restart.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use crate::Result;

/// How much is written ahead at first: what the fastest peer takes in five seconds.
const AHEAD: u64 = 256 << 20;

/// How much is written ahead when that was too little.
const MORE: usize = 16 << 20;

/// What a record has before its bytes.
const HEADER: usize = 8;

/// Who is to be told that a record is durable, or why it is not.
type Told = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The file of a log, as seen by those who append. Copies append to the same file.
#[derive(Clone, Debug)]
pub struct LogFile(Sender<(Vec<u8>, Told)>);

/// The thread that writes.
struct Writer {
    file: File,
    end: u64,
    ahead: u64,
}

impl LogFile {
    /// Makes a file and the thread that writes it, which ends with the last copy of this.
    ///
    /// # Errors
    /// If there is such a file, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut writer = Writer { file, end: 0, ahead: 0 };
        while writer.ahead < AHEAD {
            writer.write_ahead()?;
        }
        writer.file.sync_all()?;
        let (sender, receiver) = channel();
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(Self(sender))
    }

    /// Appends a record; `told` runs on the thread of the file once it is durable.
    ///
    /// # Panics
    /// If the thread is gone, which outlives those who append.
    pub fn append(&self, record: Vec<u8>, told: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.0.send((record, Box::new(told))).expect("the thread of the file is there");
    }
}

impl Writer {
    fn run(mut self, waiting: &Receiver<(Vec<u8>, Told)>) {
        let mut bytes = Vec::new();
        let mut all = Vec::new();
        while let Ok(first) = waiting.recv() {
            for (record, told) in std::iter::once(first).chain(waiting.try_iter()) {
                push(&record, &mut bytes);
                all.push(told);
            }
            let written = self.write(&bytes);
            bytes.clear();
            for told in all.drain(..) {
                told(written.as_ref().map_err(|error| error.kind().into()).copied());
            }
        }
    }

    /// Appends bytes; they are durable when this returns.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        while self.end + bytes.len() as u64 > self.ahead {
            self.write_ahead()?;
        }
        self.file.write_all_at(bytes, self.end)?;
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn write_ahead(&mut self) -> io::Result<()> {
        self.file.write_all_at(&vec![0; MORE], self.ahead)?;
        self.ahead += MORE as u64;
        Ok(())
    }
}

/// Adds a record to the bytes that are to be written.
fn push(record: &[u8], bytes: &mut Vec<u8>) {
    let length = u32::try_from(record.len()).expect("a record is less than 4 GiB");
    bytes.reserve(HEADER + record.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    bytes.extend_from_slice(record);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Goal: whoever is told that a record is durable finds it in the file, whole and in order.
    /// Method: append from two threads, wait until all are told, and read the file.
    #[test]
    fn what_is_told_is_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let file = LogFile::create(&path).unwrap();
        let (told, all) = channel();
        let writers = [1u8, 2].map(|number| {
            let (file, told) = (file.clone(), told.clone());
            thread::spawn(move || {
                for length in 1..=100 {
                    let told = told.clone();
                    file.append(vec![number; length], move |done| told.send(done).unwrap());
                }
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        all.iter().take(200).for_each(|done| done.unwrap());

        let bytes = fs::read(&path).unwrap();
        let mut rest = &bytes[..];
        let mut next = [1, 1];
        while rest[..4] != [0; 4] {
            let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            let record = &rest[HEADER..HEADER + number(0) as usize];
            assert_eq!(crc32fast::hash(record), number(4));
            let writer = record[0] as usize - 1;
            assert_eq!(record, vec![record[0]; next[writer]]);
            next[writer] += 1;
            rest = &rest[HEADER + record.len()..];
        }
        assert_eq!(next, [101, 101]);
        assert_eq!(bytes.len() as u64, AHEAD);
    }
}
