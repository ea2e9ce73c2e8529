//! A program that is no member of the cluster, and calls the counter all the same.
//!
//! ```console
//! $ cargo run --release --example counter -- dev      # three nodes on this machine
//! $ cargo run --release --example remote              # in another shell
//! 1
//! $ cargo run --release --example remote
//! 2
//! ```
//!
//! Kill a node in between, also the one that leads: the client goes on with the others.

use std::io::Write;

use consensus_actors::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> consensus_actors::Result {
    let nodes = ["127.0.0.1:4801", "127.0.0.1:4802", "127.0.0.1:4803"];
    let hits = CounterClient::connect(nodes, "hits").await?;
    let total = hits.add(1).deadline("2s").await?;
    writeln!(std::io::stdout(), "{total}")?;
    Ok(())
}

/// What both programs agree on: as a rule it lies in a library that both use.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }
}
