use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }
}

fn main() {}
