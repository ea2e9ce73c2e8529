//! A replicated key-value store.
//!
//! ```console
//! $ cargo run --release --example kv -- dev
//! $ cargo run --release --example kv -- call kv put key=color value=blue
//! null
//! $ cargo run --release --example kv -- call kv cas key=color expect=blue new=green
//! true
//! $ curl 'localhost:4702/v1/groups/kv/queries/get?key=color'
//! {"reply":"green"}
//! ```

use std::collections::BTreeMap;

use consensus_actors::prelude::*;

#[consensus_actors::main]
async fn main(node: Node) -> consensus_actors::Result {
    node.host::<Kv>("kv").await?;
    node.run().await
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft)]
struct Kv {
    map: BTreeMap<String, String>,
}

#[replicated]
impl Kv {
    /// Sets `key` and returns the value it had.
    #[command]
    fn put(&mut self, key: String, value: String) -> Option<String> {
        self.map.insert(key, value)
    }

    /// Removes `key` and returns the value it had.
    #[command]
    fn delete(&mut self, key: String) -> Option<String> {
        self.map.remove(&key)
    }

    /// Sets `key` to `new` if its value is `expect` (`null`: if it is absent), and tells whether it
    /// was.
    #[command]
    fn cas(&mut self, key: String, expect: Option<String>, new: String) -> bool {
        let swaps = self.map.get(&key) == expect.as_ref();
        if swaps {
            self.map.insert(key, new);
        }
        swaps
    }

    /// Returns the value of `key`.
    #[query]
    fn get(&self, key: String) -> Option<String> {
        self.map.get(&key).cloned()
    }

    /// Returns up to `limit` keys from `from` on, with their values.
    #[query]
    fn scan(&self, from: String, limit: u32) -> Vec<(String, String)> {
        let pairs = self.map.range(from..).take(limit as usize);
        pairs.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

// Commands and queries are made up from the types of their arguments.
#[simulate]
fn kv_is_linearizable(sim: Sim<Kv>) {}
