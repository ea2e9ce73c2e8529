//! Basic Paxos: one value, chosen once, for crash faults and an unreliable network.
//!
//! After L. Lamport, "Paxos Made Simple" (2001); section numbers in this folder are that paper's.
//!
//! ```text
//!   Proposer                        Acceptors, of whom a majority           Learners
//!      | 1a  Prepare b  ---------------> promises: no ballot before b           |
//!      | 1b  <--------------- Promise b, and what it has accepted last          |
//!      | 2a  Accept (b, v)  -----------> accepts, if it promised no later one   |
//!      | 2b  <---------------------------- Accepted (b, v) -------------------> | enough: chosen
//!      |     <------------------------------------------------ Chosen --------- |
//! ```
//!
//! v is the value of the proposal with the highest ballot that any of those who promised has
//! accepted; if none has accepted any, the proposer's own. So a proposal that may be chosen is
//! proposed again, and none else.
//!
//! What is here: the three roles as three processes, which talk by messages even on one node;
//! ballots of rounds and nodes that are durable before they are used; promises and acceptances that
//! are durable before anybody hears of them, this node's other roles among them; refusals, random
//! pauses that grow where proposers duel, and learners that ask for what they missed; quorums by
//! number, majorities unless configured; linearizable reads; restart.
//!
//! A caller hands a value to any proposer, and is answered with the one that is chosen, its own or
//! another: [`Effect::ReadReady`](crate::Effect::ReadReady) at index [`CHOSEN`], once the learner
//! of the node has handed it over by [`Effect::Apply`](crate::Effect::Apply). A caller that reads,
//! by [`Control::Read`], may also be answered at index zero: nothing was chosen when it asked.
//!
//! Deviations from the paper:
//! * An acceptor tells all learners and the proposer, and the proposer tells learners that its
//!   proposal is chosen, too: a learner may miss all that acceptors say.
//! * A proposer keeps to its ballot until it is refused. Without answers it asks again in the same
//!   one; that nobody answers is no reason for another.
//! * There is no distinguished proposer (2.4). Who is refused rests for a random time, that doubles
//!   with each refusal.
//! * A learner keeps of each acceptor the proposal with the highest ballot only, so that its memory
//!   is bounded. If it misses thereby that a value is chosen it hears so of others, or has its
//!   node's proposer begin another ballot, which proposes that value again (2.3, end).
//! * Quorums may be other than majorities, if any of the first phase meets any of the second.
//!
//! The acceptors never change. One that has lost its disk may have promised or accepted anything:
//! it must not come back under its id, which its host sees to.
//!
//! It never reads a clock, never draws randomness but from its seed, and never trusts a peer's
//! message not to be stale, repeated, reordered or nonsense.

pub mod invariants;

mod acceptor;
mod ballot;
mod config;
mod learner;
mod message;
mod mirror;
mod mutant;
mod pause;
mod proposer;
mod quorum;
mod record;
mod role;
mod rules;
mod simulated;
mod wire;

pub use acceptor::Acceptor;
pub use ballot::{Ballot, Proposal, Round};
pub use config::{Builder, Config};
pub use learner::Learner;
pub use message::Message;
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use proposer::Proposer;
pub use quorum::Quorums;
pub use record::Record;
pub use role::{Control, Role};
pub use rules::ConfigError;

// What other protocols of its kind share.
pub(crate) use pause::Pause;
pub(crate) use record::contradiction;
pub(crate) use role::{concerned, step};

use crate::{log::Index, process::Seat};

/// The seat of a node's proposer.
pub const PROPOSER: Seat = Seat(0);

/// The seat of a node's acceptor.
pub const ACCEPTOR: Seat = Seat(1);

/// The seat of a node's learner.
pub const LEARNER: Seat = Seat(2);

/// Where the chosen value is applied: a group decides one.
pub const CHOSEN: Index = Index(1);
