use consensus_actors::prelude::*;

#[derive(Clone, Replicated)]
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
}

fn main() {}
