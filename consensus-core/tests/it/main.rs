//! Tests of the core: golden scripts, the paper's claims, seeded random runs.

mod admin;
mod attempts;
#[macro_use]
mod both;
mod bug;
mod client;
mod cluster;
mod decisions;
mod disk;
mod driver;
mod elections;
mod ensemble;
mod fast_paxos;
mod hostile;
mod kv;
mod levels;
mod limits;
mod linearizability;
mod links;
mod lookout;
mod multi_paxos;
#[cfg(feature = "mutants")]
mod mutants;
mod node;
mod pace;
mod partition;
mod paxos;
mod pitfalls;
mod promises;
mod queries;
mod raft;
mod recovery;
mod replica;
mod role;
mod saga;
mod shelf;
mod sim;
mod snapshot;
mod trace;
mod verbs;
mod window;
