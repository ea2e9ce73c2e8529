use consensus_actors::{
    prelude::*,
    saga::{Outcome, Undo},
};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    #[step]
    async fn reserve(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }

    #[step(undo = refund, no_effect)]
    async fn charge(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }

    async fn refund(&self) -> Undo {
        Undo::Done
    }

    #[step(pivot, undo = refund)]
    async fn ship(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }
}

fn main() {}
