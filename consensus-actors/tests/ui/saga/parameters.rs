use consensus_actors::{
    prelude::*,
    saga::{Outcome, SagaCx},
};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    #[step(no_effect)]
    async fn reserve(&self, ship: &u32, count: u32) -> Outcome<u32> {
        Outcome::Done(*ship + count)
    }

    #[step(no_effect)]
    async fn charge(&self, resreve: &u32, reserve: Option<&u32>, _: &u32) -> Outcome<u32> {
        Outcome::Done(*resreve + *reserve.unwrap())
    }

    #[step(no_effect)]
    async fn weigh(&self, reserve: u32) -> Outcome<u32> {
        Outcome::Done(reserve)
    }

    #[step(pivot, after(chrge, ship))]
    async fn ship(&self, cx: SagaCx) -> Outcome<u32> {
        Outcome::Done(cx.attempt())
    }
}

fn main() {}
