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
    fn rename(&mut self, name: &str, parts: Vec<&[u8]>) -> bool {
        name.is_empty() && parts.is_empty()
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.rename("hits", Vec::new());
}

fn main() {}
