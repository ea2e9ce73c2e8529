//! Golden scripts for Paxos: each file in `tests/scripts/paxos` shows one property.
//!
//! They are written as Raft's are. In traces `p1`, `a1` and `l1` are the proposer, acceptor and
//! learner of node 1, `3.2` is the ballot of round 3 that belongs to node 2, `3.2:x` a proposal,
//! `#4` a record, `t1` a caller; `->` goes onto a link, `-x` is lost, `..` waits for a record to be
//! durable, `<-` arrives.

mod claims;
pub(crate) mod cluster;
mod hostile;
mod orders;
pub(crate) mod script;
mod sim;
pub(crate) mod trace;
mod verbs;

use consensus_core::paxos::Role;
use test_each_file::test_each_path;

test_each_path! { in "./consensus-core/tests/scripts/paxos" as scripts => script::run::<Role> }
