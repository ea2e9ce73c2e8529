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

    #[command]
    fn add(&mut self, (one, two): (i64, i64), _: i64) -> i64 {
        one + two
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.get();
}

fn main() {}
