//! A replicated counter that survives the death of its leader.
//!
//! ```console
//! $ cargo run --release --example counter -- dev                  # three nodes on this machine
//! $ curl localhost:4701/v1/groups/hits/commands/add -d '{"by":1}' # any node will do
//! {"reply":1}
//! $ curl localhost:4702/v1/groups/hits/queries/get
//! {"reply":1}
//! ```
//!
//! Kill any node with `kill -9`: the others go on, and the counter with them.
//! `cargo test -p examples --example counter` ends them hundreds of times, in simulated time.

use consensus_actors::prelude::*;

#[consensus_actors::main]
async fn main(node: Node) -> consensus_actors::Result {
    node.host::<Counter>("hits").await?;
    node.run().await
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    /// Adds `by` and returns the new total.
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    /// Returns the total.
    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

#[simulate(protocols(raft, multi_paxos), faults(crash, partition, drop, duplicate, torn_write))]
fn counter_is_linearizable(sim: Sim<Counter>) {
    sim.command(|g| counter::Add { by: g.in_range(-9..=9) }).query(|_| counter::Get {});
}
