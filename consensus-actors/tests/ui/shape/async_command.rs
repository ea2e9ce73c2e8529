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
    async fn add(&mut self, by: i64) -> i64 {
        other().await;
        self.value += by;
        self.value
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.get();
}

async fn other() {}

fn main() {}
