//! A real PostgreSQL database takes part in sagas: each effect comes about once, whatever dies.
//!
//! The server is the one that `POSTGRES_URL` names, or one that the tests start. Without any they
//! say that they were skipped. In a server of yours they leave schemas behind, `saga_test_..`.

mod duplicates;
mod executors;
mod failures;
#[cfg(feature = "mutants")]
mod mutants;
mod place;
mod sagas;
mod server;
mod tables;
