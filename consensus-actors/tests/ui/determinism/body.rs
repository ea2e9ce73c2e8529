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
    fn everything(&mut self, by: i64) -> i64 {
        let mut seen = std::collections::HashMap::new();
        seen.insert(by, rand::random::<u64>());
        println!("{} {}", by, std::env::var("HOME").is_ok());
        std::thread::spawn(|| ());
        let text = std::fs::read_to_string("file");
        let id = format!("{}", Uuid::new_v4());
        self.value + id.len() as i64 + text.iter().len() as i64
    }
}

fn call(counter: &CounterClient) {
    let _ = counter.get();
}

mod rand {
    pub fn random<T: Default>() -> T {
        T::default()
    }
}

struct Uuid;

impl Uuid {
    fn new_v4() -> u64 {
        4
    }
}

fn main() {}
