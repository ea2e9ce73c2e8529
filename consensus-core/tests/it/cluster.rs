//! A cluster of Raft replicas under virtual time, moved one event at a time.
//!
//! Messages wait on directed links and records before disks until a test moves them. Every message
//! and record passes through its encoding. After every step the protocol's invariants are checked,
//! and what only a whole cluster can tell:
//! * no message leaves before what it promises is durable, and nobody's vote is given twice in a
//!   term;
//! * all replicas decide the same and answer the same;
//! * a linearizable read sees everything that was committed anywhere before it was submitted;
//! * nothing is answered twice.

use std::{collections::BTreeMap, mem, time::Duration};

use bytes::Bytes;
use consensus_core::{
    Change, Decided, Effect, Effects, Index, Input, NodeId, Process, Read, ReadLevel, Submission,
    Ticket, Token,
    raft::{
        Control, Message, Raft, Record, Role,
        invariants::{Observer, Violation},
    },
    replica::{Replica, Reply},
    snapshot::{Order, Report},
};

use crate::{
    bug,
    disk::Disk,
    kv,
    links::Links,
    node::{Node, Options},
    promises::Promises,
    trace,
};

/// Replicas, their disks, and the links between them.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    links: Links<Message>,
    observer: Observer,
    promises: Promises,
    /// What was decided, and what it answered on the first replica that applied it.
    decided: Vec<(Option<Bytes>, Option<Reply>)>,
    tickets: u64,
    trace: Vec<String>,
}

impl Cluster {
    /// Starts a cluster whose disks are empty.
    pub(crate) fn new(options: &Options) -> Self {
        let nodes: BTreeMap<_, _> = options.ids().map(|id| (id, Node::new(id, options))).collect();
        let mut observer = Observer::default();
        nodes.values().for_each(|node| holds(observer.recovered(&node.raft)));
        Self {
            nodes,
            links: Links::default(),
            observer,
            promises: Promises::default(),
            decided: Vec::new(),
            tickets: 0,
            trace: Vec::new(),
        }
    }

    /// Returns the nodes in order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// Returns a node.
    pub(crate) fn node(&self, node: NodeId) -> &Node {
        &self.nodes[&node]
    }

    fn node_mut(&mut self, node: NodeId) -> &mut Node {
        self.nodes.get_mut(&node).expect("the test names a node of the cluster")
    }

    /// Takes the lines that were written since the last call.
    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        mem::take(&mut self.trace)
    }

    /// Returns the ticket that is given out next.
    pub(crate) fn next_ticket(&self) -> u64 {
        self.tickets + 1
    }

    fn note(&mut self, line: String) {
        self.trace.push(line);
    }

    // Inputs.

    /// Lets time pass on one node, and lets it look at the clock.
    pub(crate) fn tick(&mut self, node: NodeId, passed: Duration) {
        self.node_mut(node).clock += passed;
        if self.node(node).up {
            self.step(node, Input::Tick);
        }
    }

    /// Lets time pass on a node that does not look at the clock.
    pub(crate) fn pause(&mut self, node: NodeId, passed: Duration) {
        self.node_mut(node).clock += passed;
    }

    /// Submits an envelope.
    pub(crate) fn submit(&mut self, node: NodeId, envelope: Bytes) -> Ticket {
        let ticket = self.ticket(node, None);
        let submission = Submission { ticket, command: envelope };
        self.step(node, Input::Submit(vec![submission]));
        ticket
    }

    /// Submits a query.
    pub(crate) fn read(&mut self, node: NodeId, query: Bytes, level: ReadLevel) -> Ticket {
        let floor = match level {
            ReadLevel::Linearizable | ReadLevel::Lease => Index(self.decided.len() as u64),
            // What a stale read may see depends on clocks, which scripts show.
            ReadLevel::Stale { .. } => Index::ZERO,
            ReadLevel::After { index } => index,
        };
        let ticket = self.ticket(node, Some((floor, query)));
        self.step(node, Input::Control(Control::Read(vec![Read { ticket, level }])));
        ticket
    }

    /// Tells a replica that its process is about to end.
    pub(crate) fn resign(&mut self, node: NodeId) -> Ticket {
        let ticket = self.ticket(node, None);
        self.step(node, Input::Control(Control::Resign { ticket }));
        ticket
    }

    /// Asks a replica to hand over the lead.
    pub(crate) fn transfer(&mut self, node: NodeId, to: Option<NodeId>) -> Ticket {
        let ticket = self.ticket(node, None);
        self.step(node, Input::Control(Control::Transfer { ticket, to }));
        ticket
    }

    /// Asks a replica to change who takes part.
    pub(crate) fn change(&mut self, node: NodeId, mut steps: Vec<Change>) -> Ticket {
        let ticket = self.ticket(node, None);
        let change = if steps.len() == 1 { steps.remove(0) } else { Change::All(steps) };
        self.step(node, Input::Control(Control::Change { ticket, change }));
        ticket
    }

    /// Tells a replica that its disk is full, or has room again.
    pub(crate) fn storage_full(&mut self, node: NodeId, full: bool) {
        self.control(node, Control::StorageFull(full));
    }

    /// Tells a replica how its node stands.
    pub(crate) fn control(&mut self, node: NodeId, control: Control) {
        self.step(node, Input::Control(control));
    }

    /// Tells a replica of records that are durable, late.
    pub(crate) fn complete(&mut self, node: NodeId, upto: Token) {
        assert!(upto <= self.node(node).disk.upto(), "a disk reports what it has");
        self.step(node, Input::Persisted { upto });
    }

    /// Asks a replica for a snapshot of what is committed.
    pub(crate) fn take_snapshot(&mut self, node: NodeId) {
        self.step(node, Input::Control(Control::TakeSnapshot));
    }

    /// Writes the oldest snapshot that a node is to take, if there is one.
    pub(crate) fn save(&mut self, node: NodeId) -> bool {
        let Some(saved) = self.node_mut(node).shelf.save() else { return false };
        self.note(format!("{node} saves snapshot {}", saved.id));
        self.step(node, Input::Snapshot(Report::Saved(saved)));
        true
    }

    /// Changes a bit in each snapshot of a node that is down.
    pub(crate) fn damage(&mut self, node: NodeId) {
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
    pub(crate) fn links(&self) -> &Links<Message> {
        &self.links
    }

    /// Returns the links, to lose, repeat or cut.
    pub(crate) fn links_mut(&mut self) -> &mut Links<Message> {
        &mut self.links
    }

    /// Delivers the message at position `at` of a link.
    pub(crate) fn deliver(&mut self, from: NodeId, to: NodeId, at: usize) {
        let message = self.links.take(from, to, at);
        if !self.node(to).up {
            self.note(format!("{to} is down: lost {}", trace::message(&message)));
            return;
        }
        self.receive(from, to, message);
    }

    /// Makes a node receive a message that nobody sent.
    pub(crate) fn receive(&mut self, from: NodeId, to: NodeId, message: Message) {
        self.note(format!("{to} <- {from} {}", trace::message(&message)));
        self.step(to, Input::Receive { from, message });
    }

    fn put(&mut self, from: NodeId, to: NodeId, message: &Message) {
        holds(self.observer.sent(from, to, message));
        self.promises.check(from, to, message, self.nodes[&from].disk.view());
        let line = trace::message(message);
        let arrow = if self.links.put(from, to, message) { "->" } else { "-x" };
        self.note(format!("{from} {arrow} {to} {line}"));
    }

    // Disks, crashes and restarts.

    /// Makes the oldest `count` waiting records of a node durable, sends what waited for them, and
    /// tells the replica. Returns how many there were.
    pub(crate) fn persist(&mut self, node: NodeId, count: usize) -> usize {
        let mut written = 0;
        while written < count
            && let Some(token) = self.node_mut(node).disk.write()
        {
            written += 1;
            holds(self.observer.durable(node, token));
            self.note(format!("{node} durable #{}", token.0));
            let free = |held: &mut (Token, NodeId, Message)| held.0 == token;
            let free: Vec<_> = self.node_mut(node).held.extract_if(.., free).collect();
            for (_, to, message) in free {
                self.put(node, to, &message);
            }
        }
        if written > 0 {
            let upto = self.node(node).disk.upto();
            self.step(node, Input::Persisted { upto });
        }
        written
    }

    /// Stops a node; of the records that wait, the oldest `kept` reach the disk all the same.
    pub(crate) fn crash(&mut self, node: NodeId, kept: usize) {
        self.note(format!("{node} crashes"));
        let group = self.node(node).config.group();
        let host = self.node_mut(node);
        (0..kept).for_each(|_| {
            host.disk.write();
        });
        host.disk.crash();
        host.held.clear();
        host.open.clear();
        host.ready.clear();
        host.replica = bug::replica(Replica::new(group));
        host.shelf.crash();
        host.up = false;
        host.raft = host.recovered();
        self.check_recovered(node);
    }

    /// Starts a node from what its disk holds.
    pub(crate) fn restart(&mut self, node: NodeId) {
        let host = self.node_mut(node);
        assert!(!host.up, "{node} runs");
        host.clock = Duration::ZERO;
        host.begin_life();
        host.raft = host.recovered();
        host.up = true;
        let line = format!("{node} restarts as {}", self.describe(node));
        self.note(line);
        self.check_recovered(node);
        self.find_snapshots(node);
    }

    /// Restores what the log of a node rests on, and tells it of the snapshots that it has.
    fn find_snapshots(&mut self, node: NodeId) {
        let host = self.node_mut(node);
        let state = host.raft.state();
        let cut = state.snapshot().filter(|_| !state.is_witness()).cloned();
        let covered = cut.as_ref().map_or(Index::ZERO, |cut| cut.index);
        let whole = host.shelf.open();
        if let Some(cut) = cut {
            let mine = whole.iter().find(|saved| saved.cut == cut);
            match mine.map(|saved| host.shelf.restore(saved.id)) {
                Some(replica) => host.replica = replica,
                None => {
                    self.note(format!("{node} has lost snapshot {}@{}", cut.index, cut.term));
                    self.step(node, Input::Snapshot(Report::Lost));
                }
            }
        }
        for saved in whole.into_iter().filter(|saved| saved.id.index >= covered) {
            self.note(format!("{node} finds snapshot {}", saved.id));
            self.step(node, Input::Snapshot(Report::Saved(saved)));
        }
    }

    /// Gives a node that is down these records on its disk in place of what it has.
    pub(crate) fn install(&mut self, node: NodeId, records: &[Record]) {
        self.observer.forget(node);
        let host = self.node_mut(node);
        assert!(!host.up, "{node} runs");
        host.disk = Disk::default();
        for (token, record) in (1..).map(Token).zip(records) {
            host.disk.push(token, record);
            host.disk.write();
        }
    }

    /// Tells a node's role and term.
    pub(crate) fn describe(&self, node: NodeId) -> String {
        let node = self.node(node);
        let role = match node.raft.role() {
            Role::Follower(_) => "follower",
            Role::PreCandidate(_) => "precandidate",
            Role::Candidate(_) => "candidate",
            Role::Leader(_) => "leader",
        };
        format!("{role}@{}", node.raft.state().term().0)
    }

    // Steps.

    fn step(&mut self, id: NodeId, input: Input<Raft>) {
        assert!(self.node(id).up, "{id} is down and steps no more");
        let before = self.describe(id);
        let mut out = Effects::default();
        let node = self.node_mut(id);
        node.raft.step(node.now(), input, &mut out);
        let after = self.describe(id);
        if before != after {
            self.note(format!("{id} {before} becomes {after}"));
        }
        let observed = self.observer.observe(&self.nodes[&id].raft, out.as_slice());
        holds(observed);
        for effect in out.drain() {
            self.carry_out(id, effect);
        }
        self.node(id).check_durable();
        while let Some(report) = self.node_mut(id).shelf.reports.pop_front() {
            self.step(id, Input::Snapshot(report));
        }
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect<Raft>) {
        match effect {
            Effect::Persist { token, record } => {
                self.note(format!("{id} persists #{} {}", token.0, trace::record(&record)));
                self.node_mut(id).disk.push(token, &record);
            }
            Effect::Send { to, message, after } => {
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
                assert!(at >= floor, "{id} reads at {at} what must be read at {floor} or later");
                self.note(format!("{id} may answer t{} at {at}", ticket.0));
                self.node_mut(id).ready.push((at, ticket, query));
                self.answer_reads(id);
            }
            Effect::Answer { ticket, error } => {
                self.close(id, ticket);
                self.note(format!("{id} refuses t{}: {}", ticket.0, trace::refusal(&error)));
            }
            Effect::Done { ticket } => {
                self.close(id, ticket);
                self.note(format!("{id} has done t{}", ticket.0));
            }
            Effect::Route { leader } => {
                self.note(format!("{id} routes to {}", trace::node(leader)));
            }
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
                self.note(format!("{id} takes snapshot {}@{}", cut.index, cut.term));
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
        if index > self.decided.len() {
            self.decided.push((decided.command.clone(), reply.clone()));
        }
        let (command, answer) = &self.decided[index - 1];
        assert_eq!(command, &decided.command, "{id} applies another command at {index}");
        assert_eq!(answer, &reply, "{id} answers otherwise at {index}");

        let what = decided.command.as_ref().map_or_else(|| "noop".into(), kv::describe);
        let said = reply.as_ref().map_or_else(String::new, |it| format!(": {}", trace::reply(it)));
        self.note(format!("{id} applies {index} {what}{said}"));
        if let (Some(ticket), Some(reply)) = (decided.ticket, reply) {
            self.close(id, ticket);
            self.note(format!("{id} answers t{}: {}", ticket.0, trace::reply(&reply)));
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
            self.note(format!("{id} answers t{}: {}", ticket.0, trace::answer(&answer)));
        }
    }

    fn close(&mut self, id: NodeId, ticket: Ticket) {
        let open = self.node_mut(id).open.remove(&ticket);
        assert!(open.is_some(), "t{} was asked of {id} and is answered once", ticket.0);
    }

    // What must hold.

    fn check_recovered(&mut self, node: NodeId) {
        holds(self.observer.recovered(&self.nodes[&node].raft));
    }
}

fn holds(judged: Result<(), Violation>) {
    if let Err(violation) = judged {
        panic!("{violation}");
    }
}
