//! Idempotency keys: a repeated request of a client without a session applies once.
//!
//! The key stands for one body. It is kept, with the reply, for a day by the time in the log; who
//! repeats it later than that may apply it again, which is what HTTP's Idempotency-Key promises.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use super::{
    Rejection, Reply,
    mutant::Mutant,
    saved::{put_all, put_reply, take_all, take_reply},
};
use crate::{
    codec::{DecodeError, put_bytes, put_u64, take_bytes, take_u64},
    mutants::Bugs,
    time::WallTime,
};

/// How long a key is kept, by the time in the log.
pub const KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;

/// How many keys a group keeps; beyond, the oldest is forgotten before its day is over.
pub const KEYS_MAX: usize = 1 << 20;

/// The keys of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    table: BTreeMap<Bytes, (u128, Reply)>,
    /// The keys from the oldest on, since time in the log never goes back.
    by_age: VecDeque<(WallTime, Bytes)>,
    pub(super) bugs: Bugs<Mutant>,
}

impl Keys {
    /// Forgets the keys whose day is over.
    pub(super) fn expire(&mut self, now: WallTime) {
        while let Some((_, key)) = self.by_age.pop_front_if(|(at, _)| now.since(*at) > KEY_LIFETIME)
        {
            self.table.remove(&key);
        }
    }

    /// Returns what a known key answers to a body with this digest; `None` for a new key.
    pub(super) fn recall(&self, key: &[u8], digest: u128) -> Option<Reply> {
        let (known, reply) = self.table.get(key)?;
        let same = *known == digest || self.bugs.has(Mutant::KeyAnswersAnotherBody);
        Some(if same { reply.clone() } else { Err(Rejection::KeyReused) })
    }

    /// Keeps the reply of a new key.
    pub(super) fn remember(&mut self, key: &[u8], digest: u128, reply: Reply, now: WallTime) {
        if self.table.len() >= KEYS_MAX
            && let Some((_, oldest)) = self.by_age.pop_front()
        {
            self.table.remove(&oldest);
        }
        // A key must not hold the whole log record that it came in.
        let key = Bytes::copy_from_slice(key);
        self.by_age.push_back((now, key.clone()));
        self.table.insert(key, (digest, reply));
    }

    /// Appends all keys from the oldest on, for a snapshot.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let known = |(at, key)| Some((at, key, self.table.get(key)?));
        let keys: Vec<_> =
            self.by_age.iter().map(|(at, key)| (at, key)).filter_map(known).collect();
        put_all(out, keys.into_iter(), |out, (at, key, (digest, reply))| {
            put_u64(out, at.0);
            put_bytes(out, key);
            out.extend_from_slice(&digest.to_le_bytes());
            put_reply(out, reply);
        });
    }

    /// Reads what [`Self::put`] wrote.
    pub(super) fn take(&mut self, input: &mut Bytes) -> Result<(), DecodeError> {
        take_all(input, |input| {
            let (at, key) = (WallTime(take_u64(input)?), take_bytes(input)?);
            let digest = u128::from(take_u64(input)?) | u128::from(take_u64(input)?) << 64;
            self.remember(&key, digest, take_reply(input)?, at);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a key answers its own body with the first reply, refuses another, and is free again
    // after a day.
    #[test]
    fn key_stands_for_one_body_for_a_day() {
        let (key, morning) = (Bytes::from_static(b"k"), WallTime(1_000));
        let mut keys = Keys::default();
        assert_eq!(keys.recall(&key, 1), None);
        keys.remember(&key, 1, Ok(Bytes::from_static(b"r")), morning);
        keys.expire(morning);
        assert_eq!(keys.recall(&key, 1), Some(Ok(Bytes::from_static(b"r"))));
        assert_eq!(keys.recall(&key, 2), Some(Err(Rejection::KeyReused)));
        keys.expire(WallTime(morning.0 + KEY_LIFETIME.as_millis() as u64 + 1));
        assert_eq!(keys.recall(&key, 2), None);
    }
}
