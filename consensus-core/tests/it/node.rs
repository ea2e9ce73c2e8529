//! One node of a cluster under test: a replica, its disk and its host.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use consensus_core::{
    GroupId, Index, Members, Membership, NodeId, Process, Ticket, Time, Token,
    raft::{self, Config, Message, PRIORITY_DEFAULT, Raft, Role},
    replica::Replica,
};

use crate::{
    bug,
    disk::{Disk, View},
    kv::Kv,
    shelf::Shelf,
};

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) nodes: u64,
    /// Nodes that are no members.
    pub(crate) spares: u64,
    /// A member that stores no commands.
    pub(crate) witness: Option<NodeId>,
    pub(crate) catch_up_slack: u64,
    pub(crate) seed: u64,
    pub(crate) election_timeout: Duration,
    pub(crate) heartbeat: Duration,
    /// Off where a script is about something else: its trace is shorter.
    pub(crate) pre_vote: bool,
    pub(crate) check_quorum: bool,
    pub(crate) lease: bool,
    /// A member without leases that checks no quorum.
    pub(crate) disloyal: Option<NodeId>,
    pub(crate) rests: bool,
    pub(crate) append_bytes_max: usize,
    pub(crate) append_window: usize,
    pub(crate) append_window_bytes: usize,
    pub(crate) proposals_max: usize,
    pub(crate) proposals_bytes_max: usize,
    /// How much the nodes are preferred as leaders, in order; of those that are missing, all alike.
    pub(crate) priorities: Vec<u8>,
    /// After how many entries a snapshot is taken, and how many behind it stay.
    pub(crate) snapshot_entries: u64,
    pub(crate) tail_entries: u64,
    /// The length of a snapshot's chunks.
    pub(crate) chunk_bytes: usize,
    /// How many snapshots are kept.
    pub(crate) keep: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 3,
            spares: 0,
            witness: None,
            catch_up_slack: 0,
            seed: 0,
            election_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_millis(100),
            pre_vote: false,
            check_quorum: false,
            lease: false,
            disloyal: None,
            rests: false,
            append_bytes_max: 1 << 20,
            append_window: 64,
            append_window_bytes: 1 << 20,
            proposals_max: 4_096,
            proposals_bytes_max: 1 << 20,
            priorities: Vec::new(),
            snapshot_entries: u64::MAX,
            tail_entries: 0,
            chunk_bytes: 1 << 20,
            keep: 2,
        }
    }
}

impl Options {
    fn priority(&self, id: NodeId) -> u8 {
        let place = id.number() as usize - 1;
        self.priorities.get(place).copied().unwrap_or(PRIORITY_DEFAULT)
    }

    /// Returns the ids of the nodes.
    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.nodes + self.spares).map(id)
    }

    /// Returns the membership that a node starts with.
    fn membership(&self, node: NodeId) -> Membership {
        if node.number() > self.nodes {
            return Membership::default();
        }
        let members = Members::new((1..=self.nodes).map(id)).expect("a cluster has nodes");
        self.witness.iter().fold(members.into(), |known: Membership, it| known.with_witness(*it))
    }
}

/// A replica and its host.
#[derive(Debug)]
pub(crate) struct Node {
    /// What the configuration of each life is made of.
    builder: raft::Builder,
    pub(crate) config: Config,
    lives: u64,
    /// What runs, or what the disk would bring back while the node is down.
    pub(crate) raft: Raft,
    pub(crate) up: bool,
    /// Time since the host started; hosts' clocks differ.
    pub(crate) clock: Duration,
    pub(crate) disk: Disk<View>,
    /// Messages that wait for a record to be durable.
    pub(crate) held: Vec<(Token, NodeId, Message)>,
    pub(crate) replica: Replica<Kv>,
    /// Snapshots that are whole, and those that are to be written.
    pub(crate) shelf: Shelf,
    /// Commands and reads that were taken, a read with what it must see and its query.
    pub(crate) open: BTreeMap<Ticket, Option<(Index, Bytes)>>,
    /// Reads that wait until the replica has applied this much.
    pub(crate) ready: Vec<(Index, Ticket, Bytes)>,
}

impl Node {
    /// Starts a node whose disk is empty.
    pub(crate) fn new(id: NodeId, options: &Options) -> Self {
        let group = GroupId::named("test");
        let builder = Config::builder(id, group, options.membership(id))
            .election_timeout(options.election_timeout)
            .heartbeat(options.heartbeat)
            .pre_vote(options.pre_vote)
            .check_quorum(options.check_quorum && options.disloyal != Some(id))
            .lease(options.lease && options.disloyal != Some(id))
            .rests(options.rests)
            .seed(options.seed << 8 | id.number())
            .append_bytes_max(options.append_bytes_max)
            .append_window(options.append_window)
            .catch_up_slack(options.catch_up_slack)
            .append_window_bytes(options.append_window_bytes)
            .proposals_max(options.proposals_max)
            .proposals_bytes_max(options.proposals_bytes_max)
            .snapshot_entries(options.snapshot_entries)
            .tail_entries(options.tail_entries)
            .priority(options.priority(id));
        let builder = bug::configured(builder);
        let config = builder.clone().build().expect("test configurations are valid");
        let raft = Raft::recover(config.clone(), Time::ZERO, []).expect("nothing is wrong");
        Self {
            builder,
            config,
            lives: 1,
            raft,
            up: true,
            clock: Duration::ZERO,
            disk: Disk::default(),
            held: Vec::new(),
            replica: bug::replica(Replica::new(group)),
            shelf: Shelf::new(group, options.chunk_bytes, options.keep),
            open: BTreeMap::new(),
            ready: Vec::new(),
        }
    }

    pub(crate) fn leads(&self) -> bool {
        self.up && matches!(self.raft.role(), Role::Leader(_))
    }

    pub(crate) fn now(&self) -> Time {
        Time::after_start(self.clock)
    }

    /// What the replica takes for durable is on the disk.
    pub(crate) fn check_durable(&self) {
        let (state, view) = (self.raft.state(), self.disk.view());
        let (base, stable) = (state.log().base(), state.stable().0 as usize);
        let count = stable.saturating_sub(base.0 as usize);
        let terms = state.log().from(base.next()).iter().map(|entry| entry.term).take(count);
        assert!(
            terms.eq(view.log.iter().copied().skip(base.0 as usize).take(count)),
            "{} takes entries for durable that are not",
            self.config.id()
        );
    }

    /// Begins another life, which numbers its requests where none was before.
    pub(crate) fn begin_life(&mut self) {
        let config = self.builder.clone().reads_from(self.lives * 100).build();
        self.config = config.expect("test configurations are valid");
        self.lives += 1;
    }

    /// Rebuilds the replica from its disk, as a restart would.
    pub(crate) fn recovered(&self) -> Raft {
        let raft = Raft::recover(self.config.clone(), self.now(), self.disk.records());
        let raft = raft.expect("a disk that lost nothing durable recovers");
        let (state, view) = (raft.state(), self.disk.view());
        assert_eq!((state.term(), state.voted_for()), (view.term, view.voted_for));
        let base = state.log().base();
        let terms = state.log().from(base.next()).iter().map(|entry| entry.term);
        let written = view.log.iter().copied().skip(base.0 as usize);
        assert!(terms.eq(written), "the log is what was written");
        raft
    }
}

/// Returns the node with this number.
pub(crate) fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("tests use positive numbers")
}
