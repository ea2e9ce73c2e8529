//! Configuring a node in code.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use consensus_core::{
    NodeId,
    raft::{self, ConfigError, PRIORITY_DEFAULT},
};

use super::{Node, launch};
use crate::error::{Code, Error, Result};

/// Configures a [`Node`]: every value has a default that makes a single node on loopback.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    id: u64,
    peers: Vec<(u64, String)>,
    http: Option<String>,
    data: PathBuf,
    cluster: String,
    election_timeout: Duration,
    heartbeat: Duration,
    deadline: Duration,
    priority: u8,
    shutdown_grace: Duration,
}

impl Default for NodeBuilder {
    fn default() -> Self {
        Self {
            id: 1,
            peers: Vec::new(),
            http: None,
            data: PathBuf::from("data"),
            cluster: "default".to_owned(),
            election_timeout: Duration::from_millis(1_000),
            heartbeat: Duration::from_millis(100),
            deadline: Duration::from_secs(5),
            priority: PRIORITY_DEFAULT,
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

impl NodeBuilder {
    /// Sets the node's id, from 1 on, unique in the cluster and never reused. Default 1.
    #[must_use]
    pub fn id(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// Adds a member of the cluster and the address of its peer port. This node must be among them.
    ///
    /// Without any the node is a cluster of its own and has no peer port.
    #[must_use]
    pub fn peer(mut self, id: u64, address: impl Into<String>) -> Self {
        self.peers.push((id, address.into()));
        self
    }

    /// Serves HTTP on this address. Default: not at all.
    #[must_use]
    pub fn http(mut self, address: impl Into<String>) -> Self {
        self.http = Some(address.into());
        self
    }

    /// Keeps the node's data in this directory. Default `./data`.
    #[must_use]
    pub fn data(mut self, directory: impl Into<PathBuf>) -> Self {
        self.data = directory.into();
        self
    }

    /// Sets the cluster's name, which nodes, data directories and connections are checked against.
    #[must_use]
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = name.into();
        self
    }

    /// Sets the shortest time without a leader after which a node campaigns. Default 1 s.
    #[must_use]
    pub fn election_timeout(mut self, timeout: Duration) -> Self {
        self.election_timeout = timeout;
        self
    }

    /// Sets how often a leader is heard. Default 100 ms; at most a third of the election timeout.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// Sets the deadline of calls that name none. Default 5 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how much this node is to be preferred as a leader, from 0 to 255. Default 100.
    ///
    /// Without a leader, a node of priority 100 campaigns after one to two election timeouts. A
    /// higher priority narrows that, to 1.25 at 255; a lower one delays it, by a hundredth of an
    /// election timeout for each step; a node of priority 0 campaigns after five to six, when no
    /// other has. And a leader hands over to a node of higher priority that has caught up, and has
    /// been heard of for ten election timeouts without a gap.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Sets how long the node may take to end once it is asked to: to hand over what it leads, to
    /// answer what is in flight, and to write what waits for the disk. Default 5 s.
    #[must_use]
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// Starts the node; it hosts nothing yet.
    ///
    /// # Errors
    /// [`Code::Config`] with the rule that a value breaks, [`Code::AddressInUse`],
    /// [`Code::NotLoopback`], and what the data directory has to say: [`Code::OtherCluster`],
    /// [`Code::OtherNode`], [`Code::DirectoryInUse`], [`Code::JournalCorrupt`], [`Code::Disk`].
    pub fn start(self) -> Result<Node> {
        launch::launch(self.validate()?)
    }

    pub(crate) fn validate(self) -> Result<Settings> {
        let id = node_id(self.id)?;
        if self.cluster.is_empty() {
            return Err(config("the cluster has no name; set --cluster"));
        }
        raft::check_timing(self.election_timeout, self.heartbeat).map_err(|e| timing(&e))?;

        let mut peers = BTreeMap::new();
        let mut by_address = BTreeMap::new();
        for (number, text) in &self.peers {
            let address = resolve(text, "peer")?;
            if peers.insert(node_id(*number)?, address).is_some() {
                return Err(config(format!(
                    "node {number} is named twice in --peers; name each once"
                )));
            }
            if let Some(other) = by_address.insert(address, number) {
                return Err(config(format!(
                    "nodes {other} and {number} have the same address {text} in --peers; give each \
                     its own"
                )));
            }
        }
        if !peers.is_empty() && !peers.contains_key(&id) {
            return Err(config(format!(
                "node {} is not among --peers; add {}=HOST:PORT, or set --id to one of: {}",
                self.id,
                self.id,
                peers.keys().map(|id| id.number().to_string()).collect::<Vec<_>>().join(", ")
            )));
        }
        let http = self.http.as_deref().map(|text| resolve(text, "HTTP")).transpose()?;
        if let Some(http) = http
            && peers.get(&id) == Some(&http)
        {
            return Err(config(format!(
                "{http} is this node's peer address and its HTTP address; give each its own port"
            )));
        }
        for (what, address) in [("peer", peers.get(&id)), ("HTTP", http.as_ref())] {
            if let Some(address) = address
                && !address.ip().is_loopback()
            {
                let message = format!(
                    "the {what} address {address} is beyond loopback, and there is no TLS yet: \
                     whoever reaches it could read and write everything; use a 127.0.0.1 address"
                );
                return Err(Error::new(Code::NotLoopback, message));
            }
        }
        Ok(Settings {
            id,
            peers,
            http,
            data: self.data,
            cluster: self.cluster,
            election_timeout: self.election_timeout,
            heartbeat: self.heartbeat,
            deadline: self.deadline,
            priority: self.priority,
            shutdown_grace: self.shutdown_grace,
        })
    }
}

/// A configuration that can work.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) id: NodeId,
    /// All members with their peer ports; empty for a single node.
    pub(crate) peers: BTreeMap<NodeId, SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) data: PathBuf,
    pub(crate) cluster: String,
    pub(crate) election_timeout: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) deadline: Duration,
    pub(crate) priority: u8,
    pub(crate) shutdown_grace: Duration,
}

impl Settings {
    /// Returns all members of the cluster, in order.
    pub(crate) fn members(&self) -> Vec<NodeId> {
        if self.peers.is_empty() { vec![self.id] } else { self.peers.keys().copied().collect() }
    }
}

/// Words the rule of heartbeats in the flags that set them, in whole milliseconds as flags take them.
fn timing(error: &ConfigError) -> Error {
    match error {
        ConfigError::ZeroHeartbeat => {
            config("a heartbeat of zero would send without end; set --heartbeat")
        }
        ConfigError::HeartbeatTooLong { heartbeat, election_timeout, heartbeat_max, .. } => {
            config(format!(
                "a heartbeat every {heartbeat:?} is not well below the election timeout of \
                 {election_timeout:?}: set --heartbeat to {}ms or less, or --election-timeout to \
                 {}ms or more",
                heartbeat_max.as_millis(),
                heartbeat.as_micros().div_ceil(1_000) * 3
            ))
        }
        other => config(other.to_string()),
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::new(Code::Config, message)
}

fn node_id(number: u64) -> Result<NodeId> {
    NodeId::new(number).ok_or_else(|| config("0 is no node id; ids count from 1"))
}

fn resolve(text: &str, what: &str) -> Result<SocketAddr> {
    let mut addresses = text.to_socket_addrs().map_err(|error| {
        config(format!(
            "{text:?} is no {what} address ({error}); write HOST:PORT, as 127.0.0.1:4801"
        ))
    })?;
    addresses
        .next()
        .ok_or_else(|| config(format!("{text:?} resolves to no address; write HOST:PORT")))
}
