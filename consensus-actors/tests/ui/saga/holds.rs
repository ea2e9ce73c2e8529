use consensus_actors::{
    prelude::*,
    saga::{Holds, Outcome},
};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga(holds = kyes)]
impl PlaceOrder {
    fn keys(&self) -> Holds {
        Holds::waiting(["stock"])
    }

    #[step(no_effect)]
    async fn reserve(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Pay;

#[saga(holds = keys)]
impl Pay {
    async fn keys(&self) -> Holds {
        Holds::nothing()
    }

    #[step(no_effect)]
    async fn charge(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Ship;

#[saga(holds = keys)]
impl Ship {
    fn keys(&self) -> Vec<String> {
        Vec::new()
    }

    #[step(no_effect)]
    async fn book(&self) -> Outcome<u32> {
        Outcome::Done(1)
    }
}

fn main() {}
