use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    sizes: Vec<usize>,
}

#[replicated]
impl Counter {
    #[query]
    fn get(&self) -> i64 {
        0
    }
}

fn main() {}
