use consensus_actors::{
    prelude::*,
    saga::{Outcome, Undo},
};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    #[step(no_effect)]
    async fn reserve(&self) -> Outcome<String> {
        Outcome::Done(String::new())
    }

    #[step(no_effect)]
    async fn charge(&self, reserve: &u64) -> Outcome<u32> {
        Outcome::Done(*reserve as u32)
    }

    #[step(undo = unload)]
    async fn load(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }

    async fn unload(&self, load: Option<&u64>) -> Undo {
        let _ = load;
        Undo::Done
    }
}

fn main() {}
