//! Elections over a network of which parts are missing for good.

use std::time::Duration;

use consensus_core::NodeId;

use crate::{
    cluster::Cluster,
    node::{Options, id},
};

const STEP: Duration = Duration::from_millis(25);

/// Lets time pass everywhere, in steps, and everything arrive that can; returns the latest term.
fn pass(cluster: &mut Cluster, seconds: u32) -> u64 {
    let nodes: Vec<NodeId> = cluster.nodes().map(|(node, _)| node).collect();
    for _ in 0..seconds * 40 {
        for node in &nodes {
            cluster.tick(*node, STEP);
        }
        // Far more rounds than one thing leads to another.
        for _ in 0..10 {
            for node in &nodes {
                cluster.persist(*node, usize::MAX);
            }
            for ((from, to), count) in cluster.links().busy() {
                (0..count).for_each(|_| cluster.deliver(from, to, 0));
            }
        }
        cluster.take_trace();
    }
    let terms = cluster.nodes().map(|(_, node)| node.raft.state().term().0);
    terms.max().unwrap_or_default()
}

/// Returns how many terms five nodes begin in a minute of which 1, 2 and 3 hear each other, 4 hears
/// only 2, and 5 only 3; and whether somebody leads in the end whom a majority follows.
fn terms_in_a_minute(careful: bool) -> (u64, bool) {
    let mut cluster = Cluster::new(&Options {
        nodes: 5,
        pre_vote: careful,
        check_quorum: careful,
        ..Options::default()
    });
    pass(&mut cluster, 5);
    for (edge, only) in [(4, 2), (5, 3)] {
        for other in (1..=5).filter(|other| *other != edge && *other != only) {
            cluster.links_mut().cut(id(edge), id(other));
            cluster.links_mut().cut(id(other), id(edge));
        }
    }
    // Whoever led may have been one of the edge.
    let begun = pass(&mut cluster, 10);
    let terms = pass(&mut cluster, 60) - begun;
    let leader = cluster.nodes().find(|(_, node)| node.leads()).map(|(leader, _)| leader);
    let follows = |leader| {
        cluster.nodes().filter(|(_, node)| node.raft.state().leader() == Some(leader)).count()
    };
    (terms, leader.map_or(0, follows) >= 3)
}

// Goal: R18, links that are missing for good cost no elections: who hears of no leader finds that
// others do. Method: a minute; without pre-vote and check-quorum the same minute has many terms.
#[test]
fn partial_connectivity_costs_no_elections() {
    assert_eq!(terms_in_a_minute(true), (0, true));
    let (terms, _) = terms_in_a_minute(false);
    assert!(terms > 5, "only {terms} terms: the network is not what it is meant to be");
}
