use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

#[replicated(mesages = "ops")]
impl Counter {
    #[command(key = by, nmae = "plus")]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    #[query(read = local)]
    fn get(&self) -> i64 {
        self.value
    }

    #[query(read = linearisable)]
    fn peek(&self, #[arg(defualt)] by: i64) -> i64 {
        self.value + by
    }

    #[query(read = stale(max_lag = "soon"))]
    fn glance(&self) -> i64 {
        self.value
    }

    #[query(read = stale)]
    fn guess(&self) -> i64 {
        self.value
    }
}

fn main() {}
