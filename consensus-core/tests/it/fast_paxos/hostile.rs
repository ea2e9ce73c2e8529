//! Messages that no role sends, and bytes that nobody encoded.

use bytes::Bytes;
use consensus_core::{
    Effect, Effects, GroupId, Input, Members, NodeId, Process, Seat, Submission, Ticket, Time,
    Token,
    codec::{Decode, DecodeError, Encode},
    fast_paxos::{
        ACCEPTOR, Ballot, Config, Control, Kind, Message, PROPOSER, Proposal, Record, Role, Round,
    },
    paxos,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{hostile::hurtful, node::id};

const ROUNDS: u64 = 400;
const STEPS: u64 = 150;

fn number(rng: &mut ChaCha8Rng) -> u64 {
    hurtful(rng, 6)
}

fn ballot(rng: &mut ChaCha8Rng) -> Ballot {
    let node = NodeId::new(1 + rng.next_u64() % 5).expect("it is positive");
    Ballot { round: paxos::Round(number(rng)), node }
}

fn proposal(rng: &mut ChaCha8Rng) -> Proposal {
    let values: [&'static [u8]; 3] = [b"", b"x", b"another value"];
    let value = Bytes::from_static(values[(rng.next_u64() % 3) as usize]);
    let kind = if rng.next_u64() & 1 == 0 { Kind::Fast } else { Kind::Classic };
    Proposal { round: Round { ballot: ballot(rng), kind }, value }
}

fn message(rng: &mut ChaCha8Rng) -> Message {
    match rng.next_u64() % 11 {
        0 => Message::Prepare { ballot: ballot(rng) },
        1 => Message::Promise { ballot: ballot(rng), voted: None },
        2 => Message::Promise { ballot: ballot(rng), voted: Some(proposal(rng)) },
        3 => Message::Accept { proposal: proposal(rng) },
        4 => Message::Accepted { proposal: proposal(rng) },
        5 => Message::Nack { ballot: ballot(rng), promised: ballot(rng) },
        6 => Message::Ask,
        7 => Message::Any { ballot: ballot(rng) },
        8 => Message::Propose { value: proposal(rng).value },
        _ => Message::Chosen { proposal: proposal(rng) },
    }
}

fn record(rng: &mut ChaCha8Rng) -> Record {
    match rng.next_u64() % 4 {
        0 => Record::Round(paxos::Round(number(rng))),
        1 => Record::Promised(ballot(rng)),
        2 => Record::Voted(proposal(rng)),
        _ => Record::Chosen(proposal(rng)),
    }
}

/// Makes a role of node 1, of three that accept and a fourth that learns.
fn role(seat: Seat) -> Role {
    let acceptors = Members::new((1..=3).map(id)).expect("three are some");
    let learners = Members::new((1..=4).map(id)).expect("four are some");
    let config = Config::builder(id(1), GroupId(1), acceptors).learners(learners);
    let config = config.waiting_max(8).build().expect("the values fit");
    Role::recover((config, seat), Time::ZERO, []).expect("nothing is wrong with nothing")
}

fn receive(role: &mut Role, from: NodeId, message: Message) -> Effects<Role> {
    let mut out = Effects::default();
    role.step(Time::ZERO, Input::Receive { from, message }, &mut out);
    out
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
    for _ in 0..2_000 {
        let (message, record) = (message(&mut rng), record(&mut rng));
        bears(&message, &mut rng);
        bears(&record, &mut rng);
        let length = rng.next_u64() % 60;
        let any: Vec<u8> = (0..length).map(|_| (rng.next_u64() % 9) as u8).collect();
        if let Ok(message) = Message::decode_all(Bytes::from(any.clone())) {
            assert_eq!(message.encoded(), any);
        }
        if let Ok(record) = Record::decode_all(Bytes::from(any.clone())) {
            assert_eq!(record.encoded(), any);
        }
    }
}

// Goal: a length is checked against what is there before anything is allocated, and a ballot has a
// node, a tag a meaning.
#[test]
fn bad_encodings_are_told_apart() {
    let mut bytes = vec![3];
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.push(1);
    bytes.extend(u32::MAX.to_le_bytes());
    let decoded = Message::decode_all(Bytes::from(bytes));
    assert_eq!(decoded, Err(DecodeError::Truncated));
    let mut bytes = vec![1];
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    let decoded = Message::decode_all(Bytes::from(bytes));
    assert_eq!(decoded, Err(DecodeError::Invalid("node of a ballot")));
    for tag in [0, 10, 255] {
        let decoded = Message::decode_all(Bytes::from(vec![tag]));
        assert_eq!(decoded, Err(DecodeError::UnknownTag { what: "Fast Paxos message", tag }));
        let decoded = Record::decode_all(Bytes::from(vec![tag]));
        assert_eq!(decoded, Err(DecodeError::UnknownTag { what: "Fast Paxos record", tag }));
    }
}

/// Draws any input that a host may hand to a role.
fn input(rng: &mut ChaCha8Rng, seat: Seat, written: Token) -> Input<Role> {
    let ticket = Ticket(rng.next_u64());
    match rng.next_u64() % 12 {
        0 => Input::Tick,
        1 => Input::Persisted { upto: Token(rng.next_u64() % (written.0 + 1)) },
        2 if seat.0 == 0 => {
            let command = Bytes::from_static(b"own");
            Input::Submit(vec![Submission { ticket, command }])
        }
        3 if seat.0 == 0 => Input::Control(Control::Read(vec![ticket])),
        _ => {
            let from = NodeId::new(1 + rng.next_u64() % 6).expect("it is positive");
            Input::Receive { from, message: message(rng) }
        }
    }
}

// Goal: no message makes a role panic or go back on what it said, and what it writes can be read
// back by a restart. Method: many random inputs from members and strangers.
#[test]
fn roles_bear_whatever_comes() {
    for (round, seat) in (0..ROUNDS).flat_map(|round| Role::SEATS.map(|seat| (round, seat))) {
        let mut rng = ChaCha8Rng::seed_from_u64(round << 2 | u64::from(seat.0));
        let (mut role, mut now) = (role(seat), Time::ZERO);
        let (mut records, mut written) = (Vec::new(), Token::default());
        let mut said: Option<(Ballot, Option<Round>)> = None;
        for _ in 0..STEPS {
            now = now + std::time::Duration::from_millis(rng.next_u64() % 300);
            let mut out = Effects::default();
            role.step(now, input(&mut rng, seat, written), &mut out);
            assert!(out.as_slice().len() < 40, "one input asks for little");
            for effect in out.drain() {
                if let Effect::Persist { token, record } = effect {
                    assert_eq!(token, written.next(), "records are numbered without gaps");
                    written = token;
                    records.push((token, record));
                }
            }
            if let Role::Acceptor(acceptor) = &role {
                let voted = acceptor.voted().map(|voted| voted.round);
                let next = (acceptor.promised(), voted);
                assert!(voted.is_none_or(|voted| next.0 >= voted.ballot));
                assert!(said.is_none_or(|said| next.0 >= said.0 && next.1 >= said.1));
                said = Some(next);
            }
        }
        let config = (role.config().clone(), seat);
        let again = Role::recover(config, now, records).expect("it wrote this itself");
        match (&role, &again) {
            (Role::Proposer(role), Role::Proposer(again)) => assert!(again.round() <= role.round()),
            (Role::Acceptor(role), Role::Acceptor(again)) => {
                assert_eq!((role.promised(), role.voted()), (again.promised(), again.voted()));
            }
            (Role::Learner(role), Role::Learner(again)) => {
                assert_eq!(role.chosen(), again.chosen());
            }
            _ => unreachable!("a seat has one role"),
        }
    }
}

// Goal: who is no member is not heard, by any role, whatever it says.
#[test]
fn strangers_are_not_heard() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for seat in Role::SEATS {
        let mut role = role(seat);
        for _ in 0..500 {
            assert!(receive(&mut role, id(5), message(&mut rng)).is_empty());
        }
    }
}

fn ballot_of(round: u64, node: u64) -> Ballot {
    Ballot { round: paxos::Round(round), node: id(node) }
}

// Goal: nobody begins a ballot, or either of its rounds, but the coordinator that it belongs to; and
// nobody proposes a value in a fast round.
#[test]
fn nobody_speaks_for_another_coordinator() {
    let mut role = role(ACCEPTOR);
    let (ballot, value) = (ballot_of(1, 2), Bytes::from_static(b"x"));
    let fast = Proposal { round: Round::fast(ballot), value: value.clone() };
    assert!(receive(&mut role, id(2), Message::Accept { proposal: fast }).is_empty());
    receive(&mut role, id(2), Message::Prepare { ballot });
    receive(&mut role, id(1), Message::Propose { value: value.clone() });
    let proposal = Proposal { round: Round::classic(ballot), value };
    let forged =
        [Message::Prepare { ballot }, Message::Any { ballot }, Message::Accept { proposal }];
    for message in forged {
        assert!(receive(&mut role, id(3), message.clone()).is_empty());
        assert!(!receive(&mut role, id(2), message).is_empty());
    }
}

// Goal: what an acceptor has voted for is replaced in a later round only, whatever else it is told.
#[test]
fn only_later_rounds_change_a_vote() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let mut role = role(ACCEPTOR);
    let ballot = ballot_of(2, 2);
    let value = Bytes::from_static(b"kept");
    let proposal = Proposal { round: Round::classic(ballot), value };
    receive(&mut role, id(2), Message::Accept { proposal: proposal.clone() });
    for _ in 0..2_000 {
        let message = message(&mut rng);
        if !matches!(message, Message::Accept { .. } | Message::Any { .. }) {
            let from = NodeId::new(1 + rng.next_u64() % 4).expect("it is positive");
            receive(&mut role, from, message);
        }
        // A coordinator that is broken, and proposes twice in one round or opens the one before,
        // gets no vote replaced.
        let other = Proposal { value: Bytes::from_static(b"other"), ..proposal.clone() };
        receive(&mut role, id(2), Message::Accept { proposal: other });
        receive(&mut role, id(2), Message::Any { ballot });
        let Role::Acceptor(acceptor) = &role else { unreachable!("it is one") };
        assert_eq!(acceptor.voted(), Some(&proposal));
    }
}

// Goal: a coordinator bears what no coordinator can have brought about: two values in one classic
// round, in promises of a quorum.
#[test]
fn lies_about_votes_are_borne() {
    let mut role = role(PROPOSER);
    let mut out = Effects::default();
    role.step(Time::ZERO, Input::Tick, &mut out);
    let round = Round::classic(ballot_of(1, 2));
    for (node, value) in [(2, &b"x"[..]), (3, b"y")] {
        let voted = Some(Proposal { round, value: Bytes::from_static(value) });
        receive(&mut role, id(node), Message::Promise { ballot: ballot_of(1, 3), voted });
    }
    // The present ballot is 1.1, after which nobody has voted: another is begun by a read.
    role.step(Time::ZERO, Input::Control(Control::Read(vec![Ticket(1)])), &mut out);
    for node in [2, 3] {
        receive(&mut role, id(node), Message::Promise { ballot: ballot_of(1, 1), voted: None });
    }
    for (node, value) in [(2, &b"x"[..]), (3, b"y")] {
        let voted = Some(Proposal { round, value: Bytes::from_static(value) });
        receive(&mut role, id(node), Message::Promise { ballot: ballot_of(2, 1), voted });
    }
    let Role::Proposer(proposer) = &role else { unreachable!("it is one") };
    assert_eq!(proposer.phase(), ("accepting", Some(ballot_of(2, 1))));
}
