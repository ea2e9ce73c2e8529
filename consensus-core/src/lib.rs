//! Pure, deterministic logic of a framework for replicated actors.
//!
//! Protocols, client sessions, the replica, a client's routing and retries, and the journal's
//! format and recovery, without a clock, file, socket, thread, or hidden randomness. A host (the
//! actors of `consensus-actors`, or a simulator) feeds [`Input`]s to a [`Process`] and carries out
//! its [`Effect`]s.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_types)
)]

pub mod client;
pub mod codec;
pub mod decisions;
pub mod ensemble;
pub mod fast_paxos;
pub mod journal;
pub mod multi_paxos;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod numbering;
pub mod paxos;
pub mod quorum;
pub mod raft;
pub mod replica;
pub mod role;
pub mod saga;
pub mod sim;
pub mod snapshot;
pub mod table;

mod change;
mod error;
mod log;
mod members;
mod membership;
#[cfg(not(feature = "mutants"))]
mod mutants;
mod process;
mod read;
mod remains;
mod rounds;
mod state_machine;
mod time;

pub use change::{CONTACT_BYTES_MAX, Change, ChangeError, MEMBERS_MAX};
pub use error::{Outcome, RecoverError, SubmitError, TransferError};
pub use log::{Decided, Index};
pub use members::{InvalidNodeId, Members, NodeId};
pub use membership::Membership;
/// What draws numbers from [`Cx::rng`].
pub use rand_chacha::rand_core::Rng;

pub use process::{
    Address, Effect, Effects, GroupId, Input, Process, Seat, Status, Submission, Ticket, Token,
};
pub use read::{CommitToken, InvalidCommitToken, Read, ReadLevel};
pub use state_machine::{Argument, Cx, Interface, Key, Operation, StateMachine, operation_name};
pub use time::{Time, WallTime};
