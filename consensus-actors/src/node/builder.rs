//! Configuring a node in code.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Node, launch};
use crate::{
    Placement,
    config::{
        Address, Addresses, Layers, Origin, Setting, Settings, Sources, Typed,
        table::{
            ADVERTISE, CLUSTER, DATA, DEADLINE, DECISIONS_PROTOCOL, ELECTION_TIMEOUT, HEARTBEAT,
            HTTP, ID, JOIN, LEASE, LISTEN, PLACEMENT, PRIORITY, PROTOCOL, SHUTDOWN_GRACE,
        },
    },
    decisions::DecisionProtocol,
    error::{Error, Result},
    replicated::Protocol,
};

/// Configures a [`Node`]: every value has a default that makes a single node on loopback.
///
/// What is set here goes before what [`NodeBuilder::environment`] and [`NodeBuilder::file`] bring;
/// without these two nothing but code counts.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    layers: Layers,
    refused: Option<Error>,
}

impl Default for NodeBuilder {
    fn default() -> Self {
        let mut layers = Layers::default();
        layers.set_default(&ID, 1);
        layers.set_default(&DATA, PathBuf::from("data"));
        layers.set_default(&CLUSTER, "default".to_owned());
        Self { layers, refused: None }
    }
}

impl NodeBuilder {
    /// Takes what code does not set from the variables `CONSENSUS_..` and, below them, from the file
    /// that `CONSENSUS_CONFIG` names, or `consensus.toml` if it is there.
    ///
    /// # Errors
    /// [`Code::Config`](crate::Code::Config) with the first value that is unknown or cannot work.
    pub fn environment(self) -> Result<Self> {
        self.take(&Sources::default())
    }

    /// Takes what code does not set from the variables `CONSENSUS_..` and, below them, from this
    /// file.
    ///
    /// # Errors
    /// As [`NodeBuilder::environment`], and if the file cannot be read.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Self> {
        self.take(&Sources { file: Some(path.as_ref().to_owned()), flags: Vec::new() })
    }

    fn take(mut self, sources: &Sources) -> Result<Self> {
        self.layers.extend(sources.read().map_err(crate::config::first)?);
        Ok(self)
    }

    pub(crate) fn set<T: Typed>(mut self, setting: &'static Setting<T>, value: T) -> Self {
        if let Err(error) = self.layers.set(setting, value) {
            self.refused.get_or_insert(error);
        }
        self
    }

    /// Sets the node's id, from 1 on, unique in the cluster and never reused. Default 1.
    #[must_use]
    pub fn id(self, id: u64) -> Self {
        self.set(&ID, id)
    }

    /// Adds a founder of the cluster and the address of its peer port. This node must be among
    /// them.
    ///
    /// It says who the first members are, once: later starts may leave it out, and
    /// [`NodeBuilder::join`] is for nodes that come later. Without either the node founds a cluster
    /// of its own.
    #[must_use]
    pub fn peer(mut self, id: u64, address: impl Into<String>) -> Self {
        self.layers.give_peer(id, address.into(), Origin::Code);
        self
    }

    /// Names the peer ports of nodes of a cluster that this one is to join; it waits until it is
    /// added there. It needs an address of its own: [`NodeBuilder::listen`].
    #[must_use]
    pub fn join(self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let addresses = addresses.into_iter().map(Into::into).collect();
        self.set(&JOIN, Addresses(addresses))
    }

    /// Listens to peers on this address. Default: what [`NodeBuilder::peer`] says of this node.
    #[must_use]
    pub fn listen(self, address: impl Into<String>) -> Self {
        self.set(&LISTEN, Address(address.into()))
    }

    /// Tells peers to reach this node there, under another address or name than it listens on.
    #[must_use]
    pub fn advertise(self, address: impl Into<String>) -> Self {
        self.set(&ADVERTISE, Address(address.into()))
    }

    /// Serves HTTP on this address. Default: not at all.
    #[must_use]
    pub fn http(self, address: impl Into<String>) -> Self {
        self.set(&HTTP, Address(address.into()))
    }

    /// Keeps the node's data in this directory. Default `./data`.
    #[must_use]
    pub fn data(self, directory: impl Into<PathBuf>) -> Self {
        self.set(&DATA, directory.into())
    }

    /// Sets the cluster's name, which nodes, data directories and connections are checked against.
    #[must_use]
    pub fn cluster(self, name: impl Into<String>) -> Self {
        self.set(&CLUSTER, name.into())
    }

    /// Sets the shortest time without a leader after which a node campaigns. Default 1 s.
    #[must_use]
    pub fn election_timeout(self, timeout: Duration) -> Self {
        self.set(&ELECTION_TIMEOUT, timeout)
    }

    /// Sets how often a leader is heard. Default 100 ms; at most a third of the election timeout.
    #[must_use]
    pub fn heartbeat(self, interval: Duration) -> Self {
        self.set(&HEARTBEAT, interval)
    }

    /// Sets the deadline of calls that name none. Default 5 s.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        self.set(&DEADLINE, deadline)
    }

    /// Sets how much this node is to be preferred as a leader, from 0 to 255. Default 100.
    ///
    /// Without a leader, a node of priority 100 campaigns after one to two election timeouts. A
    /// higher priority narrows that, to 1.25 at 255; a lower one delays it, by a hundredth of an
    /// election timeout for each step; a node of priority 0 campaigns after five to six, when no
    /// other has. And a leader hands over to a node of higher priority that has caught up, and has
    /// been heard of for ten election timeouts without a gap.
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        self.set(&PRIORITY, u64::from(priority))
    }

    /// Sets whether this node's replicas keep leases, by which leaders answer queries that are read
    /// so ([`Call::lease`](crate::Call::lease)) from their own state. Default false. All nodes should
    /// have the same.
    #[must_use]
    pub fn lease(self, keeps: bool) -> Self {
        self.set(&LEASE, keeps)
    }

    /// Sets the protocol that replicates the groups of this node, but for those of which code says
    /// something else ([`Hosting::protocol`](crate::Hosting::protocol)). All nodes should have the
    /// same, and a group keeps its protocol for as long as it has data.
    #[must_use]
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.set(&PROTOCOL, protocol)
    }

    /// Sets where this node has the roles of its groups under Multi-Paxos, but for those of which code
    /// says something else ([`Hosting::placement`](crate::Hosting::placement)). Default
    /// [`Placement::Together`].
    #[must_use]
    pub fn placement(self, placement: Placement) -> Self {
        self.set(&PLACEMENT, placement)
    }

    /// Sets the protocol by which the cluster makes decisions ([`Node::decide`]). Default Basic Paxos.
    /// All nodes must have the same, and it stays for as long as there are decisions.
    #[must_use]
    pub fn decisions_protocol(self, protocol: DecisionProtocol) -> Self {
        self.set(&DECISIONS_PROTOCOL, protocol)
    }

    /// Sets how long the node may take to end once it is asked to: to hand over what it leads, to
    /// answer what is in flight, and to write what waits for the disk. Default 5 s.
    #[must_use]
    pub fn shutdown_grace(self, grace: Duration) -> Self {
        self.set(&SHUTDOWN_GRACE, grace)
    }

    /// Starts the node; it hosts nothing yet.
    ///
    /// # Errors
    /// [`Code::Config`](crate::Code::Config) with the rule that a value breaks, [`Code::AddressInUse`](crate::Code::AddressInUse),
    /// [`Code::NotLoopback`](crate::Code::NotLoopback), and what the data directory has to say: [`Code::OtherCluster`](crate::Code::OtherCluster),
    /// [`Code::OtherNode`](crate::Code::OtherNode), [`Code::DirectoryInUse`](crate::Code::DirectoryInUse), [`Code::JournalCorrupt`](crate::Code::JournalCorrupt), [`Code::Disk`](crate::Code::Disk).
    pub fn start(self) -> Result<Node> {
        launch::launch(self.validate()?)
    }

    pub(crate) fn validate(self) -> Result<Settings> {
        match self.refused {
            Some(error) => Err(error),
            None => Settings::new(self.layers),
        }
    }
}
