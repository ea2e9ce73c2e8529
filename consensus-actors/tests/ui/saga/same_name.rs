use consensus_actors::{prelude::*, saga::Outcome};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    #[step(no_effect)]
    async fn reserve(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    #[step(no_effect, name = "reserve")]
    async fn charge(&self) -> Outcome<()> {
        Outcome::Done(())
    }
}

fn main() {}
