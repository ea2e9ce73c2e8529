use consensus_actors::{
    prelude::*,
    saga::{Outcome, Undo},
};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    #[step(undo = relase)]
    async fn reserve(&self) -> Outcome<u32, String> {
        Outcome::Done(1)
    }

    #[step(undo = reserve)]
    async fn charge(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }

    #[step(undo = unload, after(reserve))]
    async fn load(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }

    fn unload(load: &u32, charge: Option<&u32>, reserve: Option<u32>) {
        let _ = (load, charge, reserve);
    }

    async fn release(&self) -> Undo {
        Undo::Done
    }
}

fn main() {}
