//! Decisions by name: several roles of several instances in one process, by either protocol.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    Effect, Effects, GroupId, Input, Members, NodeId, Process, Rng, Submission, Ticket, Time,
    Token,
    codec::{Decode, Encode},
    decisions::{Control, Decides, Decisions, NAME_BYTES_MAX, Named, is_name},
    ensemble::Roles,
    fast_paxos, paxos,
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

type Message<R> = <Decisions<R> as Process>::Message;

/// A protocol that makes decisions.
trait Deciding: Decides<Message: Encode + Decode> {
    fn common(id: NodeId, members: Members) -> <Self as Roles>::Common;
}

impl Deciding for paxos::Role {
    fn common(id: NodeId, members: Members) -> paxos::Config {
        let config = paxos::Config::builder(id, GroupId(9), members).seed(id.number());
        config.build().expect("the values fit")
    }
}

impl Deciding for fast_paxos::Role {
    fn common(id: NodeId, members: Members) -> fast_paxos::Config {
        let config = fast_paxos::Config::builder(id, GroupId(9), members).seed(id.number());
        config.build().expect("the values fit")
    }
}

under_both! {
    each_name_has_one_value_for_good,
    what_nobody_decided_is_open,
    what_is_decided_is_at_rest,
    old_records_can_be_given_up,
    minority_down_is_not_waited_for,
}

fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("tests use positive ids")
}

/// A node, and what is on its disk.
struct Host<R: Deciding> {
    process: Decisions<R>,
    /// Encoded, as a journal has them, with their tokens; those from `durable` on may be lost.
    records: Vec<(Token, Bytes)>,
    durable: usize,
    held: Vec<(Token, NodeId, Message<R>)>,
    compacted: Token,
}

/// Nodes whose messages arrive in any order, or never.
struct Cluster<R: Deciding> {
    random: ChaCha8Rng,
    now: Time,
    members: Members,
    hosts: BTreeMap<NodeId, Host<R>>,
    /// Those that do nothing, and are told nothing.
    down: BTreeSet<NodeId>,
    network: Vec<(NodeId, NodeId, Message<R>)>,
    answers: BTreeMap<Ticket, Option<Bytes>>,
    tickets: u64,
}

impl<R: Deciding> Cluster<R> {
    fn new(seed: u64) -> Self {
        Self::of(3, seed)
    }

    fn of(nodes: u64, seed: u64) -> Self {
        let (now, hosts) = (Time::ZERO, BTreeMap::new());
        let random = ChaCha8Rng::seed_from_u64(seed);
        let (network, answers) = (Vec::new(), BTreeMap::new());
        let (members, down) = (Members::new((1..=nodes).map(node)), BTreeSet::new());
        let members = members.expect("tests have members");
        let mut cluster = Self { random, now, members, hosts, down, network, answers, tickets: 0 };
        (1..=nodes).for_each(|id| cluster.start(node(id), Vec::new(), Token::default()));
        cluster
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random.next_u64() % limit as u64) as usize
    }

    fn start(&mut self, id: NodeId, records: Vec<(Token, Bytes)>, compacted: Token) {
        let common = R::common(id, self.members.clone());
        let read = |(token, bytes): &(Token, Bytes)| {
            (*token, Named::decode_all(bytes.clone()).expect("what was written can be read"))
        };
        let process = Decisions::recover(common, self.now, records.iter().map(read));
        let process = process.expect("what was written makes sense");
        let durable = records.len();
        self.hosts.insert(id, Host { process, records, durable, held: Vec::new(), compacted });
    }

    /// Ends a node; what was not synced may be lost from any point on.
    fn crash(&mut self, id: NodeId) {
        let mut host = self.hosts.remove(&id).expect("it runs");
        let kept = host.durable + self.below(host.records.len() - host.durable + 1);
        host.records.truncate(kept);
        // A journal gives up segments from the oldest on, and no later than it is allowed to.
        let gone = host.records.iter().filter(|(token, _)| *token < host.compacted).count();
        let gone = self.below(gone + 1);
        self.start(id, host.records.split_off(gone), host.compacted);
    }

    fn step(&mut self, id: NodeId, input: Input<Decisions<R>>) {
        let mut out = Effects::default();
        let host = self.hosts.get_mut(&id).expect("it runs");
        host.process.step(self.now, input, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Persist { token, record } => {
                    host.records.push((token, Bytes::from(record.encoded())));
                }
                Effect::Send { to, message, after: Some(token) } => {
                    host.held.push((token, to.node, message));
                }
                Effect::Send { to, message, after: None } => {
                    self.network.push((id, to.node, message));
                }
                Effect::Apply(decided) => {
                    for decided in decided {
                        let ticket = decided.ticket.expect("it is told to who asks");
                        let before = self.answers.insert(ticket, decided.command);
                        assert_eq!(before, None, "{ticket:?} is answered once");
                    }
                }
                Effect::Compact { before } => host.compacted = before,
                other => panic!("{other:?} is none of a decision's"),
            }
        }
    }

    fn sync(&mut self, id: NodeId) {
        let host = self.hosts.get_mut(&id).expect("it runs");
        host.durable = host.records.len();
        let Some((upto, _)) = host.records.last() else { return };
        let upto = *upto;
        for (_, to, message) in host.held.extract_if(.., |(token, ..)| *token <= upto) {
            self.network.push((id, to, message));
        }
        self.step(id, Input::Persisted { upto });
    }

    /// Lets one thing happen.
    fn advance(&mut self, faults: bool) {
        self.now = self.now + Duration::from_millis(1);
        let id = node(self.below(self.hosts.len()) as u64 + 1);
        if self.down.contains(&id) {
            return;
        }
        match self.below(20) {
            0..10 if !self.network.is_empty() => {
                let at = self.below(self.network.len());
                let (from, to, message) = self.network.swap_remove(at);
                // A message is read as it was written.
                let message = Named::decode_all(message.encoded().into()).expect("it is whole");
                if !self.down.contains(&to) && (!faults || self.below(5) > 0) {
                    self.step(to, Input::Receive { from, message });
                }
            }
            10..15 => self.sync(id),
            15 if faults && self.below(4) == 0 => self.crash(id),
            16 if self.below(4) == 0 => self.step(id, Input::Control(Control::MakeRoom)),
            _ => self.step(id, Input::Tick),
        }
    }

    fn ask(&mut self, id: NodeId, name: &str, value: Option<&str>) -> Ticket {
        self.tickets += 1;
        let (ticket, name) = (Ticket(self.tickets), Arc::from(name));
        let control = match value {
            Some(value) => {
                let command = Bytes::copy_from_slice(value.as_bytes());
                Control::Decide(Named { name, what: Submission { ticket, command } })
            }
            None => Control::Read(Named { name, what: ticket }),
        };
        self.step(id, Input::Control(control));
        ticket
    }

    fn answer(&mut self, id: NodeId, name: &str, value: Option<&str>) -> Option<Bytes> {
        let ticket = self.ask(id, name, value);
        for _ in 0..200_000 {
            if let Some(answer) = self.answers.get(&ticket) {
                return answer.clone();
            }
            self.advance(false);
        }
        panic!("{name} is not answered at {id}")
    }
}

// Goal: decisions of several names, each asked for on every node at once, while messages are lost
// and reordered and processes crash and lose what was not synced, come to one value each, which is
// one that was proposed under that name; and all nodes tell the same, after they all crashed, too.
// Method: 300 seeds; the records of a restart are those that a journal may have kept.
fn each_name_has_one_value_for_good<R: Deciding>() {
    for seed in 0..300 {
        let mut cluster = Cluster::<R>::new(seed);
        let names = ["a", "b", "c"];
        let mut asked = BTreeMap::new();
        for round in 0..4 {
            for name in names {
                let id = node(cluster.below(3) as u64 + 1);
                let value = format!("{name}{round}");
                asked.insert(cluster.ask(id, name, Some(&value)), name);
            }
            (0..150).for_each(|_| cluster.advance(true));
        }
        let mut told: BTreeMap<&str, Bytes> = BTreeMap::new();
        for (ticket, answer) in cluster.answers.clone() {
            let (name, value) = (asked[&ticket], answer.expect("it was proposed"));
            assert!(value.starts_with(name.as_bytes()), "seed {seed}: {value:?} of {name}");
            assert_eq!(told.entry(name).or_insert_with(|| value.clone()), &value, "seed {seed}");
        }
        for name in names {
            for id in (1..=3).map(node) {
                let value = cluster.answer(id, name, Some("none of them"));
                let value = value.expect("it was proposed");
                assert_eq!(told.entry(name).or_insert_with(|| value.clone()), &value);
            }
        }
        (1..=3).for_each(|id| cluster.crash(node(id)));
        for (name, value) in told {
            let read = cluster.answer(node(2), name, None);
            assert_eq!(read, Some(value), "seed {seed}: {name} after all crashed");
        }
    }
}

// Goal: who asks for what nobody has decided is told so, and that leaves it open.
fn what_nobody_decided_is_open<R: Deciding>() {
    let mut cluster = Cluster::<R>::new(1);
    assert_eq!(cluster.answer(node(1), "shards", None), None);
    assert_eq!(cluster.answer(node(2), "shards", Some("16")), Some(Bytes::from("16")));
    assert_eq!(cluster.answer(node(3), "shards", Some("32")), Some(Bytes::from("16")));
    assert_eq!(cluster.answer(node(1), "shards", None), Some(Bytes::from("16")));
}

// Goal: a decision that is made, or that nobody cares for any more, takes no time.
fn what_is_decided_is_at_rest<R: Deciding>() {
    let mut cluster = Cluster::<R>::new(2);
    cluster.answer(node(1), "shards", Some("16"));
    cluster.answer(node(2), "open", None);
    for _ in 0..200_000 {
        cluster.advance(false);
    }
    for host in cluster.hosts.values() {
        assert!(host.process.is_at_rest());
    }
    assert!(cluster.network.is_empty());
}

// Goal: names that would be hard to write, or to bear, are none; and a message that names one is
// refused.
#[test]
fn names_are_bounded() {
    assert!(is_name("shards/eu 1") && is_name(&"x".repeat(NAME_BYTES_MAX)));
    assert!(!is_name("") && !is_name("a\nb") && !is_name(&"x".repeat(NAME_BYTES_MAX + 1)));
    let named = Named { name: Arc::from("a\nb"), what: paxos::Message::Ask };
    let read = Named::<paxos::Message>::decode_all(named.encoded().into());
    assert!(read.is_err());
}

// Goal: what decisions rest on can always be written anew, so that the journal keeps nothing for
// them but the latest, whether they are made or not; and nothing is lost by it.
fn old_records_can_be_given_up<R: Deciding>() {
    let mut cluster = Cluster::<R>::new(3);
    cluster.answer(node(1), "shards", Some("16"));
    cluster.answer(node(2), "open", None);
    for _ in 0..3 {
        for id in (1..=3).map(node) {
            cluster.sync(id);
            let last = cluster.hosts[&id].records.last().expect("it has some").0;
            cluster.step(id, Input::Control(Control::MakeRoom));
            assert!(cluster.hosts[&id].compacted <= last, "nothing is given up before the sync");
            cluster.sync(id);
            assert_eq!(cluster.hosts[&id].compacted, last.next());
        }
    }
    (1..=3).for_each(|id| cluster.crash(node(id)));
    assert_eq!(cluster.answer(node(3), "shards", Some("32")), Some(Bytes::from("16")));
    assert_eq!(cluster.answer(node(1), "open", None), None);
}

// Goal: as long as a majority is there decisions are made, whoever is missing: where too few are left
// for a fast quorum, in classic rounds. And who comes back is told.
// Method: of three nodes each is down in turn, and of five each two neighbours are.
fn minority_down_is_not_waited_for<R: Deciding>() {
    for (nodes, missing) in [(3, 1), (5, 2)] {
        for first in 1..=nodes {
            let mut cluster = Cluster::<R>::of(nodes, first);
            cluster.down = (0..missing).map(|next| node((first + next - 1) % nodes + 1)).collect();
            let mut up = (1..=nodes).map(node).filter(|id| !cluster.down.contains(id));
            let (one, other) = (up.next().expect("most are"), up.next_back().expect("most are"));
            assert_eq!(cluster.answer(one, "a", None), None);
            assert_eq!(cluster.answer(one, "a", Some("x")), Some(Bytes::from("x")));
            assert_eq!(cluster.answer(other, "b", Some("y")), Some(Bytes::from("y")));
            let back = std::mem::take(&mut cluster.down);
            for id in back {
                assert_eq!(cluster.answer(id, "a", Some("z")), Some(Bytes::from("x")));
                assert_eq!(cluster.answer(id, "b", None), Some(Bytes::from("y")));
            }
        }
    }
}

/// Has nodes ask for a value each at once; returns after how many message delays all of them are
/// told, and the value. Disks take no time, nor does what roles of one node say to each other.
fn delays<R: Deciding>(nodes: u64, asking: &[u64]) -> (u32, Bytes) {
    let mut cluster = Cluster::<R>::of(nodes, 1);
    let ask = |id: &u64| cluster.ask(node(*id), "shards", Some(&id.to_string()));
    let tickets: Vec<Ticket> = asking.iter().map(ask).collect();
    for delays in 0..100 {
        (1..=nodes).for_each(|id| cluster.sync(node(id)));
        let told: Vec<Bytes> =
            tickets.iter().filter_map(|it| cluster.answers.get(it)?.clone()).collect();
        if told.len() == tickets.len() {
            assert!(told.iter().all(|value| *value == told[0]), "{told:?}");
            return (delays, told[0].clone());
        }
        for (from, to, message) in std::mem::take(&mut cluster.network) {
            cluster.step(to, Input::Receive { from, message });
        }
    }
    panic!("nobody is told")
}

// Goal: by Fast Paxos a caller is told two message delays after it has asked, on any node: its value
// goes to acceptors, and their votes come back. By Basic Paxos it takes four: Prepare, Promise, Accept
// and Accepted.
// Method: messages that are on their way arrive all at once, and that is one delay.
#[test]
fn fast_paxos_takes_two_delays_and_basic_paxos_four() {
    for nodes in [3, 5] {
        for asking in 1..=nodes {
            let value = Bytes::from(asking.to_string());
            assert_eq!(delays::<fast_paxos::Role>(nodes, &[asking]), (2, value.clone()));
            assert_eq!(delays::<paxos::Role>(nodes, &[asking]), (4, value));
        }
    }
}

// Goal: those who decide on different values at once collide, and all are told the same one after
// three delays: votes come to the coordinator after one, since each node's acceptor heard its own
// caller first, and the classic round takes two more.
#[test]
fn deciders_that_collide_agree() {
    for nodes in [3, 5] {
        let all: Vec<u64> = (1..=nodes).collect();
        let (delays, value) = delays::<fast_paxos::Role>(nodes, &all);
        assert_eq!(delays, 3);
        assert!(all.iter().any(|id| id.to_string() == value));
    }
}
