//! Tests of the core: golden scripts, the paper's claims, seeded random runs.

mod cluster;
mod disk;
mod history;
mod kv;
mod node;
mod promises;
mod raft;
mod random;
mod service;
mod trace;
