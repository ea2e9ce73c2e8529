//! What stands for the database in a build without the feature `postgres`: there can be none.

use std::path::Path;

use consensus_actors::{
    Result,
    saga::{Guarded, Request},
};

use super::Parcel;
use crate::{book::Book, stock::Goods};

/// A database that cannot be named.
#[derive(Clone, Debug)]
pub(crate) enum Database {}

impl Database {
    /// Refuses to read how a database is reached.
    pub(crate) fn named(_: &str) -> Result<Self, &'static str> {
        Err("this program was built without PostgreSQL; build it with \
             `cargo run --release -p examples --features postgres --example orders -- ..`")
    }

    pub(crate) fn of_data(self, _: &Path) -> Result<Self> {
        match self {}
    }

    pub(crate) fn in_schema(self, _: String) -> Self {
        match self {}
    }

    pub(crate) fn config(&self) -> &str {
        match *self {}
    }

    pub(crate) fn schema(&self) -> &str {
        match *self {}
    }

    pub(crate) async fn create(&self) -> Result {
        match *self {}
    }

    pub(crate) async fn discard(&self) -> Result {
        match *self {}
    }
}

/// Parcels that are nowhere.
pub(super) enum Parcels {}

impl Parcels {
    pub(super) fn new(database: Database) -> Self {
        match database {}
    }

    pub(super) async fn ship(
        &self,
        _: Request,
        _: String,
        _: Goods,
    ) -> actix_web::Result<Guarded<String>> {
        match *self {}
    }

    pub(super) async fn book(&self) -> actix_web::Result<Book<Parcel>> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: who names a database to a program that can reach none is told how to build one.
    #[test]
    fn a_database_is_refused_with_what_to_do() {
        let told = Database::named("host=localhost").expect_err("there is none");
        assert!(told.contains("--features postgres"), "{told}");
    }
}
