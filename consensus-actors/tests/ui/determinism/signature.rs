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
    fn load(&mut self, all: std::collections::HashMap<String, u64>) -> usize {
        all.len()
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.get();
}

fn main() {}
