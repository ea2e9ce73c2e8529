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

#[simulate]
async fn waits(sim: Sim<Counter>) {}

#[simulate]
fn no_argument() {}

#[simulate]
fn state(counter: Counter) {}

#[simulate]
fn generic<T: Replicated>(sim: Sim<T>) {}

#[simulate]
fn returns(sim: Sim<Counter>) -> bool {
    true
}

#[simulate]
#[test]
fn twice(sim: Sim<Counter>) {}

#[simulate]
struct Simulation;

fn main() {}
