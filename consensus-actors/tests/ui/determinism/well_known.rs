use consensus_actors::prelude::*;

#[derive(Deterministic)]
struct Counter {
    seen: std::collections::HashSet<u64>,
    started: Option<std::time::Instant>,
    shared: std::rc::Rc<u64>,
    cell: std::cell::RefCell<Vec<u64>>,
    count: std::sync::Arc<std::sync::atomic::AtomicU64>,
    ratio: f64,
    rule: fn(u64) -> u64,
}


fn main() {}
