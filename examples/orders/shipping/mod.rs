//! The service that sends parcels.

#[cfg(feature = "postgres")]
mod database;
#[cfg(not(feature = "postgres"))]
#[path = "absent.rs"]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres;
mod replicated;

use actix_web::web::{self, Data, Json, Path};
use consensus_actors::{
    Node, Result,
    prelude::*,
    saga::{FromSaga, Guarded, Request},
};

use crate::{book::Book, serve::Routes, stock::Goods};

pub(crate) use self::postgres::Database;

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

/// Says where the service keeps its book, for whoever starts it.
pub(crate) fn store_of(database: Option<&Database>) -> String {
    match database {
        Some(database) => {
            format!("shipping keeps its parcels in PostgreSQL, schema {}", database.schema())
        }
        None => "shipping keeps its parcels in a replicated actor".to_owned(),
    }
}

/// Where the service keeps its book. Whatever it is must keep, with the parcel and in the same
/// transaction, that the request was answered, and how.
enum Store {
    /// In a replicated actor.
    Replicated(replicated::ParcelsClient),
    /// In tables of a database.
    Postgres(Box<postgres::Parcels>),
}

impl Store {
    /// Sends the goods of an order, once for a saga, and returns the number of the parcel.
    async fn ship(
        &self,
        of: Request,
        order: String,
        goods: Goods,
    ) -> actix_web::Result<Guarded<String>> {
        match self {
            Self::Replicated(parcels) => Ok(parcels.ship(of, order, goods).await?),
            Self::Postgres(parcels) => parcels.ship(of, order, goods).await,
        }
    }

    /// Returns the book: how often it was asked to send something, and what was sent.
    async fn book(&self) -> actix_web::Result<Book<Parcel>> {
        match self {
            Self::Replicated(parcels) => Ok(replicated::book(parcels).await?),
            Self::Postgres(parcels) => parcels.book().await,
        }
    }
}

/// Hosts the service on a node.
pub(crate) async fn host(node: &Node, database: Option<Database>) -> Result<Routes> {
    // A node is ready once it hosts something: where there is a database, the actor stays empty.
    let replicated = node.host::<replicated::Parcels>("shipping").await?;
    let store = match database {
        Some(database) => Store::Postgres(Box::new(postgres::Parcels::new(database))),
        None => Store::Replicated(replicated),
    };
    let store = Data::new(store);
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
) -> actix_web::Result<Guarded<String>> {
    store.ship(of, order.into_inner(), goods.into_inner()).await
}

async fn books(store: Data<Store>) -> actix_web::Result<Json<Book<Parcel>>> {
    store.book().await.map(Json)
}
