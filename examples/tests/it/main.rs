//! Programs as their users meet them: real processes on loopback, asked over HTTP, ended by real
//! signals.

mod cluster;
mod command_line;
mod configuration;
mod contract;
mod decisions;
mod dev;
mod ending;
mod failover;
mod http;
mod keys;
mod load;
mod members;
mod membership;
mod orders;
mod panics;
#[cfg(feature = "postgres")]
mod parcels;
mod peer;
mod process;
mod quorum;
mod reads;
mod refusals;
mod remote;
mod rolling;
mod sagas;
// The same servers as in the tests of sagas in a database.
#[cfg(feature = "postgres")]
#[path = "../../../consensus-actors/tests/postgres/server.rs"]
mod server;
mod snapshots;
mod transfer;
mod transport;
mod witness;
