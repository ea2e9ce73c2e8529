//! The service that sends parcels.

mod replicated;

use actix_web::web::{self, Data, Json, Path};
use consensus_actors::{
    Node, Result,
    prelude::*,
    saga::{FromSaga, Guarded, Request},
};

use crate::{book::Book, serve::Routes, stock::Goods};

/// What was sent for an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Deterministic)]
pub(crate) struct Parcel {
    /// What the customer calls it by.
    pub(crate) number: String,
    pub(crate) sku: String,
    /// How often something was sent; once, if all is well.
    pub(crate) parcels: u32,
    /// How many units were sent in all.
    pub(crate) units: u64,
}

/// Where the service keeps its book. Whatever it is must keep, with the parcel and in the same
/// transaction, that the request was answered, and how.
#[derive(Clone)]
enum Store {
    /// In a replicated actor.
    Replicated(replicated::ParcelsClient),
}

impl Store {
    /// Sends the goods of an order, once for a saga, and returns the number of the parcel.
    async fn ship(&self, of: Request, order: String, goods: Goods) -> Result<Guarded<String>> {
        match self {
            Self::Replicated(parcels) => parcels.ship(of, order, goods).await,
        }
    }

    /// Returns the book: how often it was asked to send something, and what was sent.
    async fn book(&self) -> Result<Book<Parcel>> {
        match self {
            Self::Replicated(parcels) => replicated::book(parcels).await,
        }
    }
}

/// Hosts the service on a node.
pub(crate) async fn host(node: &Node) -> Result<Routes> {
    let store = Data::new(Store::Replicated(node.host::<replicated::Parcels>("shipping").await?));
    Ok(Routes::new(move |app| {
        app.app_data(store.clone())
            .route("/orders/{id}/ship", web::post().to(ship))
            .route("/books", web::get().to(books));
    }))
}

async fn ship(
    FromSaga(of): FromSaga,
    store: Data<Store>,
    order: Path<String>,
    goods: Json<Goods>,
) -> Result<Guarded<String>> {
    store.ship(of, order.into_inner(), goods.into_inner()).await
}

async fn books(store: Data<Store>) -> Result<Json<Book<Parcel>>> {
    store.book().await.map(Json)
}
