//! The saga: what is to happen when somebody orders something, and how it is undone.

use consensus_actors::{
    prelude::*,
    saga::{Outcome, SagaCx, Undo},
};

use crate::{client::Services, layout::Service, orders::OrdersClient, payment::Bill, stock::Goods};

/// What a customer wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Deterministic)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purchase {
    pub(crate) customer: String,
    pub(crate) sku: String,
    pub(crate) quantity: u32,
    /// The price of all of it.
    pub(crate) cents: u64,
}

impl Purchase {
    fn goods(&self) -> Goods {
        Goods { sku: self.sku.clone(), quantity: self.quantity }
    }
}

/// A checkout: the order is placed, the goods are reserved while the customer is charged, a parcel
/// is sent, and the order is confirmed; or none of it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Checkout {
    pub(crate) order: String,
    pub(crate) purchase: Purchase,
}

// Services that die come back by themselves: steps and what undoes them are asked for again for half
// an hour before an operator is called. Whoever waits longer than the deadline gets the money back,
// unless the parcel may be on its way.
#[saga(version = 1, deadline = "60s", lock = "saga.lock")]
impl Checkout {
    /// The book of orders is replicated by the nodes that carry out the sagas, and called directly.
    #[step(undo = cancel, retry(max = 2000, backoff = "50ms..2s"))]
    async fn place(&self, cx: &SagaCx) -> Outcome<()> {
        let (order, purchase) = (self.order.clone(), self.purchase.clone());
        cx.get::<OrdersClient>().place(cx.request(), order, purchase).await.into()
    }

    async fn cancel(&self, cx: &SagaCx) -> Undo {
        cx.get::<OrdersClient>().cancel(cx.request(), self.order.clone()).await.into()
    }

    #[step(undo = put_back, after(place), retry(max = 2000, backoff = "50ms..2s"))]
    async fn reserve(&self, cx: &SagaCx) -> Outcome<u32> {
        let to = (Service::Stock, "take");
        cx.get::<Services>().ask(cx, to, &self.order, &self.purchase.goods()).await
    }

    async fn put_back(&self, cx: &SagaCx) -> Undo {
        let to = (Service::Stock, "put-back");
        cx.get::<Services>().ask::<()>(cx, to, &self.order, &()).await.into()
    }

    #[step(undo = refund, after(place), retry(max = 2000, backoff = "50ms..2s"))]
    async fn charge(&self, cx: &SagaCx) -> Outcome<u64> {
        let to = (Service::Payment, "charge");
        let bill = Bill { cents: self.purchase.cents };
        cx.get::<Services>().ask(cx, to, &self.order, &bill).await
    }

    async fn refund(&self, cx: &SagaCx) -> Undo {
        let to = (Service::Payment, "refund");
        cx.get::<Services>().ask::<()>(cx, to, &self.order, &()).await.into()
    }

    /// Nothing is undone once a parcel may be on its way.
    #[step(pivot, retry(max = 2000, backoff = "50ms..2s"))]
    async fn ship(&self, cx: &SagaCx) -> Outcome<String> {
        let to = (Service::Shipping, "ship");
        cx.get::<Services>().ask(cx, to, &self.order, &self.purchase.goods()).await
    }

    #[step(retriable, retry(max = 2000, backoff = "50ms..2s"))]
    async fn confirm(&self, cx: &SagaCx, ship: &str) -> Outcome<String> {
        let (order, parcel) = (self.order.clone(), ship.to_owned());
        cx.get::<OrdersClient>().confirm(cx.request(), order, parcel).await.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the page shows the saga as it is.
    // Method: look for what `orders graph` prints.
    #[test]
    fn the_page_shows_the_steps() {
        let page = include_str!("../../docs/orders.md");
        assert!(page.contains(&Checkout::graph().mermaid()), "run `orders graph`, and paste it");
    }
}
