use consensus_actors::{prelude::*, saga::Outcome};

#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder;

#[saga]
impl PlaceOrder {
    async fn reserve(&self) -> Outcome<()> {
        Outcome::Done(())
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Generic<T>(T);

#[saga]
impl<T> Generic<T> {
    #[step(no_effect)]
    async fn reserve(&self) -> Outcome<()> {
        Outcome::Done(())
    }
}

#[saga]
struct Struct;

#[saga]
impl Default for PlaceOrder {
    fn default() -> Self {
        Self
    }
}

struct Outside;

impl Outside {
    #[step(no_effect)]
    async fn reserve(&self) -> Outcome<()> {
        Outcome::Done(())
    }
}

fn main() {}
