//! The service that has the goods.

use std::collections::BTreeMap;

use actix_web::web::{self, Data, Json, Path};
use consensus_actors::{
    Node, Result,
    prelude::*,
    saga::{FromSaga, Guard, Guarded, Request},
};

use crate::{
    Rules,
    book::{self, Book, ORDERS_MAX, PAGE},
    serve::{PAUSE, Routes},
};

/// What the shop sells.
pub(crate) const SKUS: [&str; 4] = ["cocoa", "coffee", "mate", "tea"];

/// What is taken from the shelf, or sent.
#[derive(Clone, Debug, Serialize, Deserialize, Deterministic)]
pub(crate) struct Goods {
    pub(crate) sku: String,
    pub(crate) quantity: u32,
}

/// What was taken from the shelf for an order, and put back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Deterministic)]
pub(crate) struct Taking {
    pub(crate) sku: String,
    /// How often something was taken; once, if all is well.
    pub(crate) takes: u32,
    /// How many units were taken in all.
    pub(crate) taken: u64,
    /// How often something was put back.
    pub(crate) returns: u32,
    /// How many units were put back in all.
    pub(crate) returned: u64,
}

/// The shelf, and what was taken from it for each order. A real service has a database here, and
/// the guard in it.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
pub(crate) struct Stock {
    /// How many units are left of each sku.
    left: BTreeMap<String, u32>,
    takings: BTreeMap<String, Taking>,
    asked: u64,
    guard: Guard,
}

#[replicated]
impl Stock {
    /// Fills the shelf, if that was never done.
    #[command]
    fn fill(&mut self, units: u32) {
        if self.left.is_empty() {
            self.left = SKUS.map(|sku| (sku.to_owned(), units)).into();
        }
    }

    /// Takes goods from the shelf.
    #[command]
    fn take(&mut self, of: Request, order: String, goods: Goods) -> Guarded<u32> {
        let Goods { sku, quantity } = goods;
        self.asked += 1;
        self.guard.act(of, || {
            let left = self.left.get_mut(&sku).ok_or_else(|| format!("{sku:?} is not sold"))?;
            if self.takings.len() >= ORDERS_MAX {
                return Err("the book of takings is full".to_owned());
            }
            // Check before you change: what an effect has changed stays, however it ends.
            *left = left.checked_sub(quantity).ok_or("not enough in stock")?;
            let taking = self.takings.entry(order).or_default();
            taking.sku = sku;
            taking.takes += 1;
            taking.taken += u64::from(quantity);
            Ok(quantity)
        })
    }

    /// Puts back what was taken.
    #[command]
    fn put_back(&mut self, of: Request, order: String) -> Guarded<()> {
        self.asked += 1;
        self.guard.undo(of, |quantity: u32| {
            let taking = self.takings.get_mut(&order).ok_or("nothing was taken for the order")?;
            let left = self.left.get_mut(&taking.sku).ok_or("the shelf is gone")?;
            *left += quantity;
            taking.returns += 1;
            taking.returned += u64::from(quantity);
            Ok::<_, &str>(())
        })
    }

    /// Returns how many units are left of each sku.
    #[query]
    fn shelf(&self) -> BTreeMap<String, u32> {
        self.left.clone()
    }

    /// Returns how often it was asked for something.
    #[query]
    fn asked(&self) -> u64 {
        self.asked
    }

    /// Returns a page of the book, behind an order.
    #[query]
    fn page(&self, after: String, limit: u32) -> Vec<(String, Taking)> {
        book::page(&self.takings, &after, limit)
    }
}

/// What the service has to show.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Inventory {
    pub(crate) left: BTreeMap<String, u32>,
    pub(crate) takings: Book<Taking>,
}

/// Hosts the service on a node, and fills the shelf before anybody takes something from it.
pub(crate) async fn host(node: &Node, rules: &Rules) -> Result<Routes> {
    let stock = node.host::<Stock>("stock").await?;
    while let Err(error) = stock.fill(rules.shelf).await {
        // Most of the others are not up yet. To ask again is safe.
        tracing::warn!("the shelf is not filled yet: {error}");
        tokio::time::sleep(PAUSE).await;
    }
    let stock = Data::new(stock);
    Ok(Routes::new(move |app| {
        app.app_data(stock.clone())
            .route("/orders/{id}/take", web::post().to(take))
            .route("/orders/{id}/put-back", web::post().to(put_back))
            .route("/books", web::get().to(books));
    }))
}

async fn take(
    FromSaga(of): FromSaga,
    stock: Data<StockClient>,
    order: Path<String>,
    goods: Json<Goods>,
) -> Result<Guarded<u32>> {
    stock.take(of, order.into_inner(), goods.into_inner()).await
}

async fn put_back(
    FromSaga(of): FromSaga,
    stock: Data<StockClient>,
    order: Path<String>,
) -> Result<Guarded<()>> {
    stock.put_back(of, order.into_inner()).await
}

async fn books(stock: Data<StockClient>) -> Result<Json<Inventory>> {
    let asked = stock.asked().await?;
    let takings = book::read(asked, async |after| stock.page(after, PAGE).await).await?;
    Ok(Json(Inventory { left: stock.shelf().await?, takings }))
}
