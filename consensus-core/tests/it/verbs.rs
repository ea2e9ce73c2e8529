//! What Raft's golden scripts may say.

use std::{str::FromStr, time::Duration};

use consensus_core::{Index, NodeId, raft::Term};

/// What a script may say.
#[derive(goldenscript::Command)]
pub(crate) enum Verb {
    /// Starts a new cluster. `leader` is elected and what it said has been heard.
    Cluster {
        #[arg(key)]
        nodes: Option<u64>,
        #[arg(key)]
        leader: Option<NodeId>,
        /// The bytes of commands after which an Append is full.
        #[arg(key)]
        bytes: Option<usize>,
        /// How many Appends may be in flight to a follower.
        #[arg(key)]
        window: Option<usize>,
        /// The bytes of commands in flight to a follower from which on it gets no more.
        #[arg(key)]
        window_bytes: Option<usize>,
        /// How many commands may be in flight.
        #[arg(key)]
        proposals: Option<usize>,
        /// The bytes of commands in flight from which on no more are taken.
        #[arg(key)]
        proposals_bytes: Option<usize>,
        /// How many nodes there are besides that are no members.
        #[arg(key)]
        spares: Option<u64>,
        /// A member that stores no commands.
        #[arg(key)]
        witness: Option<NodeId>,
        /// How many entries a learner may lack to be let vote.
        #[arg(key)]
        slack: Option<u64>,
        /// After how many entries a snapshot is taken.
        #[arg(key)]
        snapshots: Option<u64>,
        /// How many entries behind a snapshot stay.
        #[arg(key)]
        tail: Option<u64>,
        /// The length of a snapshot's chunks.
        #[arg(key)]
        chunk: Option<usize>,
        /// How many snapshots are kept.
        #[arg(key)]
        keep: Option<usize>,
        /// Whether replicas ask before they campaign.
        #[arg(key)]
        prevote: Option<bool>,
        /// Whether leaders need to hear of a majority, and voters are loyal.
        #[arg(key)]
        checkquorum: Option<bool>,
        /// Whether members keep leases, for which leaders need to hear of a majority.
        #[arg(key)]
        lease: Option<bool>,
        /// A member that keeps none, and is loyal to nobody.
        #[arg(key)]
        disloyal: Option<NodeId>,
        /// Whether the group comes to rest.
        #[arg(key)]
        rests: Option<bool>,
        /// How much the nodes are preferred as leaders, in order: `100 100 200`.
        #[arg(key)]
        priorities: Option<String>,
    },
    /// Restarts a node from a disk that holds this term, vote, and log: the terms of its entries.
    /// `2+4` is one of term 2 by which node 4 joins.
    Given {
        node: NodeId,
        #[arg(key)]
        term: u64,
        #[arg(key)]
        vote: Option<NodeId>,
        #[arg(key)]
        log: Option<String>,
    },
    /// Lets time pass on some nodes until their election timers have run out.
    Timeout(Vec<NodeId>),
    /// Lets a heartbeat's time pass on a node.
    Heartbeat(NodeId),
    /// Lets time pass on a node that stands still: it does not look at the clock.
    Pause { node: NodeId, passed: Millis },
    /// Lets time pass on all nodes.
    Advance(Millis),
    /// Submits a command: `submit 1 put a 1`. Repeats under one `key` apply once.
    Submit {
        node: NodeId,
        command: Vec<String>,
        #[arg(key)]
        key: Option<String>,
    },
    /// Asks for the value of a key, linearizably or at another level.
    Read {
        node: NodeId,
        key: String,
        /// How old the state may be.
        #[arg(key)]
        stale: Option<Millis>,
        /// The index that the state must have seen.
        #[arg(key)]
        after: Option<u64>,
        /// Whether the answer may rest on a lease.
        #[arg(key)]
        lease: Option<bool>,
    },
    /// Lets time pass on all nodes, a heartbeat at a time, while everything arrives and all disks
    /// write, but one that stalls.
    Run {
        passed: Millis,
        #[arg(key)]
        stalled: Option<NodeId>,
    },
    /// Tells a node that it is about to end.
    Resign(NodeId),
    /// Asks a node to hand over the lead.
    Transfer { node: NodeId, to: Option<NodeId> },
    /// Asks a node to change who takes part, all in one step: `change 1 "voter 4" "remove 3"`, with
    /// `learner`, `voter`, `promote`, `demote`, `remove`, `replace 3 4`, `witness` and `move`.
    Change { node: NodeId, steps: Vec<String> },
    /// Makes the oldest records of a node durable, all by default.
    Persist { node: NodeId, count: Option<usize> },
    /// Tells a replica once more that its records up to this one are durable.
    Late { node: NodeId, upto: u64 },
    /// Delivers from a link, in order from position `at`, all by default.
    Deliver {
        from: NodeId,
        to: NodeId,
        #[arg(key)]
        at: Option<usize>,
        #[arg(key)]
        count: Option<usize>,
    },
    /// Loses messages of a link, all by default.
    Drop {
        from: NodeId,
        to: NodeId,
        #[arg(key)]
        at: Option<usize>,
        #[arg(key)]
        count: Option<usize>,
    },
    /// Copies a message of a link behind all others.
    Duplicate {
        from: NodeId,
        to: NodeId,
        #[arg(key)]
        at: Option<usize>,
    },
    /// Makes a node receive an Append that nobody sent, as of a leader that batches otherwise.
    /// `log` has the terms of the entries, which are those that `given` makes.
    Forge {
        from: NodeId,
        to: NodeId,
        #[arg(key)]
        term: u64,
        #[arg(key)]
        prev: Position,
        #[arg(key)]
        log: Option<String>,
        #[arg(key)]
        commit: u64,
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
    /// Asks a node for a snapshot of what is committed.
    Snapshot(NodeId),
    /// Asks a node to write anew what its log rests on, so that the journal can give up old records.
    Makeroom(NodeId),
    /// Writes the oldest snapshot that a node is to take.
    Save(NodeId),
    /// Changes a bit in each snapshot of a node that is down.
    Damage(NodeId),
    /// Fills a node's disk.
    Full(NodeId),
    /// Makes room on a node's disk.
    Room(NodeId),
    /// Tells a replica that it has more to apply than it may.
    Behind(NodeId),
    /// Tells a replica that it has caught up.
    Caughtup(NodeId),
    /// Tells a node that nothing is heard of a peer.
    Silent { node: NodeId, peer: NodeId },
    /// Tells a node that a peer is heard of again.
    Alive { node: NodeId, peer: NodeId },
    /// Delivers and persists until nothing is left to do, among the nodes named, or all. No time
    /// passes.
    Stabilize(#[arg(optional)] Vec<NodeId>),
    /// Shows all nodes.
    Status,
    /// Shows for how long a node holds a lease.
    Lease(NodeId),
    /// Shows who takes part, as each node knows it.
    Members,
    /// Shows the logs of some nodes.
    Log(Vec<NodeId>),
    /// Shows what the replicas hold.
    State,
    /// Shows the messages in flight.
    Network,
}

/// A duration such as `100ms`.
pub(crate) struct Millis(pub(crate) Duration);

impl FromStr for Millis {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix("ms").and_then(|text| text.parse().ok());
        number.map(|ms| Self(Duration::from_millis(ms))).ok_or("a duration is written 100ms")
    }
}

/// A position such as `3@2`.
#[derive(Clone, Copy)]
pub(crate) struct Position(pub(crate) Index, pub(crate) Term);

impl FromStr for Position {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('@');
        let parse = |(index, term): (&str, &str)| {
            Some(Self(Index(index.parse().ok()?), Term(term.parse().ok()?)))
        };
        parts.and_then(parse).ok_or("a position is written 3@2")
    }
}
