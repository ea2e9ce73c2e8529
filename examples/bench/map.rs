//! The state machine that is measured: a map.

use std::{collections::BTreeMap, future::IntoFuture};

use consensus_actors::{Calling, Reads, prelude::*};

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

/// At what level queries are read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    /// As of now, which the leader asks its followers about
    Linearizable,
    /// As of now, which the leader knows by its lease
    Lease,
    /// As of a while ago
    Stale,
}

/// Makes the calls of a client that reads one key after the other.
pub(crate) fn reads(
    client: &MapClient,
    level: Level,
) -> impl FnMut(u64) -> Calling<Option<u64>, Reads> + use<> {
    let client = client.clone();
    move |operation| {
        let call = client.length(load::key(operation));
        match level {
            Level::Linearizable => call.linearizable().into_future(),
            Level::Lease => call.lease().into_future(),
            Level::Stale => call.stale("1s").into_future(),
        }
    }
}
