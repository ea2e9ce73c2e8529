use consensus_actors::prelude::*;

use std::collections::HashMap;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protcol = raft)]
struct Counter {
    value: i64,
    seen: HashMap<String, u64>,
}

#[replicated]
impl Counter {
    #[command]
    async fn add(&mut self, name: &str, by: i64) -> i64 {
        self.value += by + name.len() as i64;
        self.value
    }

    #[command]
    fn stamp(&mut self) -> bool {
        std::time::SystemTime::now().elapsed().is_ok()
    }

    #[query]
    fn get(&mut self) -> i64 {
        self.value
    }
}

#[consensus_actors::main]
async fn main(node: Node) -> consensus_actors::Result {
    let hits = node.host::<Counter>("hits").await?;
    let _ = hits.add("name", 1);
    let _ = hits.stamp();
    let _ = hits.get();
    node.run().await
}
