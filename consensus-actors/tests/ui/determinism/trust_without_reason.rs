use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    #[replica(trust)]
    seen: std::collections::HashMap<String, u64>,
    #[replica(trust = " ")]
    also: std::collections::HashMap<String, u64>,
}

#[replicated]
impl Counter {
    #[query]
    fn get(&self) -> i64 {
        0
    }
}

fn main() {}
