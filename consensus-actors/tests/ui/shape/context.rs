use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    #[query]
    fn get(&self) -> i64 {
        self.value
    }

    #[command]
    fn add(&mut self, cx: &mut Cx, by: i64) -> u64 {
        self.value += by;
        cx.index()
    }

    #[command]
    fn name(&mut self, cx: String) -> u64 {
        cx.len() as u64
    }

    #[command]
    fn index(&mut self, cx: &Cx) -> u64 {
        cx.index()
    }

    #[query]
    fn now(&self, cx: &mut Cx) -> u64 {
        cx.index()
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.get();
}

fn main() {}
