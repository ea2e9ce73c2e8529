//! Fast Paxos: one value, chosen once, in two message delays if nobody else wants another.
//!
//! After L. Lamport, "Fast Paxos" (2006); section numbers in this folder are that paper's. What it
//! shares with [Basic Paxos](crate::paxos) is taken from there: ballots, seats, what callers may ask
//! and how they are answered.
//!
//! ```text
//!   Coordinator                    Acceptors, of whom a fast quorum        Learners
//!      | 1a  Prepare b  --------------> promises: no ballot before b           |
//!      | 1b  <-------------- Promise b, and what it has voted for last         |
//!      | 2a  Any b  ------------------> may vote for what it is asked first    |
//!   Proposer                            |                                      |
//!      |     Propose v  --------------> votes, once in the round               |
//!   Coordinator                         |                                      |
//!      | 2b  <--------------------------- Accepted (b fast, v) --------------> | enough: chosen
//!      |                                                                       |
//!      | collision: no value can have enough any more                          |
//!      | 2a  Accept (b classic, v)  --> votes, if it promised no later ballot  |
//!      | 2b  <--------------------------- Accepted (b classic, v) -----------> | enough: chosen
//! ```
//!
//! The upper part is over before anybody proposes, so a caller's value takes two message delays. In the
//! first ballot there is none: its fast round is open from the start, by convention, and everybody
//! knows whose it is ([`Config::first`]). That is safe. Phase 1 finds out what may have been chosen in
//! earlier rounds, and keeps acceptors out of them; there are no earlier rounds, since every acceptor
//! starts out as one that has promised itself to the first ballot. And an acceptor votes in the
//! first fast round for the first value that it hears of, once, as in any other: one that starts again
//! finds its vote on its disk, or has told nobody of it.
//!
//! A round is fast or classic, and everybody knows which ([`Round`]). Each ballot has one of either
//! kind. When the first phase of a ballot is over, its coordinator goes on by what a quorum tells
//! that it has voted for last. If a value may be chosen it proposes that one, in the classic round.
//! If nobody has voted it opens the fast round, or, if a caller of its node waits in vain, proposes
//! that caller's value in the classic one. If votes collided it is free, too, and proposes its
//! caller's value, or else one of theirs.
//!
//! What is here: proposers, acceptors and learners as three processes, and the coordinator of a node
//! in the seat of its proposer; fast rounds that are open in advance; collisions that are noticed
//! as soon as they are certain, or after a time, and coordinated recovery; classic rounds where fast
//! ones do not get anywhere; quorums by number; linearizable reads; restart. Who coordinates: the
//! first ballot is that of the node that is lowest of the acceptors. Any node begins another one when
//! a value of its own callers, a read, or its learner waits in vain, and whoever is refused rests for
//! a random time that grows.
//!
//! Callers are answered as by Basic Paxos: with what is chosen, their own value or another's, by
//! [`Effect::ReadReady`](crate::Effect::ReadReady) at index [`CHOSEN`], once the learner of the node
//! has handed it over by [`Effect::Apply`](crate::Effect::Apply); who only reads may be answered at
//! index zero.
//!
//! Deviations from the paper:
//! * Rounds are pairs, so that of a coordinator's rounds the classic one follows the fast one at
//!   once. The paper's rounds are numbers: there a coordinator that owns round i and round i + 1 may
//!   take votes of i for promises of i + 1, since nothing lies between.
//! * Promises are given to ballots, and hold for both rounds: in a fast round that its coordinator
//!   has not opened nobody votes. So a value that phase 1 finds is proposed in the classic round,
//!   which takes fewer votes, and a fast round has no value but "any".
//! * An acceptor keeps the first value that it cannot vote for so far; the paper's keeps all
//!   messages.
//! * A coordinator keeps no record of what it has proposed (3.2 asks for its value to be the same
//!   when it is sent again): one that starts again begins another ballot. So that of the first one,
//!   which nobody began, writes down that it goes on in its classic round before it does.
//! * Recovery is coordinated (3.2); acceptors do not recover by themselves.
//! * Acceptors tell all learners and the round's coordinator, and coordinators tell learners what is
//!   chosen, too. A learner keeps of each acceptor its last vote only, so that its memory is
//!   bounded, and asks for what it has missed.
//! * Fast and classic quorums need not meet, only what phase 1 hears must show ([`Quorums`]).
//!
//! The acceptors never change. One that has lost its disk may have promised or voted for anything:
//! it must not come back under its id, which its host sees to.
//!
//! It never reads a clock, never draws randomness but from its seed, and never trusts a peer's
//! message not to be stale, repeated, reordered or nonsense.

pub mod invariants;

mod acceptor;
mod choice;
mod config;
mod coordinator;
mod learner;
mod message;
mod mirror;
mod mutant;
mod proposer;
mod quorum;
mod record;
mod role;
mod round;
mod rules;
mod simulated;
mod wire;

pub use acceptor::Acceptor;
pub use config::{Builder, Config};
pub use learner::Learner;
pub use message::Message;
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use proposer::Proposer;
pub use quorum::Quorums;
pub use record::Record;
pub use role::Role;
pub use round::{Kind, Proposal, Round};
pub use rules::ConfigError;

pub use crate::paxos::{ACCEPTOR, Ballot, CHOSEN, Control, LEARNER, PROPOSER};
