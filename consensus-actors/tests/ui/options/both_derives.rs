use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated, Deterministic)]
#[replica(protocol = raft, nmae = "hits")]
struct Counter {
    value: i64,
    #[replica(trust)]
    seen: Vec<usize>,
    sizes: Vec<usize>,
}

#[replicated]
impl Counter {
    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

fn main() {}
