use consensus_actors::prelude::*;

#[consensus_actors::main]
fn main(node: Node) -> consensus_actors::Result {
    node.run().await
}
