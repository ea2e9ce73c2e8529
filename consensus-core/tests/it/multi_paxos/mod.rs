//! Multi-Paxos.

mod sim;
