//! What an entry of the log carries around a command: when it was born, and under which identity it
//! applies once.

use bytes::Bytes;

use crate::{
    codec::{Decode, DecodeError, Encode, put_bytes, put_u64},
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

impl Envelope {
    fn opened(&self) -> Opened<'_> {
        let body = match &self.body {
            Body::Open => OpenedBody::Open,
            Body::InSession { session, request, low, command } => {
                OpenedBody::InSession { session: *session, request: *request, low: *low, command }
            }
            Body::Keyed { key, digest, command } => {
                OpenedBody::Keyed { key, digest: *digest, command }
            }
        };
        Opened { at: self.at, body }
    }
}

impl Encode for Envelope {
    fn size_hint(&self) -> usize {
        self.opened().size_hint()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.opened().encode(out);
    }
}

impl Encode for Opened<'_> {
    fn size_hint(&self) -> usize {
        match self.body {
            OpenedBody::Open => 9,
            OpenedBody::InSession { command, .. } => 33 + command.len(),
            OpenedBody::Keyed { key, command, .. } => 29 + key.len() + command.len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self.body {
            OpenedBody::Open => {
                out.push(1);
                put_u64(out, self.at.0);
            }
            OpenedBody::InSession { session, request, low, command } => {
                out.push(2);
                put_u64(out, self.at.0);
                put_u64(out, session.0);
                put_u64(out, request.0);
                put_u64(out, low.0);
                out.extend_from_slice(command);
            }
            OpenedBody::Keyed { key, digest, command } => {
                out.push(3);
                put_u64(out, self.at.0);
                put_bytes(out, key);
                out.extend_from_slice(&digest.to_le_bytes());
                out.extend_from_slice(command);
            }
        }
    }
}

/// An [`Envelope`] in place: somebody else keeps the bytes, the log or a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    pub(crate) at: WallTime,
    pub(crate) body: OpenedBody<'a>,
}

/// What [`Body`] is, in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenedBody<'a> {
    Open,
    InSession { session: SessionId, request: RequestId, low: RequestId, command: &'a [u8] },
    Keyed { key: &'a [u8], digest: u128, command: &'a [u8] },
}

impl Opened<'_> {
    /// Returns the command of an envelope, if it has one, as a slice of it.
    pub(crate) fn command(envelope: &Bytes) -> Option<Bytes> {
        match Opened::read(envelope).ok()?.body {
            OpenedBody::InSession { command, .. } | OpenedBody::Keyed { command, .. } => {
                Some(envelope.slice_ref(command))
            }
            OpenedBody::Open => None,
        }
    }
}

impl<'a> Opened<'a> {
    /// Reads an envelope, which fills `envelope` to its end.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are none.
    pub(super) fn read(envelope: &'a [u8]) -> Result<Self, DecodeError> {
        let (tag, rest) = envelope.split_first().ok_or(DecodeError::Truncated)?;
        let (at, rest) = number(rest)?;
        let body = match tag {
            1 if rest.is_empty() => OpenedBody::Open,
            1 => return Err(DecodeError::Trailing),
            2 => {
                let (session, rest) = number(rest)?;
                let (request, rest) = number(rest)?;
                let (low, command) = number(rest)?;
                let (session, request, low) =
                    (SessionId(session), RequestId(request), RequestId(low));
                OpenedBody::InSession { session, request, low, command }
            }
            3 => {
                let (length, rest) = chunk(rest)?;
                let key = rest.split_at_checked(u32::from_le_bytes(length) as usize);
                let (key, rest) = key.ok_or(DecodeError::Truncated)?;
                let (digest, command) = chunk(rest)?;
                OpenedBody::Keyed { key, digest: u128::from_le_bytes(digest), command }
            }
            tag => return Err(DecodeError::UnknownTag { what: "envelope", tag: *tag }),
        };
        Ok(Self { at: WallTime(at), body })
    }
}

fn number(input: &[u8]) -> Result<(u64, &[u8]), DecodeError> {
    chunk(input).map(|(number, rest)| (u64::from_le_bytes(number), rest))
}

fn chunk<const LENGTH: usize>(input: &[u8]) -> Result<([u8; LENGTH], &[u8]), DecodeError> {
    let (chunk, rest) = input.split_first_chunk().ok_or(DecodeError::Truncated)?;
    Ok((*chunk, rest))
}

impl Decode for Envelope {
    /// Reads an envelope, which fills `input` to its end.
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let all = std::mem::take(input);
        let Opened { at, body } = Opened::read(&all)?;
        let body = match body {
            OpenedBody::Open => Body::Open,
            OpenedBody::InSession { session, request, low, command } => {
                Body::InSession { session, request, low, command: all.slice_ref(command) }
            }
            OpenedBody::Keyed { key, digest, command } => {
                Body::Keyed { key: all.slice_ref(key), digest, command: all.slice_ref(command) }
            }
        };
        Ok(Self { at, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: what is read in place is what is decoded, and no beginning of it is taken for it.
    #[test]
    fn envelopes_are_read_in_place() {
        let (session, request, low) = (SessionId(7), RequestId(300), RequestId(298));
        let (key, command) = (Bytes::from_static(b"key"), Bytes::from_static(b"command"));
        let digest = u128::MAX / 3;
        for body in [
            Body::Open,
            Body::InSession { session, request, low, command: command.clone() },
            Body::Keyed { key, digest, command },
        ] {
            let envelope = Envelope { at: WallTime(1_234), body };
            let encoded = envelope.encoded();
            let command_bytes = if envelope.body == Body::Open { 0 } else { 7 };
            assert_eq!(encoded.len(), envelope.size_hint());
            assert_eq!(Opened::read(&encoded), Ok(envelope.opened()));
            assert_eq!(Envelope::decode_all(encoded.clone().into()), Ok(envelope.clone()));
            for length in 0..encoded.len() {
                let opened = Opened::read(&encoded[..length]);
                let decoded = Envelope::decode_all(Bytes::copy_from_slice(&encoded[..length]));
                assert_eq!(opened, decoded.as_ref().map(Envelope::opened).map_err(|it| *it));
                // Only the command may end early: nothing says how long it is.
                assert_eq!(opened.is_ok(), length >= encoded.len() - command_bytes, "{length}");
            }
        }
        assert!(matches!(Opened::read(&[9; 40]), Err(DecodeError::UnknownTag { tag: 9, .. })));
    }
}
