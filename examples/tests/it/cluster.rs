//! Clusters of processes on loopback.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    http::{self, Http},
    process::{Process, Signal, counter_command, eventually, free_address, signal},
};

/// How long a cluster may take to do what it does in a second on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The variable of the environment in which a test that is to be a node finds its flags, as JSON.
pub(crate) const NODE: &str = "CONSENSUS_TEST_NODE";

/// The variable of the environment that names the protocol under which all tests run.
const PROTOCOL: &str = "TEST_PROTOCOL";

/// Tests that load the machine run alone, all others beside each other.
static MACHINE: RwLock<()> = RwLock::new(());

/// A place on the machine, given back when this is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "guards are held, not read")]
pub(crate) enum Place {
    Beside(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Place {
    /// Waits until no other test runs.
    pub(crate) fn alone() -> Self {
        Self::Alone(MACHINE.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until no test runs that wants to be alone.
    pub(crate) fn beside() -> Self {
        Self::Beside(MACHINE.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Which program the nodes run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    /// `counter serve`.
    Counter,
    /// A test of this binary, which finds its flags in [`NODE`] and then is a node.
    Test(&'static str),
}

/// The nodes of a cluster, running or not.
#[derive(Debug)]
pub(crate) struct Cluster {
    program: Program,
    /// The protocol of all groups.
    protocol: String,
    /// Whether nodes have their roles elsewhere in each life.
    wanders: bool,
    /// The protocol of decisions.
    decisions: &'static str,
    nodes: Vec<Node>,
    dir: TempDir,
    _place: Place,
}

#[derive(Debug)]
struct Node {
    http: SocketAddr,
    peer: SocketAddr,
    /// Whether it joins a cluster that others have founded.
    joins: bool,
    /// How often it was started.
    lives: u64,
    process: Option<Process>,
}

/// What a node says of the only group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Status {
    pub(crate) role: String,
    pub(crate) leader: Option<u64>,
    pub(crate) term: u64,
    pub(crate) committed: u64,
    pub(crate) applied: u64,
    pub(crate) last: u64,
}

impl Node {
    fn new(joins: bool) -> Self {
        Self { http: free_address(), peer: free_address(), joins, lives: 0, process: None }
    }
}

impl Cluster {
    /// Starts nodes of the counter beside what other tests do, and waits until each is ready.
    pub(crate) fn start(nodes: u64) -> Self {
        let mut cluster = Self::prepare(nodes);
        cluster.start_all();
        cluster
    }

    /// Starts nodes of the counter when no other test runs, and waits until each is ready.
    pub(crate) fn start_alone(nodes: u64) -> Self {
        let mut cluster = Self::new(nodes, Program::Counter, Place::alone());
        cluster.start_all();
        cluster
    }

    /// Starts nodes of the counter under a protocol when no other test runs, and waits until each is
    /// ready.
    pub(crate) fn start_alone_under(nodes: u64, protocol: &str) -> Self {
        let mut cluster = Self::new(nodes, Program::Counter, Place::alone());
        cluster.protocol = protocol.to_owned();
        cluster.start_all();
        cluster
    }

    /// Starts nodes of the counter under Multi-Paxos when no other test runs, whose roles have other
    /// places in each of their lives, and waits until each is ready.
    pub(crate) fn start_alone_wandering(nodes: u64) -> Self {
        let mut cluster = Self::new(nodes, Program::Counter, Place::alone());
        cluster.protocol = "multi_paxos".to_owned();
        cluster.wanders = true;
        cluster.start_all();
        cluster
    }

    /// Starts nodes of the counter under a protocol, and waits until each is ready.
    pub(crate) fn start_under(nodes: u64, protocol: &str) -> Self {
        let mut cluster = Self::prepare(nodes);
        cluster.protocol = protocol.to_owned();
        cluster.start_all();
        cluster
    }

    /// Starts nodes of the counter that make decisions by a protocol, and waits until each is ready.
    pub(crate) fn start_deciding_by(nodes: u64, decisions: &'static str) -> Self {
        let mut cluster = Self::prepare(nodes);
        cluster.decisions = decisions;
        cluster.start_all();
        cluster
    }

    /// Makes a cluster of the counter of which no node runs yet.
    pub(crate) fn prepare(nodes: u64) -> Self {
        Self::prepare_program(nodes, Program::Counter)
    }

    /// Makes a cluster of which no node runs yet.
    pub(crate) fn prepare_program(nodes: u64, program: Program) -> Self {
        Self::new(nodes, program, Place::beside())
    }

    fn new(nodes: u64, program: Program, place: Place) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let nodes = (0..nodes).map(|_| Node::new(false)).collect();
        let protocol = env::var(PROTOCOL).unwrap_or_else(|_| "raft".to_owned());
        let (wanders, decisions) = (false, "paxos");
        Self { program, protocol, wanders, decisions, nodes, dir, _place: place }
    }

    /// Makes one more node, which does not run yet and is to join; returns its id.
    pub(crate) fn spare(&mut self) -> u64 {
        self.nodes.push(Node::new(true));
        self.nodes.len() as u64
    }

    /// Gives a node another peer port for its next life.
    pub(crate) fn move_to(&mut self, id: u64, peer: SocketAddr) {
        self.node_mut(id).peer = peer;
    }

    /// Returns the ids of all nodes.
    pub(crate) fn ids(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.nodes.len() as u64
    }

    fn node(&self, id: u64) -> &Node {
        &self.nodes[id as usize - 1]
    }

    fn node_mut(&mut self, id: u64) -> &mut Node {
        &mut self.nodes[id as usize - 1]
    }

    /// Returns where a node serves HTTP.
    pub(crate) fn http(&self, id: u64) -> SocketAddr {
        self.node(id).http
    }

    /// Returns where a node listens to its peers.
    pub(crate) fn peer(&self, id: u64) -> SocketAddr {
        self.node(id).peer
    }

    /// Returns where all nodes serve HTTP.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.http).collect()
    }

    /// Returns the value of `--peers`.
    pub(crate) fn peers(&self) -> String {
        let founders = self.ids().filter(|id| !self.node(*id).joins);
        let peer = |id| format!("{id}={}", self.peer(id));
        founders.map(peer).collect::<Vec<_>>().join(",")
    }

    /// Returns where the founders listen to their peers, as `--join` takes it.
    pub(crate) fn join(&self) -> String {
        let founders = self.nodes.iter().filter(|node| !node.joins);
        founders.map(|node| node.peer.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Returns the data directory of a node.
    pub(crate) fn data(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("node-{id}"))
    }

    /// Returns the directory in which everything of the cluster lies.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the flags of a node's `serve`, in pairs.
    pub(crate) fn flags(&self, id: u64) -> Vec<(&'static str, String)> {
        let mut flags = if self.node(id).joins {
            vec![("--join", self.join()), ("--listen", self.peer(id).to_string())]
        } else {
            vec![("--peers", self.peers())]
        };
        flags.extend(self.flags_of_a_later_start(id));
        flags
    }

    /// Returns the flags of a node that knows its peers from its data directory.
    pub(crate) fn flags_of_a_later_start(&self, id: u64) -> Vec<(&'static str, String)> {
        let mut flags = vec![
            ("--id", id.to_string()),
            ("--http", self.http(id).to_string()),
            ("--data", self.data(id).display().to_string()),
            ("--cluster", "test".to_owned()),
            ("--protocol", self.protocol.clone()),
            ("--decisions-protocol", self.decisions.to_owned()),
            ("--election-timeout", "300ms".to_owned()),
            ("--heartbeat", "60ms".to_owned()),
        ];
        if self.wanders {
            let places = ["apart", "acceptor", "together", "threads", "learner"];
            let place = places[(id + self.node(id).lives) as usize % places.len()];
            flags.push(("--placement", place.to_owned()));
        }
        flags
    }

    /// Returns the process of a node that runs.
    pub(crate) fn process(&mut self, id: u64) -> &mut Process {
        self.node_mut(id).process.as_mut().expect("the node runs")
    }

    /// Returns everything that a node has logged, over all its lives.
    pub(crate) fn log(&self, id: u64) -> String {
        let path = self.dir.path().join(format!("logs/node-{id}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Waits until a node has logged a line with all of these words.
    pub(crate) fn await_log(&self, id: u64, words: &[&str]) {
        eventually(&format!("node {id} logs {words:?}"), PATIENCE, || {
            let log = self.log(id);
            let found = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
            found.then_some(())
        });
    }

    /// Starts a node.
    pub(crate) fn start_node(&mut self, id: u64) {
        self.start_node_with(id, &[]);
    }

    /// Starts a node with flags that differ from those of the cluster.
    pub(crate) fn start_node_with(&mut self, id: u64, changed: &[(&'static str, &str)]) {
        let command = match self.program {
            Program::Counter => serve(self.flags(id), changed),
            Program::Test(name) => {
                assert!(changed.is_empty(), "a test as a node takes no flags");
                let mut command = Command::new(env::current_exe().expect("this program"));
                command
                    .args(["--exact", name, "--nocapture"])
                    .env(NODE, json!(self.flags(id)).to_string());
                command
            }
        };
        self.run(id, command);
    }

    /// Starts a node of the counter again that finds its peers, and its own ports for them, in its
    /// data directory.
    pub(crate) fn start_node_again(&mut self, id: u64) {
        self.run(id, serve(self.flags_of_a_later_start(id), &[]));
    }

    fn run(&mut self, id: u64, mut command: Command) {
        let logs = self.dir.path().join("logs");
        let process = Process::start(&mut command, &logs, &format!("node-{id}"));
        self.node_mut(id).lives += 1;
        let former = self.node_mut(id).process.replace(process);
        assert!(former.is_none_or(|mut former| former.ended().is_some()), "node {id} ran already");
    }

    /// Starts all nodes and waits until each is ready.
    pub(crate) fn start_all(&mut self) {
        self.ids().for_each(|id| self.start_node(id));
        self.await_ready();
    }

    /// Kills a node with SIGKILL.
    pub(crate) fn kill(&mut self, id: u64) {
        self.process(id).kill();
    }

    /// Kills all nodes with SIGKILL, before any can see that another is gone.
    pub(crate) fn kill_all(&mut self) {
        self.ids().for_each(|id| signal(self.process(id).pid(), Signal::Stop));
        self.ids().for_each(|id| self.kill(id));
    }

    /// Waits until every running node says that it is ready.
    pub(crate) fn await_ready(&mut self) {
        for id in self.ids() {
            let running = self.node_mut(id).process.as_mut().is_some_and(|p| p.ended().is_none());
            if running {
                let address = self.http(id);
                eventually(&format!("node {id} is ready"), PATIENCE, || {
                    Http::new().get(address, "/readyz", &[]).ok().filter(|it| it.status == 200)
                });
            }
        }
    }

    /// Returns what a node says of its group, if it answers.
    pub(crate) fn status(&self, id: u64) -> Option<Status> {
        let http = Http::with_patience(Duration::from_secs(2));
        let answer = http.get(self.http(id), "/v1/status", &[]).ok()?;
        let group = answer.json()["groups"].get(0).cloned()?;
        let number = |name: &str| group[name].as_u64().expect("the status has this number");
        Some(Status {
            role: group["role"].as_str().expect("the status has a role").to_owned(),
            leader: group["leader"].as_u64(),
            term: number("term"),
            committed: number("committed"),
            applied: number("applied"),
            last: number("last"),
        })
    }

    /// Returns the statuses of those of `ids` that answer.
    fn statuses(&self, ids: &[u64]) -> Vec<(u64, Status)> {
        ids.iter().filter_map(|id| Some((*id, self.status(*id)?))).collect()
    }

    /// Returns the leader that a majority of all nodes follows in the latest term.
    pub(crate) fn leader(&self) -> u64 {
        let ids: Vec<u64> = self.ids().collect();
        self.leader_of(&ids)
    }

    /// Returns the leader that a majority of all nodes follows, as these nodes say; the others may
    /// be down.
    pub(crate) fn leader_of(&self, ids: &[u64]) -> u64 {
        eventually("a majority follows a leader", PATIENCE, || {
            let statuses = self.statuses(ids);
            let term = statuses.iter().map(|(_, status)| status.term).max()?;
            let in_term = || statuses.iter().filter(|(_, status)| status.term == term);
            let (leader, _) = in_term().find(|(_, status)| status.role == "leader")?;
            let following = in_term().filter(|(_, status)| status.leader == Some(*leader)).count();
            (following > self.nodes.len() / 2).then_some(*leader)
        })
    }

    /// Waits until all nodes hold and have applied the same, so that any may be elected.
    pub(crate) fn settle(&self) {
        let ids: Vec<u64> = self.ids().collect();
        eventually("all nodes have applied the same", PATIENCE, || {
            let statuses = self.statuses(&ids);
            let (_, first) = statuses.first()?;
            let equal = statuses.iter().all(|(_, status)| {
                let Status { committed, applied, last, .. } = *status;
                (committed, applied, last) == (first.last, first.last, first.last)
            });
            (equal && statuses.len() == ids.len()).then_some(())
        });
    }

    /// Returns the counter's value in each node's own state: each is restarted as the one that is to
    /// lead, since queries are answered from the state of the leader.
    pub(crate) fn values_one_by_one(&mut self) -> Vec<i64> {
        let mut values = Vec::new();
        for id in self.ids() {
            self.settle();
            self.kill_all();
            for other in self.ids() {
                let reluctant = [("--priority", "0")];
                self.start_node_with(other, if other == id { &[] } else { &reluctant });
            }
            eventually(&format!("node {id} leads"), PATIENCE, || {
                self.status(id).filter(|status| status.role == "leader")
            });
            values.push(http::value(self.http(id)));
        }
        values
    }
}

/// Makes the command of a node with these flags, some of them changed.
pub(crate) fn serve(flags: Vec<(&'static str, String)>, changed: &[(&str, &str)]) -> Command {
    let mut command = counter_command();
    // The pipe ends with this process, however it ends, and the node with it.
    command.args(["serve", "--end-with-stdin"]).stdin(Stdio::piped());
    for (name, value) in &flags {
        let new = changed.iter().find(|(changed, _)| *changed == *name);
        command.arg(name).arg(new.map_or(value.as_str(), |(_, new)| new));
    }
    let known = |name: &str| flags.iter().any(|(flag, _)| *flag == name);
    for (name, value) in changed.iter().filter(|(name, _)| !known(name)) {
        command.args([name, value]);
    }
    command
}
