//! Messages that no role sends, and bytes that nobody encoded.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use consensus_core::{
    Effect, Effects, GroupId, Index, Input, Members, Membership, NodeId, Process, Read, ReadLevel,
    Submission, Ticket, Time, Token,
    codec::{Decode, DecodeError, Encode},
    ensemble::{Addressed, Entry},
    multi_paxos::{
        ACCEPTOR, Ballot, Config, Control, LEARNER, Message, PROPOSER, Record, Role, Value, Values,
        Vote,
    },
    paxos::Round,
    snapshot::{Order, Report, SnapshotId},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::MultiPaxos;
use crate::{hostile::hurtful, node::id};

const ROUNDS: u64 = 1_600;
const STEPS: u64 = 200;

fn number(rng: &mut ChaCha8Rng) -> u64 {
    hurtful(rng, 8)
}

fn slot(rng: &mut ChaCha8Rng) -> Index {
    Index(number(rng))
}

fn flip(rng: &mut ChaCha8Rng) -> bool {
    rng.next_u64().is_multiple_of(2)
}

/// Draws a ballot; mostly one of a round near `round`, so that it is not merely stale.
fn ballot(rng: &mut ChaCha8Rng, round: u64) -> Ballot {
    let node = NodeId::new(1 + rng.next_u64() % 4).expect("it is positive");
    let near = !rng.next_u64().is_multiple_of(4);
    let round = if near { round.saturating_add(rng.next_u64() % 3) } else { number(rng) };
    // Now and then of an era that nobody knows.
    let era = if rng.next_u64().is_multiple_of(200) { slot(rng) } else { Index::ZERO };
    Ballot { era, round: Round(round), node }
}

fn value(rng: &mut ChaCha8Rng) -> Value {
    let commands: [&'static [u8]; 3] = [b"", b"x", b"another value"];
    let command = Bytes::from_static(commands[(rng.next_u64() % 3) as usize]);
    match rng.next_u64() % 100 {
        // Seldom: a node that was removed does not lead any more.
        0 => Value::Membership(membership(rng)),
        1..=50 => Value::NoOp,
        _ => Value::Command(command),
    }
}

fn membership(rng: &mut ChaCha8Rng) -> Membership {
    let members = (1..5).filter(|_| flip(rng)).filter_map(NodeId::new);
    Members::new(members).map_or_else(Membership::default, Membership::from)
}

fn values(rng: &mut ChaCha8Rng) -> Values {
    (0..rng.next_u64() % 4).map(|_| value(rng)).collect()
}

fn votes(rng: &mut ChaCha8Rng, round: u64) -> Vec<Vote> {
    let vote = |rng: &mut ChaCha8Rng| {
        let (slot, value) = (slot(rng), value(rng));
        Vote { slot, ballot: ballot(rng, round.saturating_sub(2)), value }
    };
    let mut votes: Vec<_> = (0..rng.next_u64() % 4).map(|_| vote(rng)).collect();
    if flip(rng) {
        votes.sort_by_key(|vote| vote.slot);
        votes.dedup_by_key(|vote| vote.slot);
    }
    votes
}

fn snapshot(rng: &mut ChaCha8Rng) -> SnapshotId {
    SnapshotId { index: slot(rng), term: number(rng), digest: number(rng) }
}

/// Draws any message that roles of several nodes send, or of one.
fn message(rng: &mut ChaCha8Rng, round: u64) -> Message {
    let (ballot, first, chosen) = (ballot(rng, round), slot(rng), slot(rng));
    match rng.next_u64() % 30 {
        0 => Message::Canvass { ballot },
        1 | 2 => {
            let transfer = flip(rng).then(|| self::ballot(rng, round));
            Message::Prepare { ballot, first, transfer }
        }
        3 | 4 => Message::Accept { ballot, first, values: values(rng), chosen },
        5 | 6 => Message::Heartbeat { ballot, round: number(rng), chosen },
        7 => Message::Support { ballot, chosen },
        8..=10 => {
            let (upto, last, base) = (slot(rng), slot(rng), slot(rng));
            Message::Promise { ballot, first, votes: votes(rng, round), upto, last, base }
        }
        11 => Message::Nack { ballot, promised: self::ballot(rng, round) },
        12 | 13 => Message::Accepted { ballot, first, last: slot(rng) },
        14 => {
            let promise = flip(rng).then(|| Duration::from_nanos(number(rng)));
            Message::HeartbeatReply {
                ballot,
                round: number(rng),
                promise,
                known: chosen,
                base: first,
            }
        }
        15 => Message::ReadIndex { id: number(rng), lease: flip(rng) },
        16 => Message::ReadIndexReply { id: number(rng), index: first },
        17 => Message::TakeOver { ballot },
        18 => Message::Learn { first, state: flip(rng) },
        19 | 20 => Message::Learned { first, values: values(rng), chosen },
        21 => Message::Offer { snapshot: snapshot(rng) },
        22 => Message::Fetch { snapshot: snapshot(rng), part: number(rng) as u32 },
        23 => {
            let bytes = flip(rng).then(|| Bytes::from_static(b"part"));
            Message::Part { snapshot: snapshot(rng), part: number(rng) as u32, bytes }
        }
        24 => Message::Voted { ballot, first, values: values(rng), chosen },
        25 => Message::Chosen { ballot, upto: first },
        26 => {
            let tickets = vec![(first, Ticket(number(rng)))];
            Message::Settled { ballot, upto: chosen, tickets }
        }
        27 if flip(rng) => Message::Abreast { upto: first },
        27 => {
            let (era, membership) = (slot(rng), membership(rng));
            Message::Known { chosen, base: first, era, membership }
        }
        28 => Message::Recall { first },
        _ => Message::Forget { upto: first },
    }
}

fn record(rng: &mut ChaCha8Rng) -> Record {
    let (ballot, slot) = (ballot(rng, 1), slot(rng));
    match rng.next_u64() % 4 {
        0 => Record::Round(Round(number(rng))),
        1 => Record::Promised(ballot),
        2 => Record::Accepted { ballot, first: slot, values: values(rng), chosen: slot },
        _ => {
            let promised = flip(rng).then_some(ballot);
            Record::Forgotten { upto: slot, promised, chosen: vec![(ballot, slot)] }
        }
    }
}

fn config() -> Config {
    let members = Members::new((1..=3).map(id)).expect("three are some");
    let config = Config::builder(id(1), GroupId(1), members).lease(true).proposals_max(8);
    let config = config.accept_bytes_max(40).accept_window(4).snapshot_entries(6).tail_entries(2);
    config.build().expect("the values fit")
}

fn process() -> MultiPaxos {
    MultiPaxos::recover(config(), Time::ZERO, []).expect("nothing is wrong with nothing")
}

fn receive(process: &mut MultiPaxos, from: NodeId, message: Message) -> Effects<MultiPaxos> {
    let mut out = Effects::default();
    let message = Addressed { seat: message.seat(), message };
    process.step(Time::ZERO, Input::Receive { from, message }, &mut out);
    out
}

fn promised(process: &MultiPaxos) -> Option<Ballot> {
    match process.role(ACCEPTOR) {
        Some(Role::Acceptor(acceptor)) => acceptor.promised(),
        _ => unreachable!("there is one"),
    }
}

/// Bytes that begin as an encoding does come to a value or an error, and never to a panic.
fn bears<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T, rng: &mut ChaCha8Rng) {
    let bytes = value.encoded();
    assert_eq!(&T::decode_all(Bytes::from(bytes.clone())).expect("it was encoded"), value);
    for length in 0..bytes.len() {
        let cut = T::decode_all(Bytes::copy_from_slice(&bytes[..length]));
        assert_eq!(cut.err(), Some(DecodeError::Truncated), "{value:?} cut to {length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(T::decode_all(Bytes::from(longer)).err(), Some(DecodeError::Trailing));
    let mut other = bytes.clone();
    let place = (rng.next_u64() as usize) % other.len();
    other[place] ^= 1 << (rng.next_u64() % 8);
    if let Ok(decoded) = T::decode_all(Bytes::from(other.clone())) {
        assert_eq!(decoded.encoded(), other, "an encoding stands for one value");
    }
}

// Goal: whatever is encoded is read back, whatever is not is refused, and nothing panics.
// Method: messages and records at random, cut, prolonged and with a bit changed; and any bytes.
#[test]
fn encodings_are_read_back_or_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..4_000 {
        let (message, record) = (message(&mut rng, 1), record(&mut rng));
        let remote = !message.is_local();
        let message = Addressed { seat: message.seat(), message };
        if remote {
            bears(&message, &mut rng);
        }
        let seat = [PROPOSER, ACCEPTOR, LEARNER][(rng.next_u64() % 3) as usize];
        bears(&Entry { seat, token: Token(number(&mut rng)), record }, &mut rng);
        let length = rng.next_u64() % 60;
        let any: Vec<u8> = (0..length).map(|_| (rng.next_u64() % 30) as u8).collect();
        if let Ok(message) = Message::decode_all(Bytes::from(any.clone())) {
            assert_eq!(message.encoded(), any);
        }
        if let Ok(record) = Record::decode_all(Bytes::from(any.clone())) {
            assert_eq!(record.encoded(), any);
        }
    }
}

/// Answers what a node asks, as a node that knows nothing would.
fn answer(message: Message) -> Option<Message> {
    Some(match message {
        Message::Canvass { ballot } => Message::Support { ballot, chosen: Index::ZERO },
        Message::Prepare { ballot, first, .. } => {
            let (votes, base) = (Vec::new(), Index::ZERO);
            Message::Promise { ballot, first, votes, upto: Index::ZERO, last: base, base }
        }
        Message::Accept { ballot, first, values, .. } => {
            let last = Index(first.0 + values.len() as u64 - 1);
            Message::Accepted { ballot, first, last }
        }
        Message::Heartbeat { ballot, round, .. } => {
            let promise = Some(Duration::from_secs(1));
            Message::HeartbeatReply {
                ballot,
                round,
                promise,
                known: Index::ZERO,
                base: Index::ZERO,
            }
        }
        _ => return None,
    })
}

/// Draws any input that a host may hand to a node; messages come from others only.
fn input(rng: &mut ChaCha8Rng, round: u64, written: Token) -> Input<MultiPaxos> {
    let ticket = Ticket(rng.next_u64());
    match rng.next_u64() % 24 {
        0..=3 => Input::Tick,
        4 | 5 => Input::Persisted { upto: Token(rng.next_u64() % (written.0 + 1)) },
        6 => {
            let command = Bytes::from_static(b"own");
            Input::Submit(vec![Submission { ticket, command }])
        }
        7 => {
            let level = if flip(rng) { ReadLevel::Lease } else { ReadLevel::Linearizable };
            Input::Control(Control::Read(vec![Read { ticket, level }]))
        }
        8 => Input::Control(Control::StorageFull(flip(rng))),
        9 => Input::Control(Control::Behind(flip(rng))),
        10 => Input::Control(if flip(rng) { Control::MakeRoom } else { Control::TakeSnapshot }),
        11 => Input::Snapshot(Report::Failed),
        _ => {
            let from = NodeId::new(2 + rng.next_u64() % 4).expect("it is positive");
            let mut message = message(rng, round);
            // Only the proposer that it belongs to speaks for a ballot.
            if flip(rng)
                && let Message::Prepare { ballot, .. }
                | Message::Accept { ballot, .. }
                | Message::Canvass { ballot }
                | Message::Heartbeat { ballot, .. } = &mut message
            {
                ballot.node = from;
            }
            Input::Receive { from, message: Addressed { seat: message.seat(), message } }
        }
    }
}

/// What a node has said so far, by its effects.
#[derive(Default)]
struct Said {
    records: Vec<(Token, Entry<Record>)>,
    written: Token,
    promised: Option<Ballot>,
    applied: Index,
    /// What it asked others last.
    asked: Option<Message>,
}

impl Said {
    fn note(&mut self, effect: Effect<MultiPaxos>) {
        match effect {
            Effect::Persist { token, record } => {
                assert_eq!(token, self.written.next(), "records are numbered without gaps");
                self.written = token;
                self.promised = match &record.record {
                    Record::Promised(ballot) | Record::Accepted { ballot, .. } => {
                        assert!(self.promised <= Some(*ballot), "a promise is broken");
                        Some(*ballot)
                    }
                    Record::Forgotten { promised, .. } => *promised,
                    Record::Round(_) | Record::Snapshot(_) => self.promised,
                };
                self.records.push((token, record));
            }
            Effect::Send { message, after, .. } => {
                assert!(after <= Some(self.written), "it waits for a record that there is");
                self.asked = Some(message.message);
            }
            Effect::Apply(decided) => {
                for entry in decided {
                    assert_eq!(entry.index, self.applied.next(), "slots come in their order");
                    self.applied = entry.index;
                }
            }
            Effect::Snapshot(Order::Restore(_)) => panic!("no snapshot ever came whole"),
            _ => {}
        }
    }
}

// Goal: no message makes a node panic or go back on what it promised, nothing is promised without a
// record, and what it writes can be read back by a restart.
// Method: many random inputs from members and strangers; now and then a fitting answer, so that the
// node comes to lead.
#[test]
fn nodes_bear_whatever_comes() {
    let mut offices = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut rng = ChaCha8Rng::seed_from_u64(round);
        let (mut process, mut now, mut said) = (process(), Time::ZERO, Said::default());
        for _ in 0..STEPS {
            now = now + Duration::from_millis(rng.next_u64() % 300);
            let answer = said.asked.take().filter(|_| flip(&mut rng)).and_then(answer);
            let term = process.status().term;
            let input = match answer {
                Some(message) => {
                    let message = Addressed { seat: message.seat(), message };
                    Input::Receive { from: id(2), message }
                }
                None => input(&mut rng, term, said.written),
            };
            let mut out = Effects::default();
            process.step(now, input, &mut out);
            *offices.entry(process.status().role).or_insert(0) += 1;
            assert!(out.as_slice().len() < 200, "one input asks for little");
            out.drain().for_each(|effect| said.note(effect));
            assert_eq!(promised(&process), said.promised, "what is promised is written");
        }
        let again = MultiPaxos::recover(config(), now, said.records);
        assert_eq!(promised(&again.expect("it wrote this itself")), said.promised);
    }
    assert!(offices.len() == 4 && offices.values().all(|steps| *steps > 500), "{offices:?}");
}

// Goal: who is no member is counted by nobody, whatever it answers.
// Method: whatever a node that campaigns asks, a stranger answers.
#[test]
fn strangers_do_not_count() {
    let (mut process, mut now) = (process(), Time::ZERO);
    for _ in 0..200 {
        now = now + Duration::from_millis(700);
        let mut out = Effects::default();
        process.step(now, Input::Tick, &mut out);
        let mut written = process.last();
        while !out.as_slice().is_empty() {
            let mut asked = Vec::new();
            for effect in out.drain() {
                match effect {
                    Effect::Send { message, .. } => asked.extend(answer(message.message)),
                    Effect::Persist { token, .. } => written = token,
                    _ => {}
                }
            }
            process.step(now, Input::Persisted { upto: written }, &mut out);
            for message in asked {
                let message = Addressed { seat: message.seat(), message };
                process.step(now, Input::Receive { from: id(5), message }, &mut out);
            }
        }
        assert!(["follower", "pre-candidate"].contains(&process.status().role));
    }
}

// Goal: what roles of one node say to each other is heard from no other node.
#[test]
fn roles_of_other_nodes_are_not_taken_for_ones_own() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut process = process();
    for _ in 0..2_000 {
        let message = message(&mut rng, 1);
        if message.is_local() {
            assert!(receive(&mut process, id(2), message).is_empty());
        }
    }
    assert_eq!(process.status().committed, Index::ZERO);
}
