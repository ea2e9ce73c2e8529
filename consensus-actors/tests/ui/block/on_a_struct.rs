use consensus_actors::prelude::*;

#[replicated]
struct Counter {
    value: i64,
}

fn main() {}
