//! Nodes with a proposer, an acceptor and a learner each, moved one event at a time.
//!
//! Messages wait on directed links, those to another role of the same node too, and records before
//! the disk of each role, until a test moves them. Every message and record passes through its
//! encoding. After every step the protocol's invariants are checked, and that nobody is answered
//! twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    marker::PhantomData,
    mem,
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    Address, Effect, Effects, Index, Input, Members, NodeId, Seat, Submission, Ticket, Time, Token,
    codec::{Decode, DecodeError, Encode, take_u8},
    paxos::CHOSEN,
    sim::{Broken, Deciding, DecisionJudge},
};

use super::trace;
use crate::{
    disk::{Disk, Reading},
    links::Links,
    node::id,
};

/// A protocol by which proposers, acceptors and learners choose one value, in the seats that Basic
/// Paxos has.
pub(crate) trait Tested:
    Deciding<
        Message: Encode + Decode + PartialEq,
        Record: Encode + Decode + PartialEq,
        Config = (Self::Settings, Seat),
    >
{
    /// What its roles are built from.
    type Settings: Clone + Debug;

    /// Makes the configuration of a node.
    fn settings(node: NodeId, acceptors: &Members, options: &Options) -> Self::Settings;

    /// Writes a message down.
    fn message(message: &Self::Message) -> String;

    /// Writes a record down.
    fn record(record: &Self::Record) -> String;

    /// Tells what a role holds.
    fn told(&self) -> String;
}

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) acceptors: u64,
    /// Nodes that propose and learn, and accept nothing.
    pub(crate) learners: u64,
    /// How many make each phase; majorities if nothing is said.
    pub(crate) quorums: Option<(usize, usize)>,
    /// How many make a fast quorum, where there are such; the fewest that will do if nothing is said.
    pub(crate) fast: Option<usize>,
    pub(crate) retry: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            acceptors: 3,
            learners: 0,
            quorums: None,
            fast: None,
            retry: Duration::from_millis(100),
        }
    }
}

impl Options {
    /// Returns all nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + Clone + use<> {
        (1..=self.acceptors + self.learners).map(id)
    }

    /// Returns those that learn.
    pub(crate) fn learners(&self) -> Members {
        Members::new(self.nodes()).expect("there are some")
    }
}

/// A message on its way from one seat to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parcel<M> {
    from: Seat,
    to: Seat,
    message: M,
}

impl<M: Encode> Encode for Parcel<M> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.from.0, self.to.0]);
        self.message.encode(out);
    }
}

impl<M: Decode> Decode for Parcel<M> {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let (from, to) = (Seat(take_u8(input)?), Seat(take_u8(input)?));
        Ok(Self { from, to, message: M::decode(input)? })
    }
}

/// Writes a message down as it goes from one node to another: `how` is the arrow.
pub(crate) fn line<P: Tested>(
    parcel: &Parcel<P::Message>,
    from: NodeId,
    how: &str,
    to: NodeId,
) -> String {
    let (from, to) = (trace::spot(from, parcel.from), trace::spot(to, parcel.to));
    format!("{from} {how} {to} {}", P::message(&parcel.message))
}

/// The observer reads the records.
#[derive(Clone, Debug)]
pub(crate) struct Unread<R>(PhantomData<R>);

impl<R> Default for Unread<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R: Encode + Decode + PartialEq + Debug> Reading for Unread<R> {
    type Record = R;

    fn note(&mut self, _: &R) {}
}

/// A role and its disk.
#[derive(Debug)]
pub(crate) struct Side<P: Tested> {
    pub(crate) role: P,
    disk: Disk<Unread<P::Record>>,
    /// Messages that wait for a record to be durable.
    held: Vec<(Token, Address, P::Message)>,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node<P: Tested> {
    config: P::Settings,
    pub(crate) sides: BTreeMap<Seat, Side<P>>,
    pub(crate) up: bool,
    /// Time since the node started; nodes' clocks differ.
    clock: Duration,
    /// What was chosen, as this life knows.
    pub(crate) applied: Option<Bytes>,
    open: BTreeSet<Ticket>,
    /// Callers that wait until that is known.
    ready: Vec<Ticket>,
}

impl<P: Tested> Node<P> {
    fn now(&self) -> Time {
        Time::after_start(self.clock)
    }
}

/// Nodes, their disks, and the links between them.
#[derive(Debug)]
pub(crate) struct Cluster<P: Tested> {
    nodes: BTreeMap<NodeId, Node<P>>,
    links: Links<Parcel<P::Message>>,
    judge: P::Judge,
    tickets: u64,
    trace: Vec<String>,
}

impl<P: Tested> Cluster<P> {
    /// Starts a cluster whose disks are empty.
    pub(crate) fn new(options: &Options) -> Self {
        let acceptors = Members::new((1..=options.acceptors).map(id)).expect("there are some");
        let mut nodes = BTreeMap::new();
        for node in options.nodes() {
            let config = P::settings(node, &acceptors, options);
            let sides = P::SEATS.iter().map(|seat| {
                let role = P::recover((config.clone(), *seat), Time::ZERO, []);
                let role = role.expect("nothing is wrong with nothing");
                (*seat, Side { role, disk: Disk::default(), held: Vec::new() })
            });
            let node_and_host = Node {
                sides: sides.collect(),
                config,
                up: true,
                clock: Duration::ZERO,
                applied: None,
                open: BTreeSet::new(),
                ready: Vec::new(),
            };
            nodes.insert(node, node_and_host);
        }
        let mut judge = P::Judge::default();
        for side in nodes.values().flat_map(|node: &Node<P>| node.sides.values()) {
            holds(judge.recovered(&side.role));
        }
        Self { nodes, links: Links::default(), judge, tickets: 0, trace: Vec::new() }
    }

    /// Returns the nodes in order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node<P>)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    fn node_mut(&mut self, node: NodeId) -> &mut Node<P> {
        self.nodes.get_mut(&node).expect("the test names a node of the cluster")
    }

    fn side_mut(&mut self, node: NodeId, seat: Seat) -> &mut Side<P> {
        self.node_mut(node).sides.get_mut(&seat).expect("a node has all seats")
    }

    fn side(&self, node: NodeId, seat: Seat) -> &Side<P> {
        &self.nodes[&node].sides[&seat]
    }

    /// Takes the lines that were written since the last call.
    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        mem::take(&mut self.trace)
    }

    pub(crate) fn note(&mut self, line: String) {
        self.trace.push(line);
    }

    // Inputs.

    /// Lets time pass on one node, and lets its roles look at the clock.
    pub(crate) fn tick(&mut self, node: NodeId, passed: Duration) {
        self.node_mut(node).clock += passed;
        if self.nodes[&node].up {
            P::SEATS.iter().for_each(|seat| self.step(node, *seat, Input::Tick));
        }
    }

    /// Asks a node's proposer for a value.
    pub(crate) fn propose(&mut self, node: NodeId, value: &str) {
        let ticket = self.ticket(node);
        let command = Bytes::copy_from_slice(value.as_bytes());
        let input = Input::Submit(vec![Submission { ticket, command }]);
        self.step(node, P::ASKED, input);
    }

    /// Asks a node's proposer what is chosen.
    pub(crate) fn read(&mut self, node: NodeId) {
        let ticket = self.ticket(node);
        self.step(node, P::ASKED, P::read(ticket));
    }

    fn ticket(&mut self, node: NodeId) -> Ticket {
        assert!(self.nodes[&node].up, "{node} is down and takes nothing");
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.node_mut(node).open.insert(ticket);
        ticket
    }

    // The network.

    /// Returns the links, with what is on its way over them.
    pub(crate) fn links(&self) -> &Links<Parcel<P::Message>> {
        &self.links
    }

    /// Returns the links, to lose, repeat or cut.
    pub(crate) fn links_mut(&mut self) -> &mut Links<Parcel<P::Message>> {
        &mut self.links
    }

    /// Delivers the message at position `at` of a link.
    pub(crate) fn deliver(&mut self, from: NodeId, to: NodeId, at: usize) {
        let parcel = self.links.take(from, to, at);
        if !self.nodes[&to].up {
            self.note(format!("{to} is down: lost {}", P::message(&parcel.message)));
            return;
        }
        let (seat, sender) = (trace::spot(to, parcel.to), trace::spot(from, parcel.from));
        self.note(format!("{seat} <- {sender} {}", P::message(&parcel.message)));
        self.step(to, parcel.to, Input::Receive { from, message: parcel.message });
    }

    fn put(&mut self, from: (NodeId, Seat), to: Address, message: P::Message) {
        holds(self.judge.sent(from.0, &message));
        let parcel = Parcel { from: from.1, to: to.seat, message };
        let arrow = if self.links.put(from.0, to.node, &parcel) { "->" } else { "-x" };
        self.note(line::<P>(&parcel, from.0, arrow, to.node));
    }

    // Disks, crashes and restarts.

    /// Makes the oldest `count` waiting records of a role durable, sends what waited for them, and
    /// tells the role. Returns how many there were.
    pub(crate) fn persist(&mut self, node: NodeId, seat: Seat, count: usize) -> usize {
        let mut written = 0;
        while written < count
            && let Some(token) = self.side_mut(node, seat).disk.write()
        {
            written += 1;
            holds(self.judge.durable(node, seat, token));
            self.note(format!("{} durable #{}", trace::spot(node, seat), token.0));
            let free = |held: &mut (Token, Address, P::Message)| held.0 == token;
            let free: Vec<_> = self.side_mut(node, seat).held.extract_if(.., free).collect();
            for (_, to, message) in free {
                self.put((node, seat), to, message);
            }
        }
        if written > 0 {
            let upto = self.side(node, seat).disk.upto();
            self.step(node, seat, Input::Persisted { upto });
        }
        written
    }

    /// Stops a node: what is not durable is lost.
    pub(crate) fn crash(&mut self, node: NodeId) {
        self.note(format!("{node} crashes"));
        let host = self.node_mut(node);
        (host.up, host.applied) = (false, None);
        host.open.clear();
        host.ready.clear();
        for side in host.sides.values_mut() {
            side.disk.crash();
            side.held.clear();
        }
    }

    /// Starts a node from what its disks hold.
    pub(crate) fn restart(&mut self, node: NodeId) {
        let host = self.node_mut(node);
        assert!(!host.up, "{node} runs");
        (host.up, host.clock) = (true, Duration::ZERO);
        for seat in P::SEATS.iter().copied() {
            let config = (self.nodes[&node].config.clone(), seat);
            let records = self.side(node, seat).disk.records();
            let role = P::recover(config, Time::ZERO, records);
            let role = role.expect("a disk that lost nothing durable recovers");
            holds(self.judge.recovered(&role));
            let line = format!("{} restarts: {}", trace::spot(node, seat), role.told());
            self.note(line);
            self.side_mut(node, seat).role = role;
        }
    }

    // Steps.

    fn step(&mut self, node: NodeId, seat: Seat, input: Input<P>) {
        assert!(self.nodes[&node].up, "{node} is down and steps no more");
        self.judge.asked(node, &input);
        let (now, mut out) = (self.nodes[&node].now(), Effects::default());
        self.side_mut(node, seat).role.step(now, input, &mut out);
        let role = &self.nodes[&node].sides[&seat].role;
        holds(self.judge.stepped(role, out.as_slice()));
        for effect in out.drain() {
            self.carry_out(node, seat, effect);
        }
    }

    fn carry_out(&mut self, node: NodeId, seat: Seat, effect: Effect<P>) {
        let spot = trace::spot(node, seat);
        match effect {
            Effect::Persist { token, record } => {
                self.note(format!("{spot} persists #{} {}", token.0, P::record(&record)));
                self.side_mut(node, seat).disk.push(token, &record);
            }
            Effect::Send { to, message, after } => {
                let wait = after.filter(|token| *token > self.side(node, seat).disk.upto());
                let Some(token) = wait else { return self.put((node, seat), to, message) };
                let parcel = Parcel { from: seat, to: to.seat, message };
                let held = line::<P>(&parcel, node, "..", to.node);
                self.note(format!("{held} after #{}", token.0));
                self.side_mut(node, seat).held.push((token, to, parcel.message));
            }
            Effect::Apply(decided) => {
                for entry in decided {
                    assert_eq!(entry.index, CHOSEN, "a group decides once");
                    let value = entry.command.expect("a value is chosen");
                    self.note(format!("{spot} learns {}", trace::value(&value)));
                    let before = self.node_mut(node).applied.replace(value);
                    assert_eq!(before, None, "a life learns it once");
                }
                let ready = mem::take(&mut self.node_mut(node).ready);
                ready.into_iter().for_each(|ticket| self.answer(node, ticket));
            }
            Effect::ReadReady { ticket, at: Index::ZERO } => {
                self.close(node, ticket);
                self.note(format!("{spot} answers t{}: nothing", ticket.0));
            }
            Effect::ReadReady { ticket, .. } => self.answer(node, ticket),
            Effect::Answer { ticket, error } => {
                self.close(node, ticket);
                self.note(format!("{spot} refuses t{}: {error}", ticket.0));
            }
            Effect::Compact { before } => {
                self.note(format!("{spot} compacts before #{}", before.0));
                self.side_mut(node, seat).disk.compact(before);
            }
            Effect::Done { .. } | Effect::Route { .. } | Effect::Snapshot(_) => {
                panic!("no role of Paxos asks for that")
            }
        }
    }

    /// Answers a caller with what is chosen, as soon as the node knows.
    fn answer(&mut self, node: NodeId, ticket: Ticket) {
        let Some(value) = self.nodes[&node].applied.clone() else {
            return self.node_mut(node).ready.push(ticket);
        };
        self.close(node, ticket);
        self.note(format!("{node} answers t{}: {}", ticket.0, trace::value(&value)));
    }

    fn close(&mut self, node: NodeId, ticket: Ticket) {
        let open = self.node_mut(node).open.remove(&ticket);
        assert!(open, "t{} was asked of {node} and is answered once", ticket.0);
    }
}

fn holds(judged: Result<(), Broken>) {
    if let Err(broken) = judged {
        panic!("{}", broken.what);
    }
}
