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
    fn stamp(&mut self) -> u64 {
        let now = std::time::SystemTime::now();
        let begin = std::time::Instant::now();
        now.elapsed().map_or(0, |_| begin.elapsed().as_secs())
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.get();
}

fn main() {}
