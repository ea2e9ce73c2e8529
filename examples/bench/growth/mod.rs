//! What becomes of the costs as things grow: the log, the number of groups, the state.

pub(crate) mod idle;
pub(crate) mod log;
mod process;
pub(crate) mod recovery;
pub(crate) mod snapshot;
