use consensus_actors::{
    prelude::*,
    saga::{Outcome, Undo},
};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    #[step(retriable)]
    async fn greet(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    #[step(pivot)]
    async fn ship(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    #[step(pivot)]
    async fn bill(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    #[step(undo = unmail)]
    async fn mail(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    async fn unmail(&self) -> Undo {
        Undo::Done
    }

    #[step(no_effect)]
    async fn look(&self) -> Outcome<()> {
        Outcome::Done(())
    }
}

fn main() {}
