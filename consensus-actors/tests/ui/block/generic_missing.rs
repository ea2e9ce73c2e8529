use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Cell<T: Deterministic> {
    value: T,
}

fn hosted<S: consensus_actors::Replicated>() {}

fn main() {
    hosted::<Cell<u64>>();
}
