//! Proof by running: histories, and whether they can be explained.
//!
//! Today: the checker of histories that were seen from outside ([`linearizability`]), the form of a
//! history ([`history`]), and the objects that histories are about ([`models`]).

pub mod history;
pub mod linearizability;
pub mod models;
