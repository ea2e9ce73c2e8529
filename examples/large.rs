//! A state of a gigabyte, to see what its snapshots cost.
//!
//! ```console
//! $ cargo run --release --example large -- dev --snapshot-every 1000000
//! $ cargo run --release --example large -- call shelf fill from=0 count=1000
//! 1000
//! $ cargo run --release --example large -- snapshot save shelf
//! snapshot of shelf up to 4
//! ```
//!
//! Each item has a kibibyte, so `fill` with a `count` of 20,000, fifty times over, makes about a
//! gigabyte. The state has a thread of its own: copying it holds up its own callers only.

use std::collections::BTreeMap;

use consensus_actors::prelude::*;

#[consensus_actors::main]
async fn main(node: Node) -> consensus_actors::Result {
    node.host::<Shelf>("shelf").own_thread().await?;
    node.run().await
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft, snapshot(every = 10_000, bytes = "64MiB", keep = 2))]
struct Shelf {
    items: BTreeMap<u64, String>,
}

#[replicated]
impl Shelf {
    /// Puts `count` items of a kibibyte each at `from` and after it; returns how many there are.
    #[command]
    fn fill(&mut self, from: u64, count: u64) -> u64 {
        let items = from..from.saturating_add(count.min(20_000));
        self.items.extend(items.map(|at| (at, format!("{at:01024}"))));
        self.items.len() as u64
    }

    /// Puts a text at `at`.
    #[command]
    fn put(&mut self, at: u64, text: String) {
        self.items.insert(at, text);
    }

    /// Returns how many items there are.
    #[query]
    fn count(&self) -> u64 {
        self.items.len() as u64
    }
}
