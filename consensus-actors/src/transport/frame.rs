//! Frames: a length that is checked before anything is allocated, a checksum, a body.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use twox_hash::XxHash3_64;

/// The largest body of a frame. What is longer closes the connection unread.
pub(crate) const FRAME_BYTES_MAX: usize = 4 << 20;

/// What comes before the body: its length and its checksum.
pub(super) const HEADER_BYTES: usize = 12;

/// What a frame says of its body.
pub(super) struct Header {
    pub(super) length: usize,
    checksum: u64,
}

impl Header {
    /// Reads the header of a frame of at most `bytes_max`.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] with the reason for a longer one.
    pub(super) fn read(bytes: &[u8], bytes_max: usize) -> io::Result<Self> {
        let (length, checksum) = bytes.split_at_checked(4).unwrap_or_default();
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
        let checksum = u64::from_le_bytes(checksum.try_into().unwrap_or_default());
        if length > bytes_max {
            let reason = format!("a frame of {length} bytes, more than {bytes_max}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Self { length, checksum })
    }

    /// Checks that `body` is the one that was announced.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] with the reason if it is not.
    pub(super) fn check(&self, body: &[u8]) -> io::Result<()> {
        if XxHash3_64::oneshot(body) == self.checksum {
            return Ok(());
        }
        let reason = "the checksum of a frame does not match its body";
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    }
}

/// Starts a frame in `out`, which must be empty; the body is appended after it.
pub(super) fn begin(out: &mut Vec<u8>) {
    assert!(out.is_empty(), "a frame starts an empty buffer");
    out.resize(HEADER_BYTES, 0);
}

/// Completes the frame that [`begin`] started.
pub(super) fn finish(out: &mut [u8]) {
    let (header, body) = out.split_at_mut(HEADER_BYTES);
    assert!(body.len() <= FRAME_BYTES_MAX, "the writer keeps frames within their bound");
    header[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[4..].copy_from_slice(&XxHash3_64::oneshot(body).to_le_bytes());
}

/// Returns `body` as a frame.
pub(super) fn of(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    begin(&mut frame);
    frame.extend_from_slice(body);
    finish(&mut frame);
    frame
}

/// Reads one frame of at most `bytes_max`; `None` when the peer closed the connection between
/// frames.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] with the reason when the bytes are no frame, and whatever the
/// socket says.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> io::Result<Option<Bytes>> {
    let mut header = [0; HEADER_BYTES];
    let first = stream.read(&mut header).await?;
    if first == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut header[first..]).await?;
    let header = Header::read(&header, bytes_max)?;
    let mut body = BytesMut::with_capacity(header.length);
    while body.len() < header.length {
        let missing = header.length - body.len();
        if stream.read_buf(&mut (&mut body).limit(missing)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    header.check(&body)?;
    Ok(Some(body.freeze()))
}
