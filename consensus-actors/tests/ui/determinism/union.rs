use consensus_actors::prelude::*;

#[derive(Clone, Copy, Replicated)]
union Bits {
    whole: u64,
    parts: [u32; 2],
}

fn main() {}
