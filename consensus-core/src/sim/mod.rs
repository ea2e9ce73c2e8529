//! Proof by running: histories, and whether they can be explained.
//!
//! Today: the checker of histories that were seen from outside ([`linearizability`]), the form of a
//! history ([`history`]), and the objects that histories are about ([`models`]). Reads may be held
//! to less ([`levels`]), and a history may be checked key by key ([`partition`]).

pub mod history;
pub mod levels;
pub mod linearizability;
pub mod models;
pub mod partition;

mod search;
mod window;

pub use search::REMEMBERED_MAX;
pub use window::Window;
