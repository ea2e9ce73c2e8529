//! Every order in which the messages of a few ballots can arrive, for Basic Paxos and for Fast Paxos.
//!
//! Proposers, coordinators and acceptors are stepped as a host steps them, by disks that write at
//! once. A message that was sent may arrive at any time, again and again, or never, so what is in the
//! network only grows (`search.rs`). What each protocol is played with is in `basic.rs` and in
//! `fast.rs`.
//!
//! What is bounded: callers ask at the beginning, and each proposer gives up what it does as often as
//! its scene says. Nodes do not crash: crashes at every barrier are the simulator's part. In release
//! all of it is searched, in about a minute; in debug builds less, as each test says.
//!
//! What is left out changes nothing of what acceptors do: learners, since whatever was voted for
//! stays said, so that what is chosen is read off the messages; refusals, instead of which a proposer
//! gives up at any time, or hears nothing more; and that messages are sent again, since each may
//! arrive again anyway. States are remembered by hashes of 64 bits.

mod basic;
mod fast;
mod search;
