//! The positional encoding of records and messages: little-endian integers and length-prefixed
//! bytes.
//!
//! It exists so that a payload is a slice of the frame or record it came in, never a copy, and so
//! that every length is checked against what is there before anything is allocated. The journal's
//! format version and the transport's handshake tell which layout it is.

use std::time::Duration;

use bytes::{Buf, Bytes};

/// Something that can be written to a journal record or a frame.
pub trait Encode {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Returns about how many bytes the encoding takes, so that a buffer need not grow.
    fn size_hint(&self) -> usize {
        64
    }

    /// Returns the encoding in a buffer of its own.
    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size_hint());
        self.encode(&mut bytes);
        bytes
    }
}

/// Something that can be read back from what [`Encode`] wrote.
pub trait Decode: Sized {
    /// Reads one value from the front of `input`, leaving what follows.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not such an encoding; never a panic, whatever the bytes.
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError>;

    /// Reads a value that must fill `input` to its end.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not such an encoding, or when some are left.
    fn decode_all(mut input: Bytes) -> Result<Self, DecodeError> {
        let value = Self::decode(&mut input)?;
        if input.is_empty() { Ok(value) } else { Err(DecodeError::Trailing) }
    }
}

/// Why bytes are no valid encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error("the encoding ends too early")]
    Truncated,
    /// Bytes follow where the value must end.
    #[error("bytes follow the encoding")]
    Trailing,
    /// A tag that stands for nothing.
    #[error("{tag} is no known {what}")]
    UnknownTag {
        /// What the tag selects.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// A value outside its range.
    #[error("invalid {0}")]
    Invalid(&'static str),
}

/// Appends `value` in eight bytes.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends `value` in four bytes.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends `value` in nanoseconds, in eight bytes; what is longer than five centuries is as good as
/// that.
pub fn put_duration(out: &mut Vec<u8>, value: Duration) {
    put_u64(out, u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
}

/// Appends the length of `value` in four bytes, then `value`.
///
/// # Panics
/// If `value` is 4 GiB or longer; commands and frames are bounded far below.
pub fn put_bytes(out: &mut Vec<u8>, value: &[u8]) {
    assert!(u32::try_from(value.len()).is_ok(), "payloads are bounded below 4 GiB");
    put_u32(out, value.len() as u32);
    out.extend_from_slice(value);
}

/// Reads one byte.
///
/// # Errors
/// [`DecodeError::Truncated`].
pub fn take_u8(input: &mut Bytes) -> Result<u8, DecodeError> {
    input.try_get_u8().map_err(|_| DecodeError::Truncated)
}

/// Reads four bytes.
///
/// # Errors
/// [`DecodeError::Truncated`].
pub fn take_u32(input: &mut Bytes) -> Result<u32, DecodeError> {
    input.try_get_u32_le().map_err(|_| DecodeError::Truncated)
}

/// Reads eight bytes.
///
/// # Errors
/// [`DecodeError::Truncated`].
pub fn take_u64(input: &mut Bytes) -> Result<u64, DecodeError> {
    input.try_get_u64_le().map_err(|_| DecodeError::Truncated)
}

/// Reads a duration in nanoseconds.
///
/// # Errors
/// [`DecodeError::Truncated`].
pub fn take_duration(input: &mut Bytes) -> Result<Duration, DecodeError> {
    take_u64(input).map(Duration::from_nanos)
}

/// Reads a flag: one byte, 0 or 1.
///
/// # Errors
/// [`DecodeError::Truncated`]; [`DecodeError::Invalid`] for any other byte.
pub fn take_bool(input: &mut Bytes) -> Result<bool, DecodeError> {
    match take_u8(input)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("flag")),
    }
}

/// Reads length-prefixed bytes as a slice of `input`, without a copy.
///
/// # Errors
/// [`DecodeError::Truncated`] when the length says more than there is.
pub fn take_bytes(input: &mut Bytes) -> Result<Bytes, DecodeError> {
    let length = take_u32(input)? as usize;
    if input.len() < length {
        return Err(DecodeError::Truncated);
    }
    Ok(input.split_to(length))
}
