use consensus_actors::{prelude::*, saga::Outcome};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    #[step(no_effect)]
    async fn reserve(&self) -> Result<u32, String> {
        Ok(1)
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Other;

#[saga]
impl Other {
    #[step(undo = release)]
    async fn reserve(&self) -> bool {
        true
    }

    async fn release(&self) -> bool {
        true
    }

    #[step(no_effect)]
    async fn look(&self) -> Outcome<()> {
        Outcome::Done(())
    }
}

fn main() {}
