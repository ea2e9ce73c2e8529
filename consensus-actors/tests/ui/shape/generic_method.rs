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
    fn add<T: Into<i64>>(&mut self, by: T) -> i64 {
        self.value += by.into();
        self.value
    }

    #[query]
    fn find(&self, wanted: impl Fn(i64) -> bool) -> impl Iterator<Item = i64> {
        Some(self.value).into_iter().filter(move |value| wanted(*value))
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.get();
}

fn main() {}
