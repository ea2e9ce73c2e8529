use consensus_actors::{prelude::*, saga::Outcome};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga(nmae = "order", version = 0, deadline = "2 minutes", lock = 3)]
impl PlaceOrder {
    #[step(no_efect, no_effect, timeout = "0s", retry(max = 0, backof = "1s"))]
    async fn reserve(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    #[step(no_effect, timeout = "5h", retry(backoff = "1s"), name = "re serve", after)]
    async fn charge(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    #[step(no_effect, retry(backoff = "2s..1s"))]
    async fn ship(&self) -> Outcome<()> {
        Outcome::Done(())
    }
}

fn main() {}
