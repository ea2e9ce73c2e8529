//! What stands in for `mutants` in a build without them.

use std::process::ExitCode;

use consensus_core::sim::Builder;

use super::{options::Sim, protocol::Protocol};
use crate::error::{Code, Error, Result};

/// Says how to build the hunt.
pub(super) fn hunt(_: &Sim) -> Result<ExitCode> {
    Err(no_mutants())
}

/// Says how to build what can put a bug back.
pub(super) fn put_back(_: Builder, _: &str, _: Protocol) -> Result<Builder> {
    Err(no_mutants())
}

fn no_mutants() -> Error {
    let message = "this build cannot put bugs back; build one that can: cargo run --release -p \
                   consensus-actors --features mutants --bin consensus -- sim --mutants raft";
    Error::new(Code::Config, message)
}
