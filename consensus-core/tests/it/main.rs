//! Tests of the core: golden scripts, the paper's claims, seeded random runs.

mod cluster;
mod disk;
mod kv;
mod node;
mod promises;
mod raft;
mod trace;
