use consensus_actors::prelude::*;

#[derive(Deterministic)]
struct Pair<T> {
    one: T,
    two: Wrapped<T>,
}

struct Wrapped<T>(T);

fn main() {}
