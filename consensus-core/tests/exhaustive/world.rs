//! All nodes and messages that ever were, each kept once, and each step of a node taken once.
//!
//! A step depends on nothing but the node and the event, so whoever takes it again gets what it
//! came to the first time. What is kept is kept until the test ends: it is few, and states point
//! to it.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
    sync::{
        RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use consensus_core::{
    Index, NodeId, Token,
    codec::Encode,
    raft::{Entry, Message, Payload, Raft, Record, Role},
};

use crate::{
    NODES,
    host::{Event, Fault, Host, Told, id, position as position_of},
    symmetry::{Marks, Writer, name, place},
};

/// A log entry: the term, and the command's number or zero for a no-op.
pub(crate) type Stamp = (u8, u8);

/// A message on its way.
pub(crate) struct Letter {
    pub(crate) number: u32,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) message: Message,
    pub(crate) term: u8,
    pub(crate) marks: Marks,
}

impl PartialEq for Letter {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: {:?}", id(self.from), id(self.to), self.message)
    }
}

/// The roles, without their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Follower,
    Candidate,
    Leader,
}

/// A node in one of its states.
pub(crate) struct Node {
    pub(crate) position: usize,
    host: Host,
    pub(crate) part: Part,
    pub(crate) term: u8,
    pub(crate) log: Vec<Stamp>,
    pub(crate) committed: usize,
    /// What a crash would leave.
    pub(crate) disk_term: u8,
    pub(crate) disk_vote: Option<usize>,
    pub(crate) disk_log: Vec<Stamp>,
    pub(crate) waits: bool,
    pub(crate) marks: Marks,
    steps: RwLock<BTreeMap<Step, &'static Outcome>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, part, term, log, committed, disk_term, disk_log, .. } = self;
        write!(f, "{} {part:?}@{term} {log:?} committed {committed}", id(*position))?;
        write!(f, ", on disk @{disk_term} {disk_log:?}")
    }
}

/// An event, as a node's steps are kept by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Tick,
    Receive(u32),
    Submit(u8),
    Persist,
    Crash,
}

/// What a step comes to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) node: &'static Node,
    pub(crate) sent: Vec<&'static Letter>,
    pub(crate) acknowledged: Vec<u8>,
    pub(crate) fault: Option<Fault>,
}

/// All that ever was.
#[derive(Default)]
pub(crate) struct World {
    nodes: RwLock<BTreeMap<Vec<u8>, &'static Node>>,
    letters: RwLock<BTreeMap<Vec<u8>, &'static Letter>>,
    letters_count: AtomicU32,
}

impl World {
    /// Returns the node at `position` with an empty disk.
    pub(crate) fn start(&self, position: usize) -> &'static Node {
        self.node(position, Host::new(position))
    }

    /// Tells how many states of nodes and how many messages there were.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let nodes = self.nodes.read().expect("no thread panics").len();
        (nodes, self.letters.read().expect("no thread panics").len())
    }

    /// Takes a step, or looks up what it came to.
    pub(crate) fn step(
        &self,
        node: &'static Node,
        step: Step,
        event: impl FnOnce() -> Event,
    ) -> &'static Outcome {
        let known = node.steps.read().expect("no thread panics").get(&step).copied();
        known.unwrap_or_else(|| {
            let mut host = node.host.clone();
            let Told { sent, acknowledged, fault } = host.act(event());
            let from = node.position;
            let sent = sent.into_iter().map(|(to, message)| self.letter(from, to, message));
            let sent = sent.collect();
            let node_after = self.node(from, host);
            let outcome = Outcome { node: node_after, sent, acknowledged, fault };
            let outcome: &'static Outcome = Box::leak(Box::new(outcome));
            node.steps.write().expect("no thread panics").insert(step, outcome);
            outcome
        })
    }

    fn node(&self, position: usize, host: Host) -> &'static Node {
        let disk = host.recovered();
        let written = |way| {
            let mut out = Writer::default();
            fingerprint(&host, &disk, way, &mut out);
            out
        };
        let mut identity = written(0);
        identity.write_usize(position);
        if let Some(known) = self.nodes.read().expect("no thread panics").get(&identity.0) {
            return known;
        }
        let state = host.raft.state();
        let node = Node {
            position,
            part: match host.raft.role() {
                Role::Follower(_) => Part::Follower,
                Role::Candidate(_) => Part::Candidate,
                Role::Leader(_) => Part::Leader,
                Role::PreCandidate(_) => unreachable!("pre-vote is off here"),
            },
            term: state.term().0 as u8,
            log: stamps(&host.raft),
            committed: state.committed().0 as usize,
            disk_term: disk.state().term().0 as u8,
            disk_vote: disk.state().voted_for().map(position_of),
            disk_log: stamps(&disk),
            waits: !host.waiting.is_empty(),
            marks: std::array::from_fn(|way| written(way).finish()),
            steps: RwLock::default(),
            host,
        };
        let mut nodes = self.nodes.write().expect("no thread panics");
        nodes.entry(identity.0).or_insert_with(|| Box::leak(Box::new(node)))
    }

    fn letter(&self, from: usize, to: usize, message: Message) -> &'static Letter {
        let written = |from: usize, to: usize| {
            let mut bytes = vec![from as u8, to as u8];
            message.encode(&mut bytes);
            bytes
        };
        let identity = written(from, to);
        if let Some(known) = self.letters.read().expect("no thread panics").get(&identity) {
            return known;
        }
        let mark = |way| {
            let mut out = Writer::default();
            out.write(&written(place(way, from), place(way, to)));
            out.finish()
        };
        let marks = std::array::from_fn(mark);
        let mut letters = self.letters.write().expect("no thread panics");
        letters.entry(identity).or_insert_with(|| {
            let number = self.letters_count.fetch_add(1, Ordering::Relaxed);
            let term = message.term().0 as u8;
            Box::leak(Box::new(Letter { number, from, to, message, term, marks }))
        })
    }
}

/// Writes all that decides what a node will do.
///
/// What is durable stands there as the replica that a restart would make of it: records are
/// replayed one after the other, so nothing else of them can ever matter.
fn fingerprint(host: &Host, disk: &Raft, way: usize, out: &mut Writer) {
    let Host { raft, waiting, held, votes, .. } = host;
    let name = |node: NodeId| name(way, node);
    raft.fingerprint(&name, out);
    disk.fingerprint(&name, out);
    votes.map(|vote| vote.map(name)).hash(out);
    waiting.len().hash(out);
    for (_, record) in waiting {
        let mut bytes = Vec::new();
        match record {
            Record::Vote { term, voted_for } => {
                Record::Vote { term: *term, voted_for: voted_for.map(name) }.encode(&mut bytes);
            }
            Record::Append { .. } | Record::Snapshot { .. } => record.encode(&mut bytes),
        }
        bytes.hash(out);
    }
    // What is held for one record is let go together, in no order.
    let durable = host.durable.last().map_or(0, |(token, _)| token.0);
    let held = held.iter().map(|(Token(token), to, message)| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        (token - durable, place(way, *to), bytes)
    });
    let mut held: Vec<_> = held.collect();
    held.sort_unstable();
    held.hash(out);
}

fn stamps(raft: &Raft) -> Vec<Stamp> {
    let stamp = |entry: &Entry| match &entry.payload {
        Payload::NoOp => (entry.term.0 as u8, 0),
        Payload::Command(command) => (entry.term.0 as u8, command[0]),
        Payload::Stripped | Payload::Membership(_) => {
            unreachable!("nobody changes the membership here")
        }
    };
    raft.state().log().from(Index(1)).iter().map(stamp).collect()
}

const _: () = assert!(NODES == 3, "the ways to rename nodes are written down for three");
