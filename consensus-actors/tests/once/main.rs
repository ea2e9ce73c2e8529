//! A service that holds its state elsewhere takes part in sagas over HTTP, behind `Once`.

mod breaking;
mod hotel;
mod repeating;
mod sagas;
