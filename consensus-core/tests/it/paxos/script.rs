//! What runs golden scripts for protocols that choose one value.

use std::{error::Error, path::Path, time::Duration};

use consensus_core::NodeId;

use super::{
    cluster::{Cluster, Options, Tested, line},
    trace,
    verbs::{Spot, Verb},
};

/// Runs a script and compares what it leaves with what it did before.
pub(crate) fn run<P: Tested>(path: &Path) {
    let mut runner = Runner { cluster: Cluster::<P>::new(&Options::default()) };
    goldenscript::run(&mut runner, path).unwrap_or_else(|error| panic!("{error}"));
}

/// Runs a script and returns it with the trace that it left.
#[cfg(feature = "mutants")]
pub(crate) fn traced<P: Tested>(script: &str) -> std::io::Result<String> {
    let mut runner = Runner { cluster: Cluster::<P>::new(&Options::default()) };
    goldenscript::generate(&mut runner, script)
}

struct Runner<P: Tested> {
    cluster: Cluster<P>,
}

/// How long a beat lasts.
const BEAT: Duration = Duration::from_millis(100);

impl<P: Tested> goldenscript::Runner for Runner<P> {
    type Command = Verb;

    fn run(&mut self, verb: &Verb, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let mut shown = String::new();
        match verb {
            Verb::Cluster { nodes, learners, prepare, accept, fast } => {
                let plain = Options::default();
                self.cluster = Cluster::new(&Options {
                    acceptors: nodes.unwrap_or(plain.acceptors),
                    learners: learners.unwrap_or(plain.learners),
                    quorums: prepare.zip(*accept),
                    fast: *fast,
                    ..plain
                });
            }
            Verb::Propose { node, value } => self.cluster.propose(*node, value),
            Verb::Read(node) => self.cluster.read(*node),
            Verb::Advance { passed, nodes } if nodes.is_empty() => self.pass(&self.all(), passed.0),
            Verb::Advance { passed, nodes } => self.pass(nodes, passed.0),
            Verb::Persist { spot: Spot(node, seat), count } => {
                self.cluster.persist(*node, *seat, count.unwrap_or(usize::MAX));
            }
            Verb::Deliver { from, to, at, count } => {
                for _ in 0..self.chosen(*from, *to, *at, *count)? {
                    self.cluster.deliver(*from, *to, at.unwrap_or(0));
                }
            }
            Verb::Drop { from, to, at, count } => {
                for _ in 0..self.chosen(*from, *to, *at, *count)? {
                    let parcel = self.cluster.links_mut().take(*from, *to, at.unwrap_or(0));
                    shown += &(line::<P>(&parcel, *from, "-x", *to) + "\n");
                }
            }
            Verb::Duplicate { from, to, at } => {
                self.cluster.links_mut().duplicate(*from, *to, at.unwrap_or(0));
            }
            Verb::Partition(nodes) => self.partition(nodes),
            Verb::Cut { from, to } => self.cluster.links_mut().cut(*from, *to),
            Verb::Heal => self.cluster.links_mut().heal(),
            Verb::Crash(node) => self.cluster.crash(*node),
            Verb::Restart(node) => self.cluster.restart(*node),
            Verb::Stabilize(nodes) if nodes.is_empty() => self.stabilize(&self.all())?,
            Verb::Stabilize(nodes) => self.stabilize(nodes)?,
            Verb::Beat(count) => (0..*count).for_each(|_| self.beat()),
            Verb::Status => self.all().iter().for_each(|node| shown += &self.status(*node)),
            Verb::Network => shown = self.network(),
        }
        Ok(self.cluster.take_trace().into_iter().map(|line| line + "\n").collect::<String>()
            + &shown)
    }
}

impl<P: Tested> Runner<P> {
    fn all(&self) -> Vec<NodeId> {
        self.cluster.nodes().map(|(id, _)| id).collect()
    }

    fn pass(&mut self, nodes: &[NodeId], passed: Duration) {
        nodes.iter().for_each(|node| self.cluster.tick(*node, passed));
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

    fn persist(&mut self, node: NodeId) -> usize {
        P::SEATS.iter().map(|seat| self.cluster.persist(node, *seat, usize::MAX)).sum()
    }

    fn stabilize(&mut self, nodes: &[NodeId]) -> Result<(), Box<dyn Error>> {
        for _ in 0..1_000 {
            let mut moved: usize = nodes.iter().map(|node| self.persist(*node)).sum();
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

    fn beat(&mut self) {
        let all = self.all();
        for node in &all {
            self.persist(*node);
        }
        for ((from, to), count) in self.cluster.links().busy() {
            (0..count).for_each(|_| self.cluster.deliver(from, to, 0));
        }
        self.pass(&all, BEAT);
    }

    fn status(&self, id: NodeId) -> String {
        let (_, node) = self.cluster.nodes().find(|(it, _)| *it == id).expect("it is there");
        let down = if node.up { "" } else { " down" };
        let applied = node.applied.as_ref().map_or_else(|| "nothing".into(), trace::value);
        let sides = node.sides.iter();
        let sides =
            sides.map(|(seat, side)| format!(" | {} {}", trace::spot(id, *seat), side.role.told()));
        format!("{id}{down} holds {applied}{}\n", sides.collect::<String>())
    }

    fn network(&self) -> String {
        let links = self.cluster.links().busy();
        let messages = links.iter().flat_map(|((from, to), _)| {
            let parcels = self.cluster.links().in_flight(*from, *to).into_iter();
            parcels.map(move |parcel| line::<P>(&parcel, *from, "->", *to) + "\n")
        });
        messages.collect()
    }
}
