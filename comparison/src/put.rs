//! The one command there is, and the map that it changes.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::load::{KEY_BYTES, VALUE_BYTES, key};

/// Puts a value under a key: the bytes of the key, which are [`KEY_BYTES`], then those of the
/// value. Copies share them.
#[derive(Clone)]
pub struct Put(pub Arc<[u8]>);

/// The replicated state.
#[derive(Debug, Default)]
pub struct Map(BTreeMap<String, Vec<u8>>);

impl Put {
    /// Makes the put of an operation.
    pub fn of(operation: u64) -> Self {
        let mut bytes = [b'v'; KEY_BYTES + VALUE_BYTES];
        bytes[..KEY_BYTES].copy_from_slice(key(operation).as_bytes());
        Self(Arc::from(bytes))
    }
}

impl Serialize for Put {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Put {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| Self(bytes.into()))
    }
}

// Peers want to be able to say what they replicate; nothing that is measured does.
impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "put of {} bytes", self.0.len())
    }
}

impl fmt::Display for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Map {
    /// Applies a put, as a state machine does that owns its commands.
    ///
    /// # Panics
    /// If the put is no [`Put::of`].
    pub fn apply(&mut self, put: &Put) {
        let (key, value) = put.0.split_at(KEY_BYTES);
        let key = str::from_utf8(key).expect("keys are digits");
        self.0.insert(key.to_owned(), value.to_owned());
    }
}
