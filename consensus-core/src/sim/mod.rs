//! Proof by running: a cluster under virtual time with every fault of a seed, and whether what its
//! callers saw can be explained.
//!
//! [`run`] drives any [`Simulated`] process with the real replica, client and journal, from one
//! seed: no thread, no clock, and the same seed gives the same trace, byte for byte. Networks lose,
//! delay, repeat, reorder and split; processes crash between any two effects and within any write;
//! disks tear, rot, fill and fail; clocks drift and jump. Each fault is [counted](Counts).
//!
//! After every step the protocol's invariants are checked. In the end everything is mended, and
//! then every node must serve within bounded time, all replicas must hold the same, and what
//! callers were told must be true and linearizable, with the log's order as the witness. A failing
//! run is [shrunk](shrink).
//!
//! Histories that were seen from outside, without a log, are for [`linearizability`]; reads may be
//! held to less ([`levels`]), and a history may be checked key by key ([`partition`]).

pub mod history;
pub mod levels;
pub mod linearizability;
pub mod models;
pub mod partition;

mod agenda;
mod alone;
mod callers;
mod carrying;
mod decide;
mod decided;
mod deciding;
mod decision;
mod drive;
mod event;
mod fault;
mod host;
mod leases;
mod membership;
mod mishaps;
mod network;
mod node;
mod operations;
mod operators;
mod order;
mod plan;
mod presence;
mod protocol;
mod random;
mod runner;
mod saga;
mod script;
mod search;
mod served;
mod service;
mod shelf;
mod shrinking;
mod sides;
mod snapshots;
mod store;
mod strikes;
mod temptation;
mod trace;
mod window;
mod witness;
mod workload;
mod world;
mod writing;

pub use agenda::DECISION_FAULTS;
pub use decide::{decide, shrink_decisions};
pub use deciding::{Deciding, DecisionJudge, Seating};
pub use fault::{Counts, Fault, Faults, Profile};
pub use operations::{Asked, Ended};
pub use order::in_true_time;
pub use plan::{Builder, NODES_MAX, Plan, PlanError};
pub use protocol::{Adversary, Broken, Judge, Setup, Simulated, Snapshots};
pub use random::Random;
pub use runner::{Failure, Flaw, Report, Run, run};
pub use saga::{SAGA_FAULTS, Tally as SagaTally, sagas, shrink_sagas, told as sagas_told};
pub use search::REMEMBERED_MAX;
pub use served::{Reads, Served};
pub use shrinking::{Shrunk, shrink};
pub use store::{Change, Look, Store, StoreWorkload};
pub use trace::{Line, What};
pub use window::Window;
pub use workload::{Body, Made, Operation, Workload};
