//! A cluster that agrees once on its layout, and works by it for good.
//!
//! ```console
//! $ cargo run --release --example agree -- dev     # three nodes, each with a layout of its own
//! $ agree decide layout                            # what they agreed upon
//! {"shards":4,"by":2}
//! $ agree decide color blue                        # anything else may be decided, too
//! blue
//! $ curl localhost:4703/v1/decisions/color
//! {"value":"blue"}
//! ```
//!
//! Whichever node comes first, and whatever dies meanwhile: all have the same layout, the next time
//! they start as well. A setting that differs from node to node cannot split the data.

use std::process;

use consensus_actors::{Code, prelude::*};

/// How the keys are spread. It can never change: whoever counted on another would not find them.
#[derive(Debug, Serialize, Deserialize)]
struct Layout {
    shards: u64,
    /// The node whose proposal it was.
    by: u64,
}

#[consensus_actors::main]
async fn main(node: Node) -> consensus_actors::Result {
    // Each would do it in its own way.
    let own = Layout { shards: 2 * node.id(), by: node.id() };
    let layout: Layout = loop {
        match node.decide("layout", &own).await {
            // Most of the others are not up yet. To ask again is safe.
            Err(error) if error.code() == Code::Deadline => eprintln!("{error}"),
            decided => break decided?,
        }
    };
    eprintln!("node {} (pid {}) works by {layout:?}", node.id(), process::id());
    for shard in 0..layout.shards {
        node.host::<Counter>(format!("shard-{shard}")).await?;
    }
    node.run().await
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    values: std::collections::BTreeMap<String, i64>,
}

#[replicated]
impl Counter {
    /// Adds `by` to a key and returns its new total.
    #[command]
    fn add(&mut self, key: String, by: i64) -> i64 {
        let value = self.values.entry(key).or_default();
        *value += by;
        *value
    }
}
