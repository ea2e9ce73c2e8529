use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

#[consensus_actors::main]
async fn main(node: Node) -> consensus_actors::Result {
    let hits = node.host::<Counter>("hits").await?;
    hits.add(1).await?;
    node.run().await
}
