//! Memory that messages share as they are encoded.

use bytes::{BufMut, Bytes, BytesMut};
use consensus_core::codec::Encode;

/// Pieces of memory, each for as many messages as it has room for.
///
/// A log keeps what it was sent for as long as its entries, where the network lies within the
/// process. Each in a memory of its own, they would be let go of one by one, long after the caches
/// have forgotten them. An entry keeps its whole piece, of 64 KiB at the most.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    piece: BytesMut,
    /// The length of the latest piece: who sends little keeps little.
    length: usize,
    /// What is encoded now.
    scratch: Vec<u8>,
}

const PIECE_MIN: usize = 1 << 10;
const PIECE_MAX: usize = 64 << 10;

/// From this length on a message has a memory of its own: others should not keep it, nor it them.
const ALONE: usize = 4 << 10;

impl Arena {
    /// Encodes a message.
    pub(crate) fn encode(&mut self, message: &impl Encode) -> Bytes {
        self.scratch.clear();
        self.scratch.reserve(message.size_hint());
        message.encode(&mut self.scratch);
        if self.scratch.len() >= ALONE {
            return std::mem::take(&mut self.scratch).into();
        }
        if self.piece.capacity() < self.scratch.len() {
            self.length = (self.length * 2).clamp(PIECE_MIN.max(self.scratch.len()), PIECE_MAX);
            self.piece = BytesMut::with_capacity(self.length);
        }
        self.piece.put_slice(&self.scratch);
        self.piece.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(Vec<u8>);

    impl Encode for Text {
        fn encode(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(&self.0);
        }
    }

    // Goal: whatever the lengths, each message is what was encoded, short ones in the memory of
    // others and long ones in their own.
    #[test]
    fn messages_are_what_was_encoded() {
        let lengths = (0..200).map(|n| n * 7).chain([ALONE - 1, ALONE, 3 * PIECE_MAX, 1]);
        let texts: Vec<Text> = lengths.map(|length| Text(vec![length as u8; length])).collect();
        let mut arena = Arena::default();
        let encoded: Vec<Bytes> = texts.iter().map(|text| arena.encode(text)).collect();
        for (text, bytes) in texts.iter().zip(&encoded) {
            assert_eq!(*bytes, text.0);
        }
        assert!(encoded[200 + 1].is_unique() && encoded[200 + 2].is_unique());
        assert!(!encoded[8].is_unique() && !encoded[9].is_unique());
    }
}
