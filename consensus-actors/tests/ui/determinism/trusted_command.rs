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

    #[command(trust = "")]
    fn stamp(&mut self) -> bool {
        std::time::SystemTime::now().elapsed().is_ok()
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.get();
}

fn main() {}
