//! Replicated actors: one derive turns a struct into a durable, exactly-once, replicated actix
//! actor.
//!
//! ```no_run
//! use consensus_actors::prelude::*;
//!
//! #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
//! #[replica(protocol = raft)]
//! struct Counter {
//!     value: i64,
//! }
//!
//! #[replicated]
//! impl Counter {
//!     /// Adds `by` and returns the new total.
//!     #[command]
//!     fn add(&mut self, by: i64) -> i64 {
//!         self.value += by;
//!         self.value
//!     }
//!
//!     #[query]
//!     fn get(&self) -> i64 {
//!         self.value
//!     }
//! }
//!
//! #[consensus_actors::main]
//! async fn main(node: Node) -> consensus_actors::Result {
//!     node.host::<Counter>("hits").await?;
//!     node.run().await
//! }
//! ```
//!
//! Commands change the state, through the log and on every replica alike; queries read it,
//! linearizably. Both are methods of the generated client and messages of the generated module
//! `counter`: `hits.add(1).await?` and `addr.send(counter::Add { by: 1 }).await??` do the same.
#![forbid(unsafe_code)]

mod abort;
mod archive;
mod arguments;
mod backlog;
mod call;
mod cli;
mod client;
mod clock;
mod config;
mod decisions;
mod deterministic;
mod error;
mod http;
mod inbox;
mod journal;
mod json;
mod memory;
mod multi_paxos;
mod node;
#[cfg(test)]
mod paused;
mod placement;
mod raft;
mod remote;
mod replica;
mod replicated;
mod role;
mod seat;
mod simulation;
mod suggest;
mod sync;
mod transport;

pub mod prelude;
pub mod saga;

#[doc(hidden)]
pub mod __private;

pub use call::{Call, Calling, Reads, WithToken, Writes};
pub use client::{COMMAND_BYTES_MAX, Client, IntoDuration};
pub use consensus_core::{
    Argument, CommitToken, Cx, GroupId, Interface, InvalidCommitToken, Key, NodeId, Operation,
    Outcome, ReadLevel, StateMachine,
};
pub use consensus_macros::{
    Deterministic, Replicated, command, main, query, replicated, saga, simulate, step,
};
pub use decisions::DecisionProtocol;
pub use deterministic::Deterministic;
pub use error::{Code, Error, Result};
pub use memory::MemoryCluster;
pub use node::{Decided, Deciding, Hosting, Node, NodeBuilder};
pub use placement::Placement;
pub use remote::Connecting;
pub use replica::Replica;
pub use replicated::{Answer, Apply, Command, Commands, Protocol, Query, Replicated};
pub use simulation::{Checked, Generator, Sim, Whole};
