use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

#[simulate(seed = 300)]
fn misspelt(sim: Sim<Counter>) {}

#[simulate(seeds = 0, nodes = "three")]
fn numbers(sim: Sim<Counter>) {}

#[simulate(faults(crsh, clock_skew(200ms)))]
fn faults(sim: Sim<Counter>) {}

#[simulate(faults(crash), profile(network))]
fn both(sim: Sim<Counter>) {}

#[simulate(profile(netwrk))]
fn profile(sim: Sim<Counter>) {}

#[simulate(protocols(raft, epaxos, raftt))]
fn protocols(sim: Sim<Counter>) {}

fn main() {}
