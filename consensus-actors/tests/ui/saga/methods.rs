use consensus_actors::{prelude::*, saga::Outcome};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    #[step(no_effect)]
    fn reserve(&mut self) {}

    #[step(no_effect)]
    async fn charge<T>(_: T) -> Outcome<()> {
        Outcome::Done(())
    }

    #[cfg(unix)]
    #[step(no_effect)]
    #[step(pivot)]
    async fn ship(&self) -> Outcome<()> {
        Outcome::Done(())
    }
}

fn main() {}
