//! What golden scripts of protocols that choose one value may say.

use std::str::FromStr;

use consensus_core::{
    NodeId, Seat,
    paxos::{ACCEPTOR, LEARNER, PROPOSER},
};

use crate::verbs::Millis;

/// What a script may say.
#[derive(goldenscript::Command)]
pub(super) enum Verb {
    /// Starts a new cluster.
    Cluster {
        /// How many nodes have all roles.
        #[arg(key)]
        nodes: Option<u64>,
        /// How many nodes there are besides that accept nothing.
        #[arg(key)]
        learners: Option<u64>,
        /// How many must promise, and accept.
        #[arg(key)]
        prepare: Option<usize>,
        #[arg(key)]
        accept: Option<usize>,
        /// How many must vote for a value in a fast round, where there are such.
        #[arg(key)]
        fast: Option<usize>,
    },
    /// Asks a node's proposer for a value.
    Propose { node: NodeId, value: String },
    /// Asks a node's proposer what is chosen.
    Read(NodeId),
    /// Lets time pass on all nodes, or on those named, which look at their clocks.
    Advance {
        passed: Millis,
        #[arg(optional)]
        nodes: Vec<NodeId>,
    },
    /// Makes records of a role durable, all that wait unless it is said how many.
    Persist {
        spot: Spot,
        #[arg(optional)]
        count: Option<usize>,
    },
    /// Delivers messages of a link, oldest first: all, or as many as are said, or the one `at` a
    /// place, from 0.
    Deliver {
        from: NodeId,
        to: NodeId,
        #[arg(key)]
        at: Option<usize>,
        #[arg(optional)]
        count: Option<usize>,
    },
    /// Loses messages of a link, as `deliver` delivers them.
    Drop {
        from: NodeId,
        to: NodeId,
        #[arg(key)]
        at: Option<usize>,
        #[arg(optional)]
        count: Option<usize>,
    },
    /// Puts a copy of a message of a link behind all others: of the one `at` a place, or the
    /// oldest.
    Duplicate {
        from: NodeId,
        to: NodeId,
        #[arg(key)]
        at: Option<usize>,
    },
    /// Cuts some nodes off from all others, both ways.
    Partition(Vec<NodeId>),
    /// Cuts a link one way.
    Cut { from: NodeId, to: NodeId },
    /// Mends all links.
    Heal,
    /// Stops a node: what is not durable is lost.
    Crash(NodeId),
    /// Starts a node from its disks.
    Restart(NodeId),
    /// Delivers and persists until nothing is left to do, among the nodes named, or all. No time
    /// passes.
    Stabilize(#[arg(optional)] Vec<NodeId>),
    /// Lets the whole cluster keep step: in each beat of 100 ms all records become durable, what is
    /// on its way arrives, and all look at their clocks.
    Beat(u64),
    /// Shows all nodes.
    Status,
    /// Shows the messages in flight.
    Network,
}

/// A role of a node, such as `a2`.
#[derive(Clone, Copy)]
pub(super) struct Spot(pub(super) NodeId, pub(super) Seat);

impl FromStr for Spot {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seats = [("p", PROPOSER), ("a", ACCEPTOR), ("l", LEARNER)];
        let parsed = seats.into_iter().find_map(|(letter, seat)| {
            let node = text.strip_prefix(letter)?.parse().ok()?;
            Some(Self(node, seat))
        });
        parsed.ok_or("a role is written p1, a1 or l1")
    }
}
