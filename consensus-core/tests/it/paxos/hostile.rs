//! Messages that no role sends, and bytes that nobody encoded.

use bytes::Bytes;
use consensus_core::{
    Effect, Effects, GroupId, Input, Members, NodeId, Process, Seat, Submission, Ticket, Time,
    Token,
    codec::{Decode, DecodeError, Encode},
    paxos::{ACCEPTOR, Ballot, Config, Control, Message, Proposal, Record, Role, Round},
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
    Ballot { round: Round(number(rng)), node }
}

fn proposal(rng: &mut ChaCha8Rng) -> Proposal {
    let values: [&'static [u8]; 3] = [b"", b"x", b"another value"];
    let value = Bytes::from_static(values[(rng.next_u64() % 3) as usize]);
    Proposal { ballot: ballot(rng), value }
}

fn message(rng: &mut ChaCha8Rng) -> Message {
    match rng.next_u64() % 8 {
        0 => Message::Prepare { ballot: ballot(rng) },
        1 => Message::Promise { ballot: ballot(rng), accepted: None },
        2 => Message::Promise { ballot: ballot(rng), accepted: Some(proposal(rng)) },
        3 => Message::Accept { proposal: proposal(rng) },
        4 => Message::Accepted { proposal: proposal(rng) },
        5 => Message::Nack { ballot: ballot(rng), promised: ballot(rng) },
        6 => Message::Ask,
        _ => Message::Chosen { proposal: proposal(rng) },
    }
}

fn record(rng: &mut ChaCha8Rng) -> Record {
    match rng.next_u64() % 4 {
        0 => Record::Round(Round(number(rng))),
        1 => Record::Promised(ballot(rng)),
        2 => Record::Accepted(proposal(rng)),
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
    bytes.extend(u32::MAX.to_le_bytes());
    let decoded = Message::decode_all(Bytes::from(bytes));
    assert_eq!(decoded, Err(DecodeError::Truncated));
    let mut bytes = vec![1];
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    let decoded = Message::decode_all(Bytes::from(bytes));
    assert_eq!(decoded, Err(DecodeError::Invalid("node of a ballot")));
    for tag in [0, 8, 255] {
        let decoded = Message::decode_all(Bytes::from(vec![tag]));
        assert_eq!(decoded, Err(DecodeError::UnknownTag { what: "Paxos message", tag }));
        let decoded = Record::decode_all(Bytes::from(vec![tag]));
        assert_eq!(decoded, Err(DecodeError::UnknownTag { what: "Paxos record", tag }));
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
        let mut said = (None, None);
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
                let accepted = acceptor.accepted().map(|accepted| accepted.ballot);
                let next = (acceptor.promised(), accepted);
                assert!(next.0 >= next.1 && next.0 >= said.0 && next.1 >= said.1);
                said = next;
            }
        }
        let config = (role.config().clone(), seat);
        let again = Role::recover(config, now, records).expect("it wrote this itself");
        match (&role, &again) {
            (Role::Proposer(role), Role::Proposer(again)) => assert!(again.round() <= role.round()),
            (Role::Acceptor(role), Role::Acceptor(again)) => {
                assert_eq!(
                    (role.promised(), role.accepted()),
                    (again.promised(), again.accepted())
                );
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

// Goal: nobody begins a ballot, or proposes in it, but the proposer that it belongs to.
#[test]
fn nobody_speaks_for_another_proposer() {
    let mut role = role(ACCEPTOR);
    let ballot = Ballot { round: Round(1), node: id(2) };
    let proposal = Proposal { ballot, value: Bytes::from_static(b"x") };
    let forged = [Message::Prepare { ballot }, Message::Accept { proposal }];
    for message in forged {
        assert!(receive(&mut role, id(3), message.clone()).is_empty());
        assert!(!receive(&mut role, id(2), message).is_empty());
    }
}

// Goal: PAX-P10, nothing gets around the protocol: what an acceptor has accepted is replaced by a
// later proposal only, whatever else it is told.
#[test]
fn only_proposals_change_what_is_accepted() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let mut role = role(ACCEPTOR);
    let proposal = Proposal {
        ballot: Ballot { round: Round(2), node: id(2) },
        value: Bytes::from_static(b"kept"),
    };
    receive(&mut role, id(2), Message::Accept { proposal: proposal.clone() });
    for _ in 0..2_000 {
        let message = message(&mut rng);
        if !matches!(message, Message::Accept { .. }) {
            let from = NodeId::new(1 + rng.next_u64() % 4).expect("it is positive");
            receive(&mut role, from, message);
        }
        // A proposer that is broken, and issues two proposals of one ballot, gets none replaced.
        let other = Proposal { value: Bytes::from_static(b"other"), ..proposal.clone() };
        receive(&mut role, id(2), Message::Accept { proposal: other });
        let Role::Acceptor(acceptor) = &role else { unreachable!("it is one") };
        assert_eq!(acceptor.accepted(), Some(&proposal));
    }
}
