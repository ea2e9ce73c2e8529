//! Messages over TCP: each is its length, in four bytes that are little-endian, and itself in the
//! encoding of `postcard`.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, net::tcp::OwnedReadHalf};

/// What a message has before itself.
const HEADER: usize = 4;

/// How much is read at once, at least.
const READ: usize = 256 << 10;

/// The messages that come over a connection.
#[derive(Debug)]
pub struct Incoming {
    stream: OwnedReadHalf,
    bytes: Vec<u8>,
    /// Where the first message begins that was not taken.
    from: usize,
}

/// Adds a value to bytes, in the encoding that messages have.
///
/// # Panics
/// If the value cannot be encoded, which ours all can.
pub fn encode(value: &impl Serialize, bytes: &mut Vec<u8>) {
    let filled = postcard::to_extend(value, std::mem::take(bytes));
    *bytes = filled.expect("what we send can be encoded");
}

/// Adds a message to bytes that are to be sent.
///
/// # Panics
/// If the message cannot be encoded, which ours all can, or is as large as 4 GiB.
pub fn frame(message: &impl Serialize, bytes: &mut Vec<u8>) {
    let begin = bytes.len();
    bytes.extend_from_slice(&[0; HEADER]);
    encode(message, bytes);
    let length = u32::try_from(bytes.len() - begin - HEADER).expect("a message is less than 4 GiB");
    bytes[begin..begin + HEADER].copy_from_slice(&length.to_le_bytes());
}

impl Incoming {
    /// Takes the half of a connection that is read.
    pub fn new(stream: OwnedReadHalf) -> Self {
        Self { stream, bytes: Vec::new(), from: 0 }
    }

    /// Waits until there is a message that was not taken; false if there will be none.
    ///
    /// # Errors
    /// If the connection is lost, also in the middle of a message.
    pub async fn wait(&mut self) -> io::Result<bool> {
        while self.whole().is_none() {
            if self.from > 0 {
                self.bytes.drain(..self.from);
                self.from = 0;
            }
            self.bytes.reserve(READ);
            if self.stream.read_buf(&mut self.bytes).await? == 0 {
                let cut = !self.bytes.is_empty();
                return if cut { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(false) };
            }
        }
        Ok(true)
    }

    /// Takes the next message, if it is there.
    ///
    /// # Errors
    /// If it is none.
    pub fn take<'a, T: Deserialize<'a>>(&'a mut self) -> io::Result<Option<T>> {
        let Some(length) = self.whole() else { return Ok(None) };
        let begin = self.from + HEADER;
        self.from = begin + length;
        postcard::from_bytes(&self.bytes[begin..begin + length]).map(Some).map_err(io::Error::other)
    }

    /// The length of the next message, if all of it is there.
    fn whole(&self) -> Option<usize> {
        let (length, rest) = self.bytes[self.from..].split_first_chunk::<HEADER>()?;
        let length = u32::from_le_bytes(*length) as usize;
        (rest.len() >= length).then_some(length)
    }
}
