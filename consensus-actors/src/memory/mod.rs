//! Clusters in this process, on one thread, with everything in memory: for tests of a service, and
//! for state that may go with the process.

mod shelf;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use actix::Actor;
use consensus_core::{NodeId, journal::Recovered};
use tokio::sync::oneshot;

use crate::{
    archive::{Archive, Shelves, Workers},
    clock::MachineCalendar,
    error::{Code, Error, Result},
    journal::Records,
    node::{
        Node, NodeBuilder, Shared,
        launch::{Parts, assemble, tick_period, work},
    },
    replicated::Replicated,
    sync::lock,
    transport::{Identity, Links, Nowhere, Peer, Presence, Roster, Store},
};

/// A cluster whose nodes live on one thread of this process and keep everything in memory.
///
/// It is the same protocol, replica and client as in a cluster of processes, without disks and
/// sockets in between: a service that is tested against it meets elections, sessions and snapshots.
/// Nothing survives its end.
///
/// ```
/// # use consensus_actors::prelude::*;
/// # #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
/// # struct Counter { value: i64 }
/// # #[replicated]
/// # impl Counter {
/// #     #[command]
/// #     fn add(&mut self, by: i64) -> i64 { self.value += by; self.value }
/// # }
/// # fn main() -> consensus_actors::Result {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cluster = consensus_actors::MemoryCluster::start(3)?;
/// let hits = cluster.host::<Counter>("hits").await?;
/// assert_eq!(hits[0].add(1).await?, 1);
/// assert_eq!(hits[2].add(1).await?, 2);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryCluster {
    nodes: Vec<Node>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MemoryCluster {
    /// Starts a cluster of nodes with the ids from 1 to `nodes`.
    ///
    /// # Errors
    /// [`Code::Config`] unless there are 1 to 9 of them, and if the system gives no thread.
    pub fn start(nodes: u64) -> Result<Self> {
        Self::configured(nodes, |node| node)
    }

    /// Starts a cluster whose nodes are configured by `configure`; what concerns files and ports
    /// counts for nothing.
    ///
    /// # Errors
    /// As [`MemoryCluster::start`], and [`Code::Config`] with the rule that a value breaks.
    pub fn configured(nodes: u64, configure: impl Fn(NodeBuilder) -> NodeBuilder) -> Result<Self> {
        if !(1..=9).contains(&nodes) {
            let message = format!("a cluster in memory has 1 to 9 nodes, not {nodes}");
            return Err(Error::new(Code::Config, message));
        }
        let ids = 1..=nodes;
        let settings: Vec<_> = ids
            .map(|id| configure(NodeBuilder::default().cluster("memory")).id(id).validate())
            .collect::<Result<_>>()?;
        let (started, start) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread =
            std::thread::Builder::new().name("consensus-memory".to_owned()).spawn(move || {
                actix_rt::System::new().block_on(async move {
                    started.send(run(settings)).ok();
                    stopped.await.ok();
                });
            })?;
        let shared = start.recv().map_err(|_| Error::stopping(consensus_core::Outcome::NotApplied));
        let nodes = shared?.into_iter().map(|shared| Node { shared }).collect();
        Ok(Self { nodes, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the nodes, by their ids.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Hosts the group `name` on every node, and returns the client of each, in their order.
    ///
    /// # Errors
    /// As [`Node::host`].
    pub async fn host<S: Replicated>(&self, name: &str) -> Result<Vec<S::Client>> {
        let mut clients = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            clients.push(node.host::<S>(name).await?);
        }
        Ok(clients)
    }
}

impl Drop for MemoryCluster {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Starts the nodes' actors on this thread, each with links to the others.
fn run(settings: Vec<crate::config::Settings>) -> Vec<Arc<Shared>> {
    let ids: Vec<_> = settings.iter().map(|settings| settings.id).collect();
    let presences: BTreeMap<_, _> =
        ids.iter().map(|id| (*id, Presence::new(Duration::MAX))).collect();
    settings
        .into_iter()
        .map(|settings| {
            let node = settings.id;
            let presence = presences.get(&node).cloned().expect("each node has one");
            let links = Links::within(node, &presences);
            let identity = Identity {
                cluster: settings.cluster.as_str().into(),
                node,
                incarnation: u128::from(node.number()),
                address: None,
                roster: Roster::new(node, true, BTreeMap::new(), Box::new(Unkept)),
                presence,
            };
            assemble(parts(settings, identity, links, &ids), None::<tokio::net::TcpListener>)
                .expect("with nothing recovered nothing is damaged")
                .0
        })
        .collect()
}

fn parts(
    settings: crate::config::Settings,
    identity: Identity,
    links: Links,
    ids: &[NodeId],
) -> Parts {
    let workers: Workers = Arc::new(work);
    let disks = Arc::new(Mutex::new(BTreeMap::new()));
    let shelves: Shelves = Arc::new(move |group| {
        let disk = lock(&disks).entry(group).or_insert_with(shelf::Shared::default).clone();
        Ok(Box::new(disk) as _)
    });
    Parts {
        tick: tick_period(settings.get(&crate::config::table::HEARTBEAT)),
        founders: ids.iter().map(|id| (*id, String::new())).collect(),
        join: Vec::new(),
        settings,
        identity,
        recovered: Recovered::default(),
        records: Records::Unkept,
        archive: Archive::new(shelves, Arc::clone(&workers)).start(),
        workers,
        calendar: Arc::new(MachineCalendar),
        network: Arc::new(Nowhere),
        links,
        draw: Box::new(|| getrandom::u64().map_err(io::Error::other)),
        http: None,
    }
}

/// Keeps nothing of a roster.
struct Unkept;

impl Store for Unkept {
    fn store(&mut self, _: &BTreeMap<NodeId, Peer>) -> io::Result<()> {
        Ok(())
    }
}
