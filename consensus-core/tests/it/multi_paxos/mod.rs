//! Golden scripts for Multi-Paxos: each file in `tests/scripts/multi_paxos` shows one property.
//!
//! They are written as Raft's are. In traces `3.2` is the ballot of round 3 that belongs to node 2,
//! `4 put a 1` a command in slot 4, `4@3.2` what was accepted there in that ballot; `#4` is a
//! record of the node, with the role that wrote it (`p`, `a`, `l`), `t1` a caller; `->` goes onto a
//! link, `-x` is lost, `..` waits for a record to be durable, `<-` arrives.

mod cluster;
mod forged;
mod hostile;
mod node;
mod sim;
mod trace;
mod verbs;

use std::{error::Error, path::Path, time::Duration};

use consensus_core::{
    Index, NodeId, ReadLevel,
    ensemble::{Addressed, Ensemble},
    multi_paxos::{Ballot, Control, Message, PROPOSER, Role},
    paxos::Round,
    sim::Simulated,
};
use test_each_file::test_each_path;

use self::{cluster::Cluster, node::Options, verbs::Verb};
use crate::kv;

/// The roles of a node, hosted together.
type MultiPaxos = Ensemble<Role>;

test_each_path! { in "./consensus-core/tests/scripts/multi_paxos" as scripts => run }

fn run(path: &Path) {
    let mut runner = Runner { cluster: Cluster::new(&Options::default()) };
    goldenscript::run(&mut runner, path).unwrap_or_else(|error| panic!("{error}"));
}

/// Runs a script and returns it with the trace that it left.
#[cfg(feature = "mutants")]
pub(crate) fn traced(script: &str) -> std::io::Result<String> {
    let mut runner = Runner { cluster: Cluster::new(&Options::default()) };
    goldenscript::generate(&mut runner, script)
}

struct Runner {
    cluster: Cluster,
}

/// Beyond it every election timer has run out: timeouts are drawn from T to 2T.
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(2);

impl goldenscript::Runner for Runner {
    type Command = Verb;

    fn run(&mut self, verb: &Verb, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let mut shown = String::new();
        match verb {
            Verb::Cluster { leader, .. } => {
                self.cluster = Cluster::new(&options(verb));
                leader.iter().for_each(|leader| self.elect(*leader));
            }
            Verb::Timeout(nodes) => self.pass(nodes, ELECTION_TIMEOUT_MAX),
            Verb::Heartbeat(node) => self.cluster.tick(*node, Options::default().heartbeat),
            Verb::Campaign { node, round } => self.campaign(*node, *round),
            Verb::Advance { passed, nodes } if nodes.is_empty() => self.pass(&self.all(), passed.0),
            Verb::Advance { passed, nodes } => self.pass(nodes, passed.0),
            Verb::Pause { passed, nodes } => {
                nodes.iter().for_each(|node| self.cluster.pause(*node, passed.0));
            }
            Verb::Run(passed) => self.live(passed.0)?,
            Verb::Submit { node, command } => {
                self.cluster.submit(*node, &crate::raft::parse(command)?);
            }
            Verb::Read { node, key, stale, after, lease } => {
                let level = match (stale, after) {
                    _ if *lease == Some(true) => ReadLevel::Lease,
                    (Some(max_lag), _) => ReadLevel::Stale { max_lag: max_lag.0 },
                    (None, Some(index)) => ReadLevel::After { index: Index(*index) },
                    (None, None) => ReadLevel::Linearizable,
                };
                let query = kv::encode(&kv::Query::Get { key: key.clone() });
                self.cluster.read(*node, query, level);
            }
            Verb::Change { node, steps } => {
                let steps = steps.iter().map(|step| crate::raft::changed(step));
                self.cluster.change(*node, steps.collect::<Result<_, _>>()?);
            }
            Verb::Members => self.all().iter().for_each(|node| shown += &self.members(*node)),
            Verb::Transfer { node, to } => self.cluster.transfer(*node, *to),
            Verb::Resign(node) => self.cluster.resign(*node),
            Verb::Persist { node, count } => {
                self.cluster.persist(*node, count.unwrap_or(usize::MAX));
            }
            Verb::Deliver { from, to, at, count } => {
                for _ in 0..self.chosen(*from, *to, *at, *count)? {
                    self.cluster.deliver(*from, *to, at.unwrap_or(0));
                }
            }
            Verb::Drop { from, to, at, count } => {
                for _ in 0..self.chosen(*from, *to, *at, *count)? {
                    let parcel = self.cluster.links_mut().take(*from, *to, at.unwrap_or(0));
                    shown += &format!("{from} -x {to} {}\n", trace::message(&parcel));
                }
            }
            Verb::Duplicate { from, to, at } => {
                self.cluster.links_mut().duplicate(*from, *to, at.unwrap_or(0));
            }
            Verb::Forge { from, to, .. } => self.cluster.forge(*from, *to, forged::message(verb)?),
            Verb::Partition(nodes) => self.partition(nodes),
            Verb::Cut { from, to } => self.cluster.links_mut().cut(*from, *to),
            Verb::Heal => self.cluster.links_mut().heal(),
            Verb::Crash { node, kept } => self.cluster.crash(*node, kept.unwrap_or(0)),
            Verb::Restart(node) => self.cluster.restart(*node),
            Verb::Snapshot(node) => self.cluster.control(*node, Control::TakeSnapshot),
            Verb::Save(node) => {
                self.cluster.save(*node).then_some(()).ok_or("no snapshot is to be taken")?;
            }
            Verb::Damage(node) => self.cluster.damage(*node),
            Verb::Makeroom(node) => self.cluster.control(*node, Control::MakeRoom),
            Verb::Full(node) => self.cluster.control(*node, Control::StorageFull(true)),
            Verb::Room(node) => self.cluster.control(*node, Control::StorageFull(false)),
            Verb::Behind(node) => self.cluster.control(*node, Control::Behind(true)),
            Verb::Caughtup(node) => self.cluster.control(*node, Control::Behind(false)),
            Verb::Stabilize(nodes) if nodes.is_empty() => self.stabilize(&self.all())?,
            Verb::Stabilize(nodes) => self.stabilize(nodes)?,
            Verb::Status => self.all().iter().for_each(|node| shown += &self.status(*node)),
            Verb::Lease(node) => shown = self.lease(*node),
            Verb::State => self.all().iter().for_each(|node| shown += &self.state(*node)),
            Verb::Journal(nodes) => nodes.iter().for_each(|node| shown += &self.journal(*node)),
            Verb::Network => shown = self.network(),
        }
        Ok(self.cluster.take_trace().into_iter().map(|line| line + "\n").collect::<String>()
            + &shown)
    }
}

/// Returns what a new cluster is made of.
fn options(verb: &Verb) -> Options {
    let plain = Options::default();
    #[rustfmt::skip]
    let Verb::Cluster {
        nodes, new, prepare, accept, lease, bytes, window, proposals, snapshots, tail, chunk, ..
    } = verb else { return plain };
    Options {
        nodes: nodes.unwrap_or(plain.nodes),
        new: new.unwrap_or(plain.new),
        quorums: prepare.zip(*accept),
        lease: lease.unwrap_or(plain.lease),
        accept_bytes_max: bytes.unwrap_or(plain.accept_bytes_max),
        accept_window: window.unwrap_or(plain.accept_window),
        proposals_max: proposals.unwrap_or(plain.proposals_max),
        snapshot_entries: snapshots.unwrap_or(plain.snapshot_entries),
        tail_entries: tail.unwrap_or(plain.tail_entries),
        chunk_bytes: chunk.unwrap_or(plain.chunk_bytes),
        ..plain
    }
}

impl Runner {
    fn all(&self) -> Vec<NodeId> {
        self.cluster.nodes().map(|(id, _)| id).collect()
    }

    fn pass(&mut self, nodes: &[NodeId], passed: Duration) {
        nodes.iter().for_each(|node| self.cluster.tick(*node, passed));
    }

    fn elect(&mut self, node: NodeId) {
        self.cluster.tick(node, ELECTION_TIMEOUT_MAX);
        self.stabilize(&self.all()).expect("an election ends");
        self.cluster.tick(node, Options::default().heartbeat);
        self.stabilize(&self.all()).expect("a heartbeat ends");
        let leads = self.cluster.node(node).office().starts_with("leader");
        assert!(leads, "an undisturbed candidate is elected");
        self.cluster.take_trace();
    }

    /// Has a node hear of the round before, time out, and find support.
    fn campaign(&mut self, node: NodeId, round: u64) {
        let say = |message: Message| Addressed { seat: PROPOSER, message };
        let ballot = |round| Ballot { era: Index::ZERO, round: Round(round), node };
        let others: Vec<_> = self.all().into_iter().filter(|other| *other != node).collect();
        if let (Some(other), Some(before)) = (others.first(), round.checked_sub(2)) {
            let promised = ballot(before + 1);
            let nack = Message::Nack { ballot: ballot(before.max(1)), promised };
            if before > 0 {
                self.cluster.forge(*other, node, say(nack));
            }
        }
        self.cluster.tick(node, ELECTION_TIMEOUT_MAX);
        for other in others {
            let message = Message::Support { ballot: ballot(round), chosen: Index::ZERO };
            self.cluster.forge(other, node, say(message));
        }
        self.cluster.persist(node, usize::MAX);
        self.cluster.persist(node, usize::MAX);
    }

    /// Returns how many messages of a link a verb is about.
    fn chosen(
        &self,
        from: NodeId,
        to: NodeId,
        at: Option<usize>,
        count: Option<usize>,
    ) -> Result<usize, Box<dyn Error>> {
        let behind = self.cluster.links().in_flight(from, to).len().saturating_sub(at.unwrap_or(0));
        let count = count.unwrap_or_else(|| if at.is_some() { 1 } else { behind });
        let there = count > 0 && count <= behind;
        there.then_some(count).ok_or_else(|| format!("{behind} messages are there").into())
    }

    fn partition(&mut self, nodes: &[NodeId]) {
        for other in self.all().into_iter().filter(|node| !nodes.contains(node)) {
            for node in nodes {
                self.cluster.links_mut().cut(*node, other);
                self.cluster.links_mut().cut(other, *node);
            }
        }
    }

    fn live(&mut self, passed: Duration) -> Result<(), Box<dyn Error>> {
        let (all, step) = (self.all(), Options::default().heartbeat);
        let mut left = passed;
        while !left.is_zero() {
            self.pass(&all, step);
            left = left.saturating_sub(step);
            self.stabilize(&all)?;
        }
        Ok(())
    }

    fn stabilize(&mut self, nodes: &[NodeId]) -> Result<(), Box<dyn Error>> {
        for _ in 0..1_000 {
            let mut moved = 0;
            for node in nodes {
                moved += self.cluster.persist(*node, usize::MAX);
                moved += usize::from(self.cluster.node(*node).up && self.cluster.save(*node));
            }
            for ((from, to), count) in self.cluster.links().busy() {
                if nodes.contains(&from) && nodes.contains(&to) {
                    (0..count).for_each(|_| self.cluster.deliver(from, to, 0));
                    moved += count;
                }
            }
            if moved == 0 {
                return Ok(());
            }
        }
        Err("it never comes to rest".into())
    }

    fn status(&self, id: NodeId) -> String {
        let node = self.cluster.node(id);
        let down = if node.up { "" } else { " down" };
        format!("{id}{down} {} applied={}\n", node.describe(), node.replica.applied())
    }

    fn members(&self, id: NodeId) -> String {
        let membership = self.cluster.node(id).process.status().membership;
        let membership =
            if membership.is_empty() { "nobody".into() } else { membership.describe() };
        format!("{id} goes by {membership}\n")
    }

    fn lease(&self, id: NodeId) -> String {
        let node = self.cluster.node(id);
        match node.process.lease_until().filter(|until| *until > node.now()) {
            Some(until) => format!("{id} holds a lease for {:?}\n", until.since(node.now())),
            None => format!("{id} holds no lease\n"),
        }
    }

    fn state(&self, id: NodeId) -> String {
        let values = &self.cluster.node(id).replica.machine().values;
        let values: Vec<_> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let values = if values.is_empty() { "nothing".into() } else { values.join(" ") };
        format!("{id} holds {values}\n")
    }

    fn journal(&self, id: NodeId) -> String {
        let records = self.cluster.node(id).disk.records();
        let line = |(token, record): (consensus_core::Token, _)| {
            format!("{id} #{} {}\n", token.0, trace::record(&record))
        };
        records.map(line).collect()
    }

    fn network(&self) -> String {
        let links = self.cluster.links().busy();
        let messages = links.iter().flat_map(|((from, to), _)| {
            let parcels = self.cluster.links().in_flight(*from, *to).into_iter();
            parcels.map(move |parcel| format!("{from} -> {to} {}\n", trace::message(&parcel)))
        });
        messages.collect()
    }
}
