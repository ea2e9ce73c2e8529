use consensus_actors::prelude::*;

#[consensus_actors::main(threads = 2)]
async fn main(node: Node) {
    node.run().await;
}
