//! What an entry of the log carries around a command: when it was born, and under which identity it
//! applies once.

use bytes::Bytes;

use crate::{
    codec::{Decode, DecodeError, Encode, put_bytes, put_u64, take_bytes, take_u8, take_u64},
    log::Index,
    time::WallTime,
};

/// A client's session: the index of the entry that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl From<Index> for SessionId {
    fn from(index: Index) -> Self {
        Self(index.0)
    }
}

/// A request within its session, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A command as it stands in the log, encoded once where it was born.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The clock of the node where the command was born, no later than the leader's.
    pub at: WallTime,
    /// The identity and the command.
    pub body: Body,
}

/// The identity under which a command applies once, and the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Opens a session; the reply is its id in eight bytes, little-endian.
    Open,
    /// A command of a session.
    InSession {
        /// The session.
        session: SessionId,
        /// The request.
        request: RequestId,
        /// The oldest request that the client has no answer to; replies below may be dropped.
        low: RequestId,
        /// The command in named MessagePack.
        command: Bytes,
    },
    /// A command under an idempotency key.
    Keyed {
        /// The key, at most [`KEY_BYTES_MAX`](super::KEY_BYTES_MAX) bytes.
        key: Bytes,
        /// A hash of the command: the key stands for this body only.
        digest: u128,
        /// The command in named MessagePack.
        command: Bytes,
    },
}

impl Envelope {
    /// Returns an encoded envelope whose time is no later than `latest`.
    ///
    /// A leader does this to what other nodes send it: time in the log follows the leader's clock,
    /// and one node whose clock is fast cannot expire everybody's sessions and keys.
    pub fn no_later_than(encoded: Bytes, latest: WallTime) -> Bytes {
        const TIME: std::ops::Range<usize> = 1..9;
        let at = encoded.get(TIME).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        if at.is_none_or(|at| at <= latest.0) {
            return encoded;
        }
        let mut stamped = encoded.to_vec();
        if let Some(time) = stamped.get_mut(TIME) {
            time.copy_from_slice(&latest.0.to_le_bytes());
        }
        stamped.into()
    }
}

/// What an envelope in a session takes besides its command.
const IN_SESSION_BYTES: usize = 33;

impl Encode for Envelope {
    fn size_hint(&self) -> usize {
        match &self.body {
            Body::Open => 9,
            Body::InSession { command, .. } => IN_SESSION_BYTES + command.len(),
            Body::Keyed { key, command, .. } => 29 + key.len() + command.len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match &self.body {
            Body::Open => {
                out.push(1);
                put_u64(out, self.at.0);
            }
            Body::InSession { session, request, low, command } => {
                out.push(2);
                put_u64(out, self.at.0);
                put_u64(out, session.0);
                put_u64(out, request.0);
                put_u64(out, low.0);
                out.extend_from_slice(command);
            }
            Body::Keyed { key, digest, command } => {
                out.push(3);
                put_u64(out, self.at.0);
                put_bytes(out, key);
                out.extend_from_slice(&digest.to_le_bytes());
                out.extend_from_slice(command);
            }
        }
    }
}

impl Decode for Envelope {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let tag = take_u8(input)?;
        let at = WallTime(take_u64(input)?);
        let body = match tag {
            1 => Body::Open,
            2 => Body::InSession {
                session: SessionId(take_u64(input)?),
                request: RequestId(take_u64(input)?),
                low: RequestId(take_u64(input)?),
                command: std::mem::take(input),
            },
            3 => Body::Keyed {
                key: take_bytes(input)?,
                digest: u128::from(take_u64(input)?) | u128::from(take_u64(input)?) << 64,
                command: std::mem::take(input),
            },
            tag => return Err(DecodeError::UnknownTag { what: "envelope", tag }),
        };
        Ok(Self { at, body })
    }
}
