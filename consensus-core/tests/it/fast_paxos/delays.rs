//! How many message delays it takes from a caller's request until all learners know.
//!
//! What is counted: messages that wait are delivered all at once, those that come of them wait for
//! the next delivery, and each delivery is a delay. A message to another role of the same node takes
//! one as any other does. Disks write at once, no time passes and nothing is lost.

use std::collections::BTreeSet;

use consensus_core::{NodeId, fast_paxos, paxos};

use crate::{
    node::id,
    paxos::cluster::{Cluster, Options, Tested},
};

const ACCEPTORS: u64 = 5;

struct Delays<P: Tested>(Cluster<P>);

impl<P: Tested> Delays<P> {
    fn new() -> Self {
        Self(Cluster::new(&Options { acceptors: ACCEPTORS, ..Options::default() }))
    }

    fn nodes() -> impl Iterator<Item = NodeId> {
        (1..=ACCEPTORS).map(id)
    }

    fn persist(&mut self) {
        while Self::nodes()
            .flat_map(|node| P::SEATS.iter().map(move |seat| (node, *seat)))
            .fold(0, |written, (node, seat)| written + self.0.persist(node, seat, usize::MAX))
            > 0
        {}
    }

    /// Delivers all that waits; tells whether anything did.
    fn deliver(&mut self) -> bool {
        let busy = self.0.links().busy();
        for ((from, to), count) in &busy {
            (0..*count).for_each(|_| self.0.deliver(*from, *to, 0));
        }
        self.persist();
        !busy.is_empty()
    }

    /// Returns after how many delays the first learner knows, and the last one.
    fn until_learned(&mut self) -> (u32, u32) {
        self.persist();
        let (mut first, mut delays) = (None, 0);
        loop {
            let knows = self.0.nodes().filter(|(_, node)| node.applied.is_some()).count();
            if knows > 0 {
                first.get_or_insert(delays);
            }
            if knows == ACCEPTORS as usize {
                return (first.unwrap_or(delays), delays);
            }
            assert!(self.deliver(), "somebody is never told");
            delays += 1;
        }
    }
}

// Goal: the first fast round is open from the start, so all learners know after two delays, from a caller of any node:
// the value goes to acceptors, and their votes go to learners. Basic Paxos, whose proposer has asked
// for no promises before, takes four: Prepare, Promise, Accept and Accepted (3.1).
// Method: a caller of each node in turn, with a cluster of its own.
#[test]
fn fast_decision_takes_two_delays() {
    for node in (1..=ACCEPTORS).map(id) {
        let mut fast = Delays::<fast_paxos::Role>::new();
        fast.0.propose(node, "x");
        assert_eq!(fast.until_learned(), (2, 2), "{node}");
        let mut basic = Delays::<paxos::Role>::new();
        basic.0.propose(node, "x");
        assert_eq!(basic.until_learned(), (4, 4), "{node}");
    }
}

// Goal: a collision that the coordinator notices costs two delays more, and not the four of another
// ballot (3.2). Method: half of the acceptors hear one proposer first, and half the other.
#[test]
fn recovery_from_a_collision_takes_two_more_delays() {
    let mut fast = Delays::<fast_paxos::Role>::new();
    let cut: BTreeSet<(u64, u64)> = BTreeSet::from([(2, 4), (2, 5), (3, 1), (3, 2), (3, 3)]);
    for (from, to) in cut {
        fast.0.links_mut().cut(id(from), id(to));
    }
    fast.0.propose(id(2), "x");
    fast.0.propose(id(3), "y");
    fast.0.links_mut().heal();
    assert_eq!(fast.until_learned(), (4, 4));
}
