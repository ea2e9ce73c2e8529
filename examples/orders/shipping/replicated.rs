//! Parcels in a replicated actor, here of one node.

use std::collections::BTreeMap;

use consensus_actors::{
    Result,
    prelude::*,
    saga::{Guard, Guarded, Request},
};

use super::Parcel;
use crate::{
    book::{self, Book, ORDERS_MAX, PAGE},
    stock::Goods,
};

/// What was sent.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
pub(super) struct Parcels {
    parcels: BTreeMap<String, Parcel>,
    asked: u64,
    guard: Guard,
}

#[replicated]
impl Parcels {
    /// Sends the goods of an order, and returns the number of the parcel.
    #[command]
    fn ship(&mut self, of: Request, order: String, goods: Goods) -> Guarded<String> {
        self.asked += 1;
        self.guard.act(of, || {
            let count = self.parcels.len();
            if count >= ORDERS_MAX {
                return Err("the book of parcels is full");
            }
            let parcel = self.parcels.entry(order).or_default();
            parcel.number = format!("parcel-{}", count + 1);
            parcel.sku = goods.sku;
            parcel.parcels += 1;
            parcel.units += u64::from(goods.quantity);
            Ok(parcel.number.clone())
        })
    }

    /// Returns how often it was asked for something.
    #[query]
    fn asked(&self) -> u64 {
        self.asked
    }

    /// Returns a page of the book, behind an order.
    #[query]
    fn page(&self, after: String, limit: u32) -> Vec<(String, Parcel)> {
        book::page(&self.parcels, &after, limit)
    }
}

/// Reads the whole book.
pub(super) async fn book(parcels: &ParcelsClient) -> Result<Book<Parcel>> {
    let asked = parcels.asked().await?;
    book::read(asked, async |after| parcels.page(after, PAGE).await).await
}
