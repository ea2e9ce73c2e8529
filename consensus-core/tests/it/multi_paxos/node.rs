//! One node of a cluster under test: its roles, its disk and its host.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use consensus_core::{
    GroupId, Index, Members, Membership, NodeId, Process, Ticket, Time, Token,
    ensemble::{Addressed, Entry},
    multi_paxos::{ACCEPTOR, Builder, Config, LEARNER, Message, Record, Role},
    paxos::Quorums,
    replica::Replica,
    snapshot::Cut,
};

use super::{MultiPaxos, cluster::empty, trace};
use crate::{
    bug,
    disk::{Disk, Reading},
    kv::Kv,
    node::id,
    shelf::Shelf,
};

/// All nodes of a cluster.
pub(super) type Nodes = BTreeMap<NodeId, Node>;

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) nodes: u64,
    /// Nodes that are no members.
    pub(super) new: u64,
    pub(super) quorums: Option<(usize, usize)>,
    pub(super) election_timeout: Duration,
    pub(super) heartbeat: Duration,
    pub(super) lease: bool,
    pub(super) accept_bytes_max: usize,
    pub(super) accept_window: usize,
    pub(super) proposals_max: usize,
    pub(super) snapshot_entries: u64,
    pub(super) tail_entries: u64,
    pub(super) chunk_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 3,
            new: 0,
            quorums: None,
            election_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_millis(100),
            lease: false,
            accept_bytes_max: 1 << 20,
            accept_window: 64,
            proposals_max: 4_096,
            snapshot_entries: u64::MAX,
            tail_entries: 0,
            chunk_bytes: 1 << 20,
        }
    }
}

impl Options {
    /// Returns the ids of the nodes.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.nodes + self.new).map(id)
    }

    fn builder(&self, node: NodeId) -> Builder {
        let members = Members::new((1..=self.nodes).map(id)).expect("a cluster has nodes");
        let known =
            if members.is_voter(node) { members.clone().into() } else { Membership::default() };
        let builder = Config::builder(node, GroupId::named("test"), known)
            .election_timeout(self.election_timeout)
            .heartbeat(self.heartbeat)
            .lease(self.lease)
            .seed(node.number())
            .accept_bytes_max(self.accept_bytes_max)
            .accept_window(self.accept_window)
            .proposals_max(self.proposals_max)
            .snapshot_entries(self.snapshot_entries)
            .tail_entries(self.tail_entries);
        let Some((prepare, accept)) = self.quorums else { return bug::multi_paxos(builder) };
        let quorums = Quorums::new(&members, prepare, accept);
        bug::multi_paxos(builder.quorums(quorums.expect("a script names quorums that meet")))
    }
}

/// The observer reads the records.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread;

impl Reading for Unread {
    type Record = Entry<Record>;

    fn note(&mut self, _: &Entry<Record>) {}
}

/// The roles of a node, and their host.
#[derive(Debug)]
pub(super) struct Node {
    builder: Builder,
    group: GroupId,
    lives: u64,
    /// What runs, or what the disk would bring back while the node is down.
    pub(super) process: MultiPaxos,
    pub(super) up: bool,
    /// Time since the host started; hosts' clocks differ.
    pub(super) clock: Duration,
    pub(super) disk: Disk<Unread>,
    /// Messages that wait for a record to be durable.
    pub(super) held: Vec<(Token, NodeId, Addressed<Message>)>,
    pub(super) replica: Replica<Kv>,
    /// Snapshots that are whole, and those that are to be written.
    pub(super) shelf: Shelf,
    /// Commands and reads that were taken, a read with what it must see and its query.
    pub(super) open: BTreeMap<Ticket, Option<(Index, Bytes)>>,
    /// Reads that wait until the replica has applied this much.
    pub(super) ready: Vec<(Index, Ticket, Bytes)>,
}

impl Node {
    /// Starts a node whose disk is empty.
    pub(super) fn new(id: NodeId, options: &Options) -> Self {
        let (builder, group) = (options.builder(id), GroupId::named("test"));
        let config = builder.clone().build().expect("test configurations are valid");
        Self {
            builder,
            group,
            lives: 1,
            process: MultiPaxos::recover(config, Time::ZERO, []).expect("nothing is wrong"),
            up: true,
            clock: Duration::ZERO,
            disk: Disk::default(),
            held: Vec::new(),
            replica: empty(group),
            shelf: Shelf::new(group, options.chunk_bytes, 2),
            open: BTreeMap::new(),
            ready: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Time {
        Time::after_start(self.clock)
    }

    /// Tells the office of its proposer.
    pub(super) fn office(&self) -> String {
        let status = self.process.status();
        format!("{}@{}", status.role, status.term)
    }

    /// Tells what its roles hold.
    pub(super) fn describe(&self) -> String {
        let (status, mut promised) = (self.process.status(), None);
        let mut votes = String::new();
        if let Some(Role::Acceptor(acceptor)) = self.process.role(ACCEPTOR) {
            promised = acceptor.promised();
            for slot in (1..=status.last.0).map(Index) {
                if let Some(ballot) = acceptor.accepted(slot) {
                    votes += &format!(" {slot}@{ballot}");
                }
            }
        }
        let (office, promised) = (self.office(), trace::ballot(promised));
        let (leader, chosen) = (crate::trace::node(status.leader), status.committed);
        let snapshot = status.snapshot;
        format!(
            "{office} leader={leader} promised={promised} chosen={chosen} snapshot={snapshot} \
             accepted=[{}]",
            votes.trim_start()
        )
    }

    /// Returns the point that its log rests on.
    pub(super) fn cut(&self) -> Option<Cut> {
        match self.process.role(LEARNER) {
            Some(Role::Learner(learner)) => learner.snapshot(),
            Some(_) | None => None,
        }
    }

    /// Loses what is not durable; of the records that wait, the oldest `kept` are.
    pub(super) fn crash(&mut self, kept: usize) {
        (0..kept).for_each(|_| {
            self.disk.write();
        });
        self.disk.crash();
        self.held.clear();
        self.open.clear();
        self.ready.clear();
        self.replica = empty(self.group);
        self.shelf.crash();
        self.up = false;
        self.process = self.recovered();
    }

    /// Begins another life, which numbers its requests where none was before.
    pub(super) fn begin_life(&mut self) {
        assert!(!self.up, "{:?} runs", self.process.node());
        (self.up, self.clock) = (true, Duration::ZERO);
        self.builder = self.builder.clone().reads_from(self.lives * 100);
        self.lives += 1;
        self.process = self.recovered();
    }

    fn recovered(&self) -> MultiPaxos {
        let config = self.builder.clone().build().expect("test configurations are valid");
        let process = MultiPaxos::recover(config, self.now(), self.disk.records());
        process.expect("a disk that lost nothing durable recovers")
    }
}
