use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    seen: std::collections::HashMap<String, u64>,
}

#[replicated]
impl Counter {
    #[query]
    fn get(&self) -> i64 {
        0
    }
}

fn main() {}
