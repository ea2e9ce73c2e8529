//! What Multi-Paxos's golden scripts may say.

use std::str::FromStr;

use consensus_core::{Index, NodeId, multi_paxos::Ballot, paxos::Round};

use crate::verbs::Millis;

/// What a script may say.
#[derive(goldenscript::Command)]
pub(super) enum Verb {
    /// Starts a new cluster.
    Cluster {
        /// How many nodes there are.
        #[arg(key)]
        nodes: Option<u64>,
        /// How many nodes there are besides that are no members.
        #[arg(key)]
        new: Option<u64>,
        /// A node that leads already, as all know.
        #[arg(key)]
        leader: Option<NodeId>,
        /// How many must promise, and accept, if not majorities.
        #[arg(key)]
        prepare: Option<usize>,
        #[arg(key)]
        accept: Option<usize>,
        /// Whether members keep leases.
        #[arg(key)]
        lease: Option<bool>,
        /// The bytes of commands after which a message is full.
        #[arg(key)]
        bytes: Option<usize>,
        /// How many Accepts an acceptor may owe an answer to.
        #[arg(key)]
        window: Option<usize>,
        /// How many commands may be in flight.
        #[arg(key)]
        proposals: Option<usize>,
        /// After how many slots a snapshot is taken.
        #[arg(key)]
        snapshots: Option<u64>,
        /// How many slots behind a snapshot stay.
        #[arg(key)]
        tail: Option<u64>,
        /// The length of a snapshot's chunks.
        #[arg(key)]
        chunk: Option<usize>,
    },
    /// Lets time pass on some nodes until their election timers have run out.
    Timeout(Vec<NodeId>),
    /// Lets a heartbeat's time pass on a node.
    Heartbeat(NodeId),
    /// Lets a node begin the ballot of a round, supported by all others, its round durable. Nobody
    /// has had its Prepare.
    Campaign { node: NodeId, round: u64 },
    /// Lets time pass on all nodes, or on those named, which look at their clocks.
    Advance {
        passed: Millis,
        #[arg(optional)]
        nodes: Vec<NodeId>,
    },
    /// Lets time pass on nodes that stand still: they do not look at their clocks.
    Pause { passed: Millis, nodes: Vec<NodeId> },
    /// Lets time pass on all nodes, a heartbeat at a time, while everything arrives and all disks
    /// write.
    Run(Millis),
    /// Submits a command: `submit 1 put a 1`.
    Submit { node: NodeId, command: Vec<String> },
    /// Asks for the value of a key, linearizably or at another level.
    Read {
        node: NodeId,
        key: String,
        /// How old the state may be.
        #[arg(key)]
        stale: Option<Millis>,
        /// The slot that the state must have seen.
        #[arg(key)]
        after: Option<u64>,
        /// Whether the answer may rest on a lease.
        #[arg(key)]
        lease: Option<bool>,
    },
    /// Asks a node to change who takes part, all in one step: `change 1 "voter 4" "remove 3"`.
    Change { node: NodeId, steps: Vec<String> },
    /// Shows by which configuration each node goes.
    Members,
    /// Asks a node to hand over the lead.
    Transfer { node: NodeId, to: Option<NodeId> },
    /// Tells a node that it is about to end.
    Resign(NodeId),
    /// Makes the oldest records of a node durable, all by default.
    Persist { node: NodeId, count: Option<usize> },
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
    /// Puts a copy of a message of a link behind all others.
    Duplicate {
        from: NodeId,
        to: NodeId,
        #[arg(key)]
        at: Option<usize>,
    },
    /// Makes a node receive a message that nobody sent; from then on the script alone judges.
    ///
    /// `kind` is the message's name. `values` are written `put a 1, noop`, `votes` are written
    /// `3@1.2 put a 1, 4@1.2 noop`.
    Forge {
        from: NodeId,
        to: NodeId,
        kind: String,
        #[arg(key)]
        ballot: Option<Numbered>,
        /// The leader that told the sender to, or the ballot that was promised.
        #[arg(key)]
        by: Option<Numbered>,
        #[arg(key)]
        first: Option<u64>,
        #[arg(key)]
        upto: Option<u64>,
        #[arg(key)]
        last: Option<u64>,
        #[arg(key)]
        base: Option<u64>,
        #[arg(key)]
        chosen: Option<u64>,
        #[arg(key)]
        round: Option<u64>,
        #[arg(key)]
        promise: Option<Millis>,
        #[arg(key)]
        values: Option<String>,
        #[arg(key)]
        votes: Option<String>,
    },
    /// Cuts some nodes off from all others, both ways.
    Partition(Vec<NodeId>),
    /// Cuts a link one way.
    Cut { from: NodeId, to: NodeId },
    /// Mends all links.
    Heal,
    /// Stops a node. Of the records that wait, the oldest `kept` reach the disk all the same.
    Crash {
        node: NodeId,
        #[arg(key)]
        kept: Option<usize>,
    },
    /// Starts a node from its disk.
    Restart(NodeId),
    /// Asks a node for a snapshot of what is chosen.
    Snapshot(NodeId),
    /// Writes the oldest snapshot that a node is to take.
    Save(NodeId),
    /// Changes a bit in each snapshot of a node that is down.
    Damage(NodeId),
    /// Asks a node to write anew what it rests on, so that the journal can give up old records.
    Makeroom(NodeId),
    /// Fills a node's disk.
    Full(NodeId),
    /// Makes room on a node's disk.
    Room(NodeId),
    /// Tells a node that it has more to apply than it may.
    Behind(NodeId),
    /// Tells a node that it has caught up.
    Caughtup(NodeId),
    /// Delivers and persists until nothing is left to do, among the nodes named, or all. No time
    /// passes.
    Stabilize(#[arg(optional)] Vec<NodeId>),
    /// Shows all nodes.
    Status,
    /// Shows for how long a node holds a lease.
    Lease(NodeId),
    /// Shows what the replicas hold.
    State,
    /// Shows what is on the disks of nodes.
    Journal(Vec<NodeId>),
    /// Shows the messages in flight.
    Network,
}

/// A ballot such as `3.2`, or `7/3.2` under the configuration of slot 7.
#[derive(Clone, Copy)]
pub(super) struct Numbered(pub(super) Ballot);

impl FromStr for Numbered {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (era, text) = text.split_once('/').unwrap_or(("0", text));
        let era = Index(era.parse().map_err(|_| "an era is a slot")?);
        let parse = |(round, node): (&str, &str)| {
            let (round, node) = (Round(round.parse().ok()?), node.parse().ok()?);
            Some(Self(Ballot { era, round, node }))
        };
        text.split_once('.').and_then(parse).ok_or("a ballot is written 3.2")
    }
}
