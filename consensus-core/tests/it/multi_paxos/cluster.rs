//! Nodes that host the roles of Multi-Paxos together, moved one event at a time.
//!
//! Messages between nodes wait on directed links, and records before disks, until a test moves
//! them; what roles of one node say to each other is part of the step. Every message and record
//! passes through its encoding. After every step the protocol's invariants are checked, that all
//! replicas decide the same, and that nobody is answered twice: until a script forges a message.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    Change, Decided, Effect, Effects, Index, Input, NodeId, Process, Read, ReadLevel, Submission,
    Ticket, Token,
    client::Admin,
    ensemble::Addressed,
    multi_paxos::{
        Control, Message,
        invariants::{Observer, Violation},
    },
    replica::{Replica, Reply},
    snapshot::{Order, Report},
};

use super::{
    node::{Node, Nodes, Options},
    trace,
};
use crate::{bug, kv, links::Links, trace::node as known};

type Parcel = Addressed<Message>;

/// Nodes, their disks, and the links between them.
#[derive(Debug)]
pub(super) struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    links: Links<Parcel>,
    observer: Observer,
    /// Whether nothing was forged, so that invariants hold.
    is_honest: bool,
    /// What was decided, and what it answered on the first replica that applied it.
    decided: Vec<(Option<Bytes>, Option<Reply>)>,
    tickets: u64,
    trace: Vec<String>,
}

impl Cluster {
    /// Starts a cluster whose disks are empty.
    pub(super) fn new(options: &Options) -> Self {
        let nodes: BTreeMap<_, _> = options.ids().map(|id| (id, Node::new(id, options))).collect();
        let mut observer = Observer::default();
        nodes.values().for_each(|node| holds(observer.recovered(&node.process)));
        Self {
            nodes,
            links: Links::default(),
            observer,
            is_honest: true,
            decided: Vec::new(),
            tickets: 0,
            trace: Vec::new(),
        }
    }

    /// Returns the nodes in order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// Returns a node.
    pub(super) fn node(&self, node: NodeId) -> &Node {
        &self.nodes[&node]
    }

    fn node_mut(&mut self, node: NodeId) -> &mut Node {
        self.nodes.get_mut(&node).expect("the test names a node of the cluster")
    }

    /// Takes the lines that were written since the last call.
    pub(super) fn take_trace(&mut self) -> Vec<String> {
        mem::take(&mut self.trace)
    }

    fn note(&mut self, line: String) {
        self.trace.push(line);
    }

    fn judge(&mut self, look: impl FnOnce(&mut Observer, &Nodes) -> Result<(), Violation>) {
        if self.is_honest {
            holds(look(&mut self.observer, &self.nodes));
        }
    }

    // Inputs.

    /// Lets time pass on one node, and lets it look at the clock.
    pub(super) fn tick(&mut self, node: NodeId, passed: Duration) {
        self.pause(node, passed);
        if self.node(node).up {
            self.step(node, Input::Tick);
        }
    }

    /// Lets time pass on a node that does not look at the clock.
    pub(super) fn pause(&mut self, node: NodeId, passed: Duration) {
        self.node_mut(node).clock += passed;
    }

    /// Submits an envelope.
    pub(super) fn submit(&mut self, node: NodeId, command: &kv::Command) {
        let ticket = self.ticket(node, None);
        let key = ticket.0.to_string();
        let command = kv::keyed(&key, consensus_core::WallTime(0), command);
        self.step(node, Input::Submit(vec![Submission { ticket, command }]));
    }

    /// Submits a query.
    pub(super) fn read(&mut self, node: NodeId, query: Bytes, level: ReadLevel) {
        let floor = match level {
            ReadLevel::Linearizable | ReadLevel::Lease => Index(self.decided.len() as u64),
            // What a stale read may see depends on clocks, which scripts show.
            ReadLevel::Stale { .. } => Index::ZERO,
            ReadLevel::After { index } => index,
        };
        let ticket = self.ticket(node, Some((floor, query)));
        self.step(node, Input::Control(Control::Read(vec![Read { ticket, level }])));
    }

    /// Tells a node that its process is about to end.
    pub(super) fn resign(&mut self, node: NodeId) {
        let ticket = self.ticket(node, None);
        self.control(node, Control::Resign(ticket));
    }

    /// Asks a node to hand over the lead.
    pub(super) fn transfer(&mut self, node: NodeId, to: Option<NodeId>) {
        let ticket = self.ticket(node, None);
        self.control(node, Control::Admin(ticket, Admin::Transfer { to }));
    }

    /// Asks a node to change who takes part.
    pub(super) fn change(&mut self, node: NodeId, mut steps: Vec<Change>) {
        let ticket = self.ticket(node, None);
        let change = if steps.len() == 1 { steps.remove(0) } else { Change::All(steps) };
        self.control(node, Control::Admin(ticket, Admin::Change(change)));
    }

    /// Tells a node how its host stands.
    pub(super) fn control(&mut self, node: NodeId, control: Control) {
        self.step(node, Input::Control(control));
    }

    /// Writes the oldest snapshot that a node is to take, if there is one.
    pub(super) fn save(&mut self, node: NodeId) -> bool {
        let Some(saved) = self.node_mut(node).shelf.save() else { return false };
        self.note(format!("{node} saves snapshot {}", saved.id));
        self.step(node, Input::Snapshot(Report::Saved(saved)));
        true
    }

    /// Changes a bit in each snapshot of a node that is down.
    pub(super) fn damage(&mut self, node: NodeId) {
        assert!(!self.node(node).up, "{node} runs");
        self.node_mut(node).shelf.damage();
    }

    fn ticket(&mut self, node: NodeId, read: Option<(Index, Bytes)>) -> Ticket {
        assert!(self.node(node).up, "{node} is down and takes nothing");
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.node_mut(node).open.insert(ticket, read);
        ticket
    }

    // The network.

    /// Returns the links, with what is on its way over them.
    pub(super) fn links(&self) -> &Links<Parcel> {
        &self.links
    }

    /// Returns the links, to lose, repeat or cut.
    pub(super) fn links_mut(&mut self) -> &mut Links<Parcel> {
        &mut self.links
    }

    /// Delivers the message at position `at` of a link.
    pub(super) fn deliver(&mut self, from: NodeId, to: NodeId, at: usize) {
        let parcel = self.links.take(from, to, at);
        if !self.node(to).up {
            self.note(format!("{to} is down: lost {}", trace::message(&parcel)));
            return;
        }
        self.receive(from, to, parcel);
    }

    /// Makes a node receive a message that nobody sent. Nothing need hold from then on.
    pub(super) fn forge(&mut self, from: NodeId, to: NodeId, parcel: Parcel) {
        self.is_honest = false;
        self.receive(from, to, parcel);
    }

    fn receive(&mut self, from: NodeId, to: NodeId, parcel: Parcel) {
        self.note(format!("{to} <- {from} {}", trace::message(&parcel)));
        self.step(to, Input::Receive { from, message: parcel });
    }

    fn put(&mut self, from: NodeId, to: NodeId, parcel: &Parcel) {
        self.judge(|observer, _| observer.sent(from, &parcel.message));
        let line = trace::message(parcel);
        let arrow = if self.links.put(from, to, parcel) { "->" } else { "-x" };
        self.note(format!("{from} {arrow} {to} {line}"));
    }

    // Disks, crashes and restarts.

    /// Makes the oldest `count` waiting records of a node durable, sends what waited for them, and
    /// tells the roles. Returns how many there were.
    pub(super) fn persist(&mut self, node: NodeId, count: usize) -> usize {
        let mut written = 0;
        while written < count
            && let Some(token) = self.node_mut(node).disk.write()
        {
            written += 1;
            self.judge(|observer, _| observer.durable(node, token));
            self.note(format!("{node} durable #{}", token.0));
            let free = |held: &mut (Token, NodeId, Parcel)| held.0 == token;
            let free: Vec<_> = self.node_mut(node).held.extract_if(.., free).collect();
            for (_, to, parcel) in free {
                self.put(node, to, &parcel);
            }
        }
        if written > 0 {
            let upto = self.node(node).disk.upto();
            self.step(node, Input::Persisted { upto });
        }
        written
    }

    /// Stops a node; of the records that wait, the oldest `kept` reach the disk all the same.
    pub(super) fn crash(&mut self, node: NodeId, kept: usize) {
        self.note(format!("{node} crashes"));
        self.node_mut(node).crash(kept);
        // What the disk would bring back is what counts while it is down.
        self.check_recovered(node);
    }

    /// Starts a node from what its disk holds.
    pub(super) fn restart(&mut self, node: NodeId) {
        self.node_mut(node).begin_life();
        let line = self.node(node).describe();
        self.note(format!("{node} restarts: {line}"));
        self.check_recovered(node);
        self.find_snapshots(node);
    }

    fn check_recovered(&mut self, node: NodeId) {
        self.judge(|observer, nodes| observer.recovered(&nodes[&node].process));
    }

    /// Restores what the log of a node rests on, and tells it of the snapshots that it has.
    fn find_snapshots(&mut self, node: NodeId) {
        let cut = self.node(node).cut();
        let covered = cut.as_ref().map_or(Index::ZERO, |cut| cut.index);
        let whole = self.node_mut(node).shelf.open();
        if let Some(cut) = cut {
            let mine = whole.iter().find(|saved| saved.cut == cut).map(|saved| saved.id);
            let host = self.node_mut(node);
            match mine.map(|id| host.shelf.restore(id)) {
                Some(replica) => host.replica = replica,
                None => {
                    self.note(format!("{node} has lost snapshot {}", cut.index));
                    self.step(node, Input::Snapshot(Report::Lost));
                }
            }
        }
        for saved in whole.into_iter().filter(|saved| saved.id.index >= covered) {
            self.note(format!("{node} finds snapshot {}", saved.id));
            self.step(node, Input::Snapshot(Report::Saved(saved)));
        }
    }

    // Steps.

    fn step(&mut self, id: NodeId, input: Input<super::MultiPaxos>) {
        assert!(self.node(id).up, "{id} is down and steps no more");
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let before = self.node(id).office();
            let mut out = Effects::default();
            let node = self.node_mut(id);
            node.process.step(node.now(), input, &mut out);
            let after = self.node(id).office();
            if before != after {
                self.note(format!("{id} {before} becomes {after}"));
            }
            self.judge(|observer, nodes| observer.observe(&nodes[&id].process, out.as_slice()));
            out.drain().for_each(|effect| self.carry_out(id, effect));
            inputs.extend(self.node_mut(id).shelf.reports.drain(..).map(Input::Snapshot));
        }
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect<super::MultiPaxos>) {
        match effect {
            Effect::Persist { token, record } => {
                self.note(format!("{id} persists #{} {}", token.0, trace::record(&record)));
                self.node_mut(id).disk.push(token, &record);
            }
            Effect::Send { to, message, after } => {
                assert_eq!(to.seat, message.seat, "it goes where it is meant to");
                let wait = after.filter(|token| *token > self.node(id).disk.upto());
                let Some(token) = wait else { return self.put(id, to.node, &message) };
                let line = trace::message(&message);
                self.note(format!("{id} .. {} {line} after #{}", to.node, token.0));
                self.node_mut(id).held.push((token, to.node, message));
            }
            Effect::Apply(decided) => decided.iter().for_each(|entry| self.apply(id, entry)),
            Effect::ReadReady { ticket, at } => {
                let read = self.node_mut(id).open.get(&ticket).cloned().flatten();
                let (floor, query) = read.expect("a read is ready once, if it was submitted");
                assert!(!self.is_honest || at >= floor, "{id} reads at {at}, not at {floor}");
                self.note(format!("{id} may answer t{} at {at}", ticket.0));
                self.node_mut(id).ready.push((at, ticket, query));
                self.answer_reads(id);
            }
            Effect::Answer { ticket, error } => {
                self.close(id, ticket);
                let why = crate::trace::refusal(&error);
                self.note(format!("{id} refuses t{}: {why}", ticket.0));
            }
            Effect::Done { ticket } => {
                self.close(id, ticket);
                self.note(format!("{id} has done t{}", ticket.0));
            }
            Effect::Route { leader } => self.note(format!("{id} routes to {}", known(leader))),
            Effect::Compact { before } => {
                self.note(format!("{id} compacts before #{}", before.0));
                self.node_mut(id).disk.compact(before);
            }
            Effect::Snapshot(order) => self.carry_out_order(id, order),
        }
    }

    fn carry_out_order(&mut self, id: NodeId, order: Order) {
        match order {
            Order::Take(cut) => {
                self.note(format!("{id} takes snapshot {}", cut.index));
                let node = self.node_mut(id);
                node.shelf.taking.push_back((cut, node.replica.clone()));
            }
            Order::Decline => self.note(format!("{id} takes no snapshot")),
            Order::Restore(snapshot) => {
                self.note(format!("{id} restores snapshot {snapshot}"));
                let node = self.node_mut(id);
                node.replica = node.shelf.restore(snapshot);
                self.answer_reads(id);
            }
            Order::Fetch { .. } | Order::Store { .. } | Order::Prune { .. } => {
                self.node_mut(id).shelf.carry_out(order);
            }
        }
    }

    fn apply(&mut self, id: NodeId, decided: &Decided) {
        let reply = self.node_mut(id).replica.apply(decided);
        let index = decided.index.0 as usize;
        if self.is_honest {
            if index > self.decided.len() {
                self.decided.push((decided.command.clone(), reply.clone()));
            }
            let (command, answer) = &self.decided[index - 1];
            assert_eq!(command, &decided.command, "{id} applies another command at {index}");
            assert_eq!(answer, &reply, "{id} answers otherwise at {index}");
        }
        let what = decided.command.as_ref().map_or_else(|| "noop".into(), kv::describe);
        self.note(format!("{id} applies {index} {what}"));
        if let (Some(ticket), Some(reply)) = (decided.ticket, reply) {
            self.close(id, ticket);
            self.note(format!("{id} answers t{}: {}", ticket.0, crate::trace::reply(&reply)));
        }
        self.answer_reads(id);
    }

    fn answer_reads(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let applied = node.replica.applied();
        let due: Vec<_> = node.ready.extract_if(.., |(at, ..)| *at <= applied).collect();
        for (_, ticket, query) in due {
            self.close(id, ticket);
            let answer = self.node(id).replica.query(&query);
            self.note(format!("{id} answers t{}: {}", ticket.0, crate::trace::answer(&answer)));
        }
    }

    fn close(&mut self, id: NodeId, ticket: Ticket) {
        let open = self.node_mut(id).open.remove(&ticket);
        assert!(open.is_some(), "t{} was asked of {id} and is answered once", ticket.0);
    }
}

/// Makes a replica without state.
pub(super) fn empty(group: consensus_core::GroupId) -> Replica<kv::Kv> {
    bug::replica(Replica::new(group))
}

fn holds(judged: Result<(), Violation>) {
    if let Err(violation) = judged {
        panic!("{violation}");
    }
}
