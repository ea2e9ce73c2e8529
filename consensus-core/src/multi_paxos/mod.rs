//! Multi-Paxos: a replicated log whose slots are instances of Paxos, under one stable leader, for
//! crash faults and an unreliable network.
//!
//! After L. Lamport, "Paxos Made Simple" (2001), section 3, and "The Part-Time Parliament" (1998);
//! what a log needs besides after T. Chandra, R. Griesemer, J. Redstone, "Paxos Made Live" (2007),
//! and R. van Renesse, D. Altinbuken, "Paxos Made Moderately Complex" (2015). Quorums of two sizes
//! after H. Howard, D. Malkhi, A. Spiegelman, "Flexible Paxos" (2016). Members change after L.
//! Lamport, D. Malkhi, L. Zhou, "Stoppable Paxos" (2008) and "Reconfiguring a State Machine" (2010).
//!
//! ```text
//!   Proposer of the leader          Acceptors                       Learners
//!      | Prepare b, all slots  ----->  promise: nothing before b        |
//!      | <--------- Promise b, and what each slot has accepted last     |
//!      |                                                                |
//!      | Accept (b, slots, values) ->  accept, durably                  |
//!      |                                  Voted: values, not chosen yet |
//!      | <------------------- Accepted b --- (own node) --------------> |
//!      | chosen, slot by slot; told with the next Accept -------------> | applies in order
//! ```
//!
//! The three roles are three processes on each node. They talk by messages, those of one node too.

pub mod invariants;

mod acceptor;
mod ballot;
mod config;
mod learner;
mod marks;
mod message;
mod mutant;
mod proposer;
mod record;
mod role;
mod simulated;
mod values;
mod violation;
mod votes;
mod wire;

pub use acceptor::Acceptor;
pub use ballot::Ballot;
pub use config::{Builder, Config, ConfigError};
pub use learner::Learner;
pub use message::{Message, Value, Vote};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use proposer::Proposer;
pub use record::Record;
pub use role::{Control, Role};
pub use values::Values;

use crate::process::Seat;

/// The seat of a node's proposer.
pub const PROPOSER: Seat = Seat(0);

/// The seat of a node's acceptor.
pub const ACCEPTOR: Seat = Seat(1);

/// The seat of a node's learner.
pub const LEARNER: Seat = Seat(2);
