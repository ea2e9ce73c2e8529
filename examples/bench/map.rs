//! The state machine that is measured: a map.

use std::{collections::BTreeMap, future::IntoFuture};

use consensus_actors::{Calling, prelude::*};

use crate::load;

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

/// Makes the calls of a client that puts `value` under one key after the other.
pub(crate) fn puts(client: &MapClient, value: &str) -> impl FnMut(u64) -> Calling<()> + use<> {
    let (client, value) = (client.clone(), value.to_owned());
    move |operation| client.put(load::key(operation), value.clone()).into_future()
}
