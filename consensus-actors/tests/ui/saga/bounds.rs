use consensus_actors::{
    prelude::*,
    saga::{Outcome, SagaCx, Undo},
};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[derive(Serialize, Deserialize)]
struct Plain;

#[saga]
impl Plain {
    #[step(undo = release)]
    async fn reserve(&self, cx: &SagaCx) -> Outcome<u32> {
        Outcome::Done(cx.attempt())
    }

    async fn release(&self, reserve: Option<&u32>) -> Undo {
        let _ = reserve;
        Undo::Done
    }
}

#[saga]
impl PlaceOrder {
    #[step(no_effect)]
    async fn reserve(&self) -> Outcome<()> {
        let here = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(here);
        Outcome::Done(())
    }
}

fn main() {}
