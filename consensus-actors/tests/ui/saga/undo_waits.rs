use consensus_actors::{
    prelude::*,
    saga::{Outcome, Undo},
};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    #[step(no_effect)]
    async fn reserve(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }

    #[step(undo = refund)]
    async fn charge(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }

    async fn refund(&self, charge: Option<&u32>, reserve: &u32) -> Undo {
        let _ = (charge, reserve);
        Undo::Done
    }
}

fn main() {}
