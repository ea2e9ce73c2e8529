use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    rules: Vec<Rule>,
    set: std::collections::BTreeSet<u64>,
}

#[replicated]
impl Counter {
    #[query]
    fn get(&self) -> i64 {
        0
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Rule(u64);

fn main() {}
