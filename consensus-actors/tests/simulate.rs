//! Simulations of users' state machines: what passes, what is caught, and what is said of it.

use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

#[test]
fn timing() {
    for (nodes, ops, seconds) in [(5, 150, 5), (5, 100, 5), (5, 100, 10), (3, 100, 5)] {
        let start = std::time::Instant::now();
        let checked = Counter::simulate().seeds(100).nodes(nodes).ops(ops).seconds(seconds).check();
        eprintln!(
            "{nodes} {ops} {seconds}: {:?} {} {checked:?}",
            start.elapsed(),
            checked.answered
        );
    }
}
