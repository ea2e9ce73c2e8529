//! The state machine that is measured: a map.

use std::collections::BTreeMap;

use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft)]
pub(crate) struct Map {
    map: BTreeMap<String, String>,
}

#[replicated]
impl Map {
    /// Sets `key`.
    #[command]
    fn put(&mut self, key: String, value: String) {
        self.map.insert(key, value);
    }

    /// Returns how long the value of `key` is.
    #[query]
    fn length(&self, key: String) -> Option<u64> {
        self.map.get(&key).map(|value| value.len() as u64)
    }
}
