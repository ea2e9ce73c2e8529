use consensus_actors::prelude::*;

struct Counter {
    value: i64,
}

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
