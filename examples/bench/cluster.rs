//! Clusters of processes, the one of them that is this process, and the clients that work on them.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use actix_rt::{ArbiterHandle, SystemRunner};
use clap::Args;
use consensus_actors::{Node, NodeBuilder, Placement, Protocol, Result};

use crate::{
    cast::Cast,
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
    pub(crate) way: Way,
}

/// What replicates what is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) protocol: Protocol,
    pub(crate) placement: Placement,
}

impl Way {
    /// Returns how tables call it.
    pub(crate) fn name(self) -> String {
        match self.placement {
            Placement::Together => self.protocol.name().to_owned(),
            placement => format!("{}/{}", self.protocol.name(), placement.name()),
        }
    }

    /// Lets a node replicate its groups so.
    pub(crate) fn configure(self, node: NodeBuilder) -> NodeBuilder {
        node.protocol(self.protocol).placement(self.placement)
    }
}

impl Scene<'_> {
    /// Makes the row of what was measured.
    pub(crate) fn row(&self, mode: &str, load: &Load, tally: &Tally) -> Row {
        let (ops_per_s, p50_us, p99_us) = tally.figures(load);
        let (mode, clients) = (mode.to_owned(), self.clients);
        Row { protocol: self.way.name(), mode, clients, ops_per_s, p50_us, p99_us }
    }
}

/// How many groups each member hosts besides `map`.
pub(crate) const GROUPS: u64 = 100;

/// How many nodes there are where nothing else is said.
pub(crate) const NODES: u64 = 3;

/// What a process is told to be a member: what the bench starts itself.
#[derive(Args, Clone, Debug)]
pub(crate) struct Member {
    /// Runs a member of a cluster
    #[arg(long = "member", hide = true, value_name = "ID")]
    pub(crate) id: Option<u64>,

    /// The port of the first member; the others follow, and then those of HTTP
    #[arg(long, hide = true, default_value_t = 0)]
    port: u16,

    /// How many members there are
    #[arg(long, hide = true, default_value_t = NODES)]
    nodes: u64,

    /// What they host
    #[arg(long, hide = true, value_enum, default_value_t = Cast::Maps)]
    cast: Cast,
}

impl Member {
    /// Runs a member until it is killed.
    pub(crate) fn run(&self, (id, way): (u64, Way), data: &Path) -> Result {
        actix_rt::System::new().block_on(async {
            let node = self.node((id, way), data).start()?;
            self.cast.host(&node).await?;
            node.run().await
        })
    }

    fn node(&self, (id, way): (u64, Way), data: &Path) -> NodeBuilder {
        let node = Node::builder().id(id).data(data.join(id.to_string())).cluster("bench");
        let node = way.configure(node);
        let node = match self.cast.has_http() {
            true => node.http(self.http_address(id)),
            false => node,
        };
        let peers = (1..=self.nodes).filter(|_| self.nodes > 1);
        peers.fold(node.lease(true), |node, peer| node.peer(peer, self.address(peer)))
    }

    fn address(&self, id: u64) -> String {
        format!("127.0.0.1:{}", u64::from(self.port) + id - 1)
    }

    /// Where a node listens for HTTP, if it does.
    pub(crate) fn http_address(&self, id: u64) -> String {
        format!("127.0.0.1:{}", u64::from(self.port) + self.nodes + id - 1)
    }
}

/// Hosts `map` and the other groups that are measured; returns the client of each.
pub(crate) async fn host_maps(node: &Node) -> Result<Vec<MapClient>> {
    let mut clients = vec![node.host::<Map>("map").await?];
    for group in 0..GROUPS {
        clients.push(node.host::<Map>(format!("map{group}")).await?);
    }
    Ok(clients)
}

/// Members of a cluster that are processes of their own; they, and their data, end with this.
pub(crate) struct Members {
    children: BTreeMap<u64, Child>,
    data: PathBuf,
    way: Way,
    pub(crate) told: Member,
}

impl Members {
    /// Starts the members whose ids are given, of a cluster of so many nodes.
    pub(crate) fn start(
        scene: &Scene<'_>,
        (nodes, cast): (u64, Cast),
        ids: impl IntoIterator<Item = u64>,
    ) -> Result<Self> {
        let port = free_ports(2 * nodes)?;
        let data = scene.data.join(port.to_string());
        fs::create_dir_all(&data)?;
        let told = Member { id: None, port, nodes, cast };
        let mut members = Self { children: BTreeMap::new(), data, way: scene.way, told };
        for id in ids {
            members.spawn(id)?;
        }
        Ok(members)
    }

    /// Starts a member; one that was there before finds what it left behind.
    pub(crate) fn spawn(&mut self, id: u64) -> Result {
        let Member { port, nodes, cast, .. } = &self.told;
        let mut command = Command::new(env::current_exe()?);
        command.args(["--member", &id.to_string(), "--port", &port.to_string()]);
        command.args(["--nodes", &nodes.to_string(), "--cast", cast.name()]);
        command.args(["--protocol", self.way.protocol.name()]);
        command.args(["--placement", self.way.placement.name()]);
        command.arg("--data").arg(&self.data).stdin(Stdio::null()).stdout(Stdio::piped());
        self.children.insert(id, command.spawn()?);
        Ok(())
    }

    /// Kills a member.
    pub(crate) fn kill(&mut self, id: u64) {
        if let Some(mut child) = self.children.remove(&id) {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Returns the members' ids and process ids.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (u64, u32)> {
        self.children.iter().map(|(id, child)| (*id, child.id()))
    }

    /// Returns what a member prints from now on; once.
    pub(crate) fn words(&mut self, id: u64) -> Words {
        let out = self.children.get_mut(&id).and_then(|child| child.stdout.take());
        Words(out.map(BufReader::new))
    }

    /// Where a node keeps its data.
    pub(crate) fn data(&self, id: u64) -> PathBuf {
        self.data.join(id.to_string())
    }

    /// Where the members listen.
    pub(crate) fn addresses(&self) -> Vec<String> {
        (1..=self.told.nodes).map(|id| self.told.address(id)).collect()
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for id in self.children.keys().copied().collect::<Vec<_>>() {
            self.kill(id);
        }
        fs::remove_dir_all(&self.data).ok();
    }
}

/// What a member prints, line by line.
pub(crate) struct Words(Option<BufReader<ChildStdout>>);

impl Words {
    /// Waits until the member has said `word`.
    ///
    /// # Panics
    /// If it ends without.
    pub(crate) fn await_word(&mut self, word: &str) {
        let out = self.0.as_mut().expect("what a member prints is read by one");
        let mut line = String::new();
        while out.read_line(&mut line).is_ok_and(|length| length > 0) {
            if line.trim_end() == word {
                return;
            }
            line.clear();
        }
        panic!("a member ended before it said {word:?}");
    }
}

/// A node of this process, which ends with this.
pub(crate) struct Own(pub(crate) Node);

impl Deref for Own {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A cluster whose first member is this process, which leads what it hosts.
pub(crate) struct Led<C> {
    // Ends before the others do: it would campaign without them.
    own: Own,
    pub(crate) hosted: C,
    pub(crate) runtime: SystemRunner,
    pub(crate) members: Members,
}

impl<C> Led<C> {
    /// Starts the other members, then this one, which hosts by `host` what the cast says.
    pub(crate) fn start<F: Future<Output = Result<C>>>(
        scene: &Scene<'_>,
        (nodes, cast): (u64, Cast),
        host: impl FnOnce(Node) -> F,
    ) -> Result<Self> {
        let members = Members::start(scene, (nodes, cast), 2..=nodes)?;
        let runtime = actix_rt::System::new();
        let (node, hosted) = runtime.block_on(async {
            let node = members.told.node((1, scene.way), &members.data).start()?;
            let hosted = host(node.clone()).await?;
            Ok::<_, consensus_actors::Error>((node, hosted))
        })?;
        Ok(Self { own: Own(node), hosted, runtime, members })
    }

    /// Returns where clients live beside the leader's actors.
    pub(crate) fn arbiter(&self) -> ArbiterHandle {
        self.own.arbiter()
    }

    /// Ends the member that is this process; the others, and all data, stay.
    pub(crate) fn into_members(self) -> Members {
        self.members
    }
}

impl Led<Vec<MapClient>> {
    /// Starts the cluster that most modes measure.
    pub(crate) fn maps(scene: &Scene<'_>) -> Result<Self> {
        Self::start(scene, (NODES, Cast::Maps), async |node| {
            let clients = host_maps(&node).await?;
            client_of_leader(&clients).await?;
            Ok(clients)
        })
    }
}

/// Finds a port that is free with those that follow it.
pub(crate) fn free_ports(count: u64) -> Result<u16> {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (port..port.saturating_add(count as u16)).all(free) {
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

/// How long clients may go on once they have nothing to do but to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs clients where `make` says, and adds up what they have done.
pub(crate) fn drive<F>(clients: usize, make: impl FnMut(u64) -> (ArbiterHandle, F)) -> Tally
where
    F: Future<Output = Tally> + Send + 'static,
{
    let mut all = Tally::default();
    gather(clients, make).iter().for_each(|tally| all.add(tally));
    all
}

/// Runs clients where `make` says, and returns what came of them.
///
/// # Panics
/// If one does not end.
pub(crate) fn gather<T, F>(
    clients: usize,
    mut make: impl FnMut(u64) -> (ArbiterHandle, F),
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (done, results) = mpsc::channel();
    for number in 0..clients as u64 {
        let (arbiter, client) = make(number);
        let done = done.clone();
        arbiter.spawn(async move {
            done.send(client.await).ok();
        });
    }
    drop(done);
    let mut all = Vec::with_capacity(clients);
    while let Ok(result) = results.recv_timeout(PATIENCE) {
        all.push(result);
    }
    assert!(all.len() == clients, "every client ends its work");
    all
}
