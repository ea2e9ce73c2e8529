//! Golden scripts for Raft: each file in `tests/scripts/raft` shows one property.
//!
//! A script gives commands above `---` and the trace that they must leave below.
//! `UPDATE_GOLDENFILES=1 cargo test` writes the traces anew; the difference is to be read before it
//! is kept. A command in parentheses is silent. A new file is seen when this one is compiled anew.
//!
//! In traces `3@2` is the entry at index 3 of term 2, `Vote@2` a message of term 2, `#4` a record,
//! `t1` a ticket; `->` goes onto a link, `-x` is lost, `..` waits for a record to be durable, `<-`
//! arrives.

use std::{error::Error, fmt::Write, path::Path, time::Duration};

use consensus_core::{
    Change, Index, Members, NodeId, ReadLevel, Time, Token, WallTime,
    raft::{Control, Entry, Message, Payload, Raft, Record, Term},
    role::Seated,
};
use test_each_file::test_each_path;

use crate::{
    cluster::Cluster,
    kv::{self, Command, Query},
    node::Options,
    trace,
    verbs::{Position, Verb},
};

test_each_path! { in "./consensus-core/tests/scripts/raft" as scripts => run }

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

impl goldenscript::Runner for Runner {
    type Command = Verb;

    fn run(&mut self, verb: &Verb, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let mut shown = String::new();
        match verb {
            Verb::Cluster { leader, .. } => {
                self.cluster = Cluster::new(&options(verb));
                leader.iter().for_each(|leader| self.elect(*leader));
            }
            Verb::Given { node, term, vote, log } => {
                let records = records(Term(*term), *vote, log.as_deref())?;
                self.cluster.crash(*node, 0);
                self.cluster.install(*node, &records);
                self.cluster.restart(*node);
            }
            Verb::Timeout(nodes) => self.pass(nodes, ELECTION_TIMEOUT_MAX),
            Verb::Heartbeat(node) => self.cluster.tick(*node, Options::default().heartbeat),
            Verb::Pause { node, passed } => self.cluster.pause(*node, passed.0),
            Verb::Advance(passed) => self.pass(&self.all(), passed.0),
            Verb::Submit { node, command, key } => {
                let key = key.clone().unwrap_or_else(|| self.cluster.next_ticket().to_string());
                self.cluster.submit(*node, kv::keyed(&key, WallTime(0), &parse(command)?));
            }
            Verb::Read { node, key, stale, after, lease } => {
                let level = match (stale, after) {
                    _ if *lease == Some(true) => ReadLevel::Lease,
                    (Some(max_lag), _) => ReadLevel::Stale { max_lag: max_lag.0 },
                    (None, Some(index)) => ReadLevel::After { index: Index(*index) },
                    (None, None) => ReadLevel::Linearizable,
                };
                self.cluster.read(*node, kv::encode(&Query::Get { key: key.clone() }), level);
            }
            Verb::Run { passed, stalled } => self.live(passed.0, *stalled)?,
            Verb::Resign(node) => {
                self.cluster.resign(*node);
            }
            Verb::Transfer { node, to } => {
                self.cluster.transfer(*node, *to);
            }
            Verb::Change { node, steps } => {
                let steps = steps.iter().map(|step| changed(step)).collect::<Result<_, _>>()?;
                self.cluster.change(*node, steps);
            }
            Verb::Persist { node, count } => {
                self.cluster.persist(*node, count.unwrap_or(usize::MAX));
            }
            Verb::Late { node, upto } => self.cluster.complete(*node, Token(*upto)),
            Verb::Deliver { from, to, at, count } => {
                for _ in 0..self.chosen(*from, *to, *at, *count)? {
                    self.cluster.deliver(*from, *to, at.unwrap_or(0));
                }
            }
            Verb::Drop { from, to, at, count } => {
                let count = self.chosen(*from, *to, *at, *count)?;
                shown = self.lose(*from, *to, at.unwrap_or(0), count);
            }
            Verb::Duplicate { from, to, at } => {
                self.cluster.links_mut().duplicate(*from, *to, at.unwrap_or(0));
            }
            Verb::Forge { from, to, term, prev, log, commit } => {
                let (term, Position(prev_index, prev_term)) = (Term(*term), *prev);
                let entries = entries(prev_index, log.as_deref())?;
                let commit = Index(*commit);
                let append = Message::Append { term, prev_index, prev_term, entries, commit };
                self.cluster.receive(*from, *to, append);
            }
            Verb::Partition(nodes) => self.partition(nodes),
            Verb::Cut { from, to } => self.cluster.links_mut().cut(*from, *to),
            Verb::Heal => self.cluster.links_mut().heal(),
            Verb::Crash { node, kept } => self.cluster.crash(*node, kept.unwrap_or(0)),
            Verb::Restart(node) => self.cluster.restart(*node),
            Verb::Snapshot(node) => self.cluster.take_snapshot(*node),
            Verb::Makeroom(node) => self.cluster.control(*node, Control::MakeRoom),
            Verb::Save(node) => {
                self.cluster.save(*node).then_some(()).ok_or("no snapshot is to be taken")?;
            }
            Verb::Damage(node) => self.cluster.damage(*node),
            Verb::Full(node) => self.cluster.storage_full(*node, true),
            Verb::Room(node) => self.cluster.storage_full(*node, false),
            Verb::Behind(node) => self.cluster.control(*node, Control::Behind(true)),
            Verb::Caughtup(node) => self.cluster.control(*node, Control::Behind(false)),
            Verb::Silent { node, peer } => self.cluster.control(*node, Control::Silent(*peer)),
            Verb::Alive { node, peer } => self.cluster.control(*node, Control::Alive(*peer)),
            Verb::Stabilize(nodes) if nodes.is_empty() => self.stabilize(&self.all())?,
            Verb::Stabilize(nodes) => self.stabilize(nodes)?,
            Verb::Status => self.all().iter().for_each(|node| shown += &self.status(*node)),
            Verb::Members => self.all().iter().for_each(|node| shown += &self.members(*node)),
            Verb::Log(nodes) => nodes.iter().for_each(|node| shown += &self.log(*node)),
            Verb::Lease(node) => shown = self.lease(*node),
            Verb::State => self.all().iter().for_each(|node| shown += &self.state(*node)),
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
        nodes, bytes, window, window_bytes, proposals, proposals_bytes, prevote, checkquorum,
        lease, disloyal, rests, priorities, spares, witness, slack, snapshots, tail, chunk, keep, ..
    } = verb else { return plain };
    Options {
        nodes: nodes.unwrap_or(plain.nodes),
        append_bytes_max: bytes.unwrap_or(plain.append_bytes_max),
        append_window: window.unwrap_or(plain.append_window),
        append_window_bytes: window_bytes.unwrap_or(plain.append_window_bytes),
        proposals_max: proposals.unwrap_or(plain.proposals_max),
        proposals_bytes_max: proposals_bytes.unwrap_or(plain.proposals_bytes_max),
        pre_vote: prevote.unwrap_or(plain.pre_vote),
        spares: spares.unwrap_or(plain.spares),
        witness: *witness,
        catch_up_slack: slack.unwrap_or(plain.catch_up_slack),
        check_quorum: checkquorum.or(*lease).unwrap_or(plain.check_quorum),
        lease: lease.unwrap_or(plain.lease),
        disloyal: *disloyal,
        rests: rests.unwrap_or(plain.rests),
        priorities: priorities.iter().flat_map(|list| list.split(' ')).map(priority).collect(),
        snapshot_entries: snapshots.unwrap_or(plain.snapshot_entries),
        tail_entries: tail.unwrap_or(plain.tail_entries),
        chunk_bytes: chunk.unwrap_or(plain.chunk_bytes),
        keep: keep.unwrap_or(plain.keep),
        ..plain
    }
}

fn priority(text: &str) -> u8 {
    text.parse().expect("priorities are written 100 100 200")
}

/// Beyond it every election timer has run out: timeouts are drawn from T to 2T.
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(2);

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
        assert!(self.cluster.node(node).leads(), "an undisturbed candidate is elected");
        self.cluster.take_trace();
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

    fn lose(&mut self, from: NodeId, to: NodeId, at: usize, count: usize) -> String {
        let lost = (0..count).map(|_| {
            let message = self.cluster.links_mut().take(from, to, at);
            format!("{from} -x {to} {}\n", trace::message(&message))
        });
        lost.collect()
    }

    fn partition(&mut self, nodes: &[NodeId]) {
        for other in self.all().into_iter().filter(|node| !nodes.contains(node)) {
            for node in nodes {
                self.cluster.links_mut().cut(*node, other);
                self.cluster.links_mut().cut(other, *node);
            }
        }
    }

    fn live(&mut self, passed: Duration, stalled: Option<NodeId>) -> Result<(), Box<dyn Error>> {
        let (all, step) = (self.all(), Options::default().heartbeat);
        let mut left = passed;
        while !left.is_zero() {
            self.pass(&all, step);
            left = left.saturating_sub(step);
            self.settle(&all, stalled)?;
        }
        Ok(())
    }

    fn stabilize(&mut self, nodes: &[NodeId]) -> Result<(), Box<dyn Error>> {
        self.settle(nodes, None)
    }

    fn settle(&mut self, nodes: &[NodeId], stalled: Option<NodeId>) -> Result<(), Box<dyn Error>> {
        for _ in 0..1_000 {
            let mut moved = 0;
            for node in nodes.iter().filter(|node| Some(**node) != stalled) {
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
        let state = node.raft.state();
        let role = if node.up { self.cluster.describe(id) } else { "down".into() };
        let log = state.log();
        let rest = if node.up && state.is_at_rest() { " at rest" } else { "" };
        let mut snapshot = String::new();
        if let Some(cut) = state.snapshot() {
            let at = trace::position(cut.index, Term(cut.term));
            snapshot = format!(" snapshot={at} first={}", log.base().next());
        }
        if state.is_lost() {
            snapshot += " lost";
        }
        format!(
            "{id} {role}{rest} leader={} voted_for={} last={} stable={} committed={} applied={}{snapshot}\n",
            trace::node(state.leader()),
            trace::node(state.voted_for()),
            trace::position(log.last_index(), log.last_term()),
            state.stable(),
            state.committed(),
            node.replica.applied(),
        )
    }

    fn lease(&self, id: NodeId) -> String {
        let node = self.cluster.node(id);
        let until = Raft::status(node.raft.state(), "").lease_until;
        match until.filter(|until| *until > node.now()) {
            Some(Time::MAX) => format!("{id} holds a lease for ever\n"),
            Some(until) => format!("{id} holds a lease for {:?}\n", until.since(node.now())),
            None => format!("{id} holds no lease\n"),
        }
    }

    fn members(&self, id: NodeId) -> String {
        let state = self.cluster.node(id).raft.state();
        let (latest, committed) = (state.membership(), state.membership_at(state.committed()));
        let known = if latest == committed { "committed" } else { "not committed" };
        format!("{id} [{}] {known}\n", latest.describe())
    }

    fn log(&self, id: NodeId) -> String {
        let state = self.cluster.node(id).raft.state();
        let first = state.log().base().next();
        let entries = state.log().from(first);
        let mut shown = String::new();
        for (index, entry) in (first.0..).map(Index).zip(entries) {
            let (position, payload) =
                (trace::position(index, entry.term), trace::payload(&entry.payload));
            let stable = if index <= state.stable() { " durable" } else { "" };
            let committed = if index <= state.committed() { " committed" } else { "" };
            writeln!(shown, "{id} {position} {payload}{stable}{committed}").expect("memory");
        }
        if shown.is_empty() { format!("{id} has no entries\n") } else { shown }
    }

    fn state(&self, id: NodeId) -> String {
        let values = &self.cluster.node(id).replica.machine().values;
        let values: Vec<_> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!(
            "{id} holds {}\n",
            if values.is_empty() { "nothing".into() } else { values.join(" ") }
        )
    }

    fn network(&self) -> String {
        let links = self.cluster.links().busy();
        let messages = links.iter().flat_map(|((from, to), _)| {
            let messages = self.cluster.links().in_flight(*from, *to).into_iter();
            messages.map(move |message| format!("{from} -> {to} {}\n", trace::message(&message)))
        });
        messages.collect()
    }
}

pub(crate) fn changed(step: &str) -> Result<Change, Box<dyn Error>> {
    let words: Vec<&str> = step.split(' ').collect();
    let contact = String::new();
    Ok(match words[..] {
        ["learner", node] => Change::AddLearner { node: node.parse()?, contact },
        ["voter", node] => Change::AddVoter { node: node.parse()?, contact },
        ["promote", node] => Change::Promote { node: node.parse()? },
        ["demote", node] => Change::Demote { node: node.parse()? },
        ["remove", node] => Change::Remove { node: node.parse()? },
        ["replace", old, new] => Change::Replace { old: old.parse()?, new: new.parse()?, contact },
        ["witness", node] => Change::Witness { node: node.parse()? },
        ["move", node, contact] => {
            Change::Move { node: node.parse()?, contact: contact.to_owned() }
        }
        _ => return Err(format!("{step:?} is no change").into()),
    })
}

pub(crate) fn parse(words: &[String]) -> Result<Command, Box<dyn Error>> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match words[..] {
        ["put", key, value] => Command::Put { key: key.into(), value: value.parse()? },
        ["add", key, by] => Command::Add { key: key.into(), by: by.parse()? },
        ["panic", key] => Command::Panic { key: key.into() },
        _ => return Err(format!("{words:?} is no command").into()),
    })
}

/// Makes the records of a disk.
fn records(
    term: Term,
    voted_for: Option<NodeId>,
    log: Option<&str>,
) -> Result<Vec<Record>, Box<dyn Error>> {
    let mut records = vec![Record::Vote { term, voted_for }];
    let entries = entries(Index::ZERO, log)?;
    if !entries.is_empty() {
        records.push(Record::Append { after: Index::ZERO, entries });
    }
    Ok(records)
}

/// Makes entries of these terms. Those of the same index and term are the same wherever they are
/// made.
fn entries(after: Index, terms: Option<&str>) -> Result<Vec<Entry>, Box<dyn Error>> {
    let terms = terms.into_iter().flat_map(|terms| terms.split(' '));
    let mut entries = Vec::new();
    for (index, term) in (after.0 + 1..).zip(terms) {
        if let Some((term, joins)) = term.split_once('+') {
            let joins: u64 = joins.parse()?;
            let members: Members = (1..joins).chain([joins]).filter_map(NodeId::new).collect();
            let (term, payload) = (Term(term.parse()?), Payload::Membership(members.into()));
            entries.push(Entry { term, payload });
            continue;
        }
        let term = term.parse()?;
        let command = Command::Put { key: format!("x{index}"), value: term };
        let command = kv::keyed(&format!("{index}@{term}"), WallTime(0), &command);
        entries.push(Entry { term: Term(term), payload: Payload::Command(command) });
    }
    Ok(entries)
}
