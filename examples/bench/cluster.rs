//! Clusters of processes, and the clients that work on them.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use actix_rt::ArbiterHandle;
use consensus_actors::{Node, Result};

use crate::{
    load::{Load, Tally},
    map::{Map, MapClient},
    report::{Row, Span},
};

/// What a cell is measured with.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) data: &'a Path,
    pub(crate) clients: usize,
    pub(crate) span: Span,
}

impl Scene<'_> {
    /// Makes the row of what was measured.
    pub(crate) fn row(&self, mode: &str, load: &Load, tally: &Tally) -> Row {
        let (ops_per_s, p50_us, p99_us) = tally.figures(load);
        let (mode, clients) = (mode.to_owned(), self.clients);
        Row { protocol: "raft", mode, clients, ops_per_s, p50_us, p99_us }
    }
}

/// How many groups each member hosts besides `map`.
pub(crate) const GROUPS: u64 = 100;

/// How many nodes there are.
const NODES: u64 = 3;

/// Runs a member of a cluster until it is killed.
pub(crate) fn member(id: u64, port: u16, data: &Path) -> Result {
    actix_rt::System::new().block_on(async {
        let node = start(id, port, data)?;
        host(&node).await?;
        node.run().await
    })
}

async fn host(node: &Node) -> Result<Vec<MapClient>> {
    let mut clients = vec![node.host::<Map>("map").await?];
    for group in 0..GROUPS {
        clients.push(node.host::<Map>(format!("map{group}")).await?);
    }
    Ok(clients)
}

fn address(id: u64, port: u16) -> String {
    format!("127.0.0.1:{}", u64::from(port) + id - 1)
}

fn start(id: u64, port: u16, data: &Path) -> Result<Node> {
    let node = Node::builder().id(id).data(data.join(id.to_string())).cluster("bench").lease(true);
    (1..=NODES).fold(node, |node, peer| node.peer(peer, address(peer, port))).start()
}

/// Members of a cluster that are processes of their own; they end with this.
pub(crate) struct Members {
    children: Vec<Child>,
    data: PathBuf,
    pub(crate) port: u16,
}

impl Members {
    /// Starts the members whose ids are given.
    pub(crate) fn start(scene: &Scene<'_>, ids: impl Iterator<Item = u64>) -> Result<Self> {
        let port = free_ports()?;
        let data = scene.data.join(port.to_string());
        fs::create_dir_all(&data)?;
        let mut members = Self { children: Vec::new(), data, port };
        for id in ids {
            let mut command = Command::new(env::current_exe()?);
            command.args(["--member", &id.to_string(), "--port", &port.to_string()]);
            command.arg("--data").arg(&members.data).stdin(Stdio::null());
            members.children.push(command.spawn()?);
        }
        Ok(members)
    }

    /// Starts this process as the first member; the others are started already. It leads `map`.
    pub(crate) async fn join(&self) -> Result<(Node, Vec<MapClient>)> {
        let node = start(1, self.port, &self.data)?;
        let clients = host(&node).await?;
        clients[0].client().transfer(Some(1)).deadline("20s").await?;
        Ok((node, clients))
    }

    /// Where the members listen.
    pub(crate) fn addresses(&self) -> Vec<String> {
        (1..=NODES).map(|id| address(id, self.port)).collect()
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().ok();
            child.wait().ok();
        }
        fs::remove_dir_all(&self.data).ok();
    }
}

/// Finds a port that is free with those that follow it.
fn free_ports() -> Result<u16> {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (port..port.saturating_add(NODES as u16)).all(free) {
            return Ok(port);
        }
    }
}

/// Lets the first node lead, and returns its client.
pub(crate) async fn client_of_leader(clients: &[MapClient]) -> Result<MapClient> {
    let first = &clients[0];
    first.client().transfer(Some(1)).deadline("20s").await?;
    Ok(first.clone())
}

/// Runs clients where `make` says, and adds up what they have done.
pub(crate) fn drive<F>(clients: usize, mut make: impl FnMut(u64) -> (ArbiterHandle, F)) -> Tally
where
    F: Future<Output = Tally> + Send + 'static,
{
    let (done, tallies) = mpsc::channel();
    for number in 0..clients as u64 {
        let (arbiter, client) = make(number);
        let done = done.clone();
        arbiter.spawn(async move {
            done.send(client.await).ok();
        });
    }
    drop(done);
    let mut all = Tally::default();
    let mut ended = 0;
    while let Ok(tally) = tallies.recv_timeout(Duration::from_secs(60)) {
        all.add(&tally);
        ended += 1;
    }
    assert!(ended == clients, "every client ends its work");
    all
}
