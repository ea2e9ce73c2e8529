use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

trait Adds {
    fn add(&mut self, by: i64) -> i64;
}

#[replicated]
impl Adds for Counter {
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }
}

fn main() {}
