use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize)]
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

    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

fn main() {}
