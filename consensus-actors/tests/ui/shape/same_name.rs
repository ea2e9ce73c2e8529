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
    fn add(&mut self, by: i64) {
        self.value += by;
    }

    #[command(name = "add")]
    fn plus(&mut self, by: i64) {
        self.value += by;
    }

    #[command]
    fn add_2(&mut self) {
        self.value += 2;
    }

    #[command]
    fn add2(&mut self) {
        self.value += 2;
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.get();
}

fn main() {}
