//! How a client that is no member finds the leader, and finds it again.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::{
    Argument, Interface, NodeId, Operation, Time,
    client::{BACKOFF, FORGET, Lookout, Move, WATCH, Whereabouts},
    codec::{Decode, DecodeError, Encode},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::node::id;

/// A lookout, its clock, and what it last asked for.
struct Watcher {
    lookout: Lookout,
    now: Time,
}

impl Watcher {
    fn new(seeds: &[u64]) -> Self {
        let seeds = seeds.iter().map(|node| address(*node)).collect();
        Self { lookout: Lookout::new(seeds, 1), now: Time::ZERO }
    }

    /// Makes one that is connected to the leader, node 1 of three.
    fn at_leader() -> Self {
        let mut watcher = Self::new(&[1, 2]);
        assert_eq!(watcher.rest(), [call(1)]);
        assert_eq!(watcher.told(1, Some(1)), [Move::Route(Some(id(1)))]);
        watcher
    }

    fn pass(&mut self, time: Duration) -> Vec<Move> {
        self.now = self.now + time;
        let mut out = Vec::new();
        self.lookout.tick(self.now, &mut out);
        out
    }

    /// Lets the time pass until something is to be done.
    fn rest(&mut self) -> Vec<Move> {
        let due = self.lookout.due().expect("something is due");
        self.pass(due.since(self.now))
    }

    fn told(&mut self, at: u64, leader: Option<u64>) -> Vec<Move> {
        let mut out = Vec::new();
        self.lookout.told(self.now, id(at), whereabouts(leader), &mut out);
        out
    }

    fn lost(&mut self) -> Vec<Move> {
        let mut out = Vec::new();
        self.lookout.lost(self.now, &mut out);
        out
    }
}

fn address(node: u64) -> String {
    format!("node-{node}:4800")
}

fn call(node: u64) -> Move {
    Move::Call(address(node))
}

fn whereabouts(leader: Option<u64>) -> Whereabouts {
    let members = (1..=3).map(|node| (id(node), address(node))).collect();
    Whereabouts { leader: leader.map(id), members }
}

// Goal: a client that knows one address finds a leader that is elsewhere: whoever answers says
// where (6.2).
#[test]
fn any_member_sends_to_the_leader() {
    let mut watcher = Watcher::new(&[2]);
    assert_eq!(watcher.rest(), [call(2)]);
    assert_eq!(watcher.told(2, Some(3)), [call(3)]);
    assert_eq!(watcher.told(3, Some(3)), [Move::Route(Some(id(3)))]);
    assert_eq!(watcher.lookout.due(), None, "who is with the leader waits for nothing");
}

// Goal: addresses at which nobody is are tried in turn, with pauses that grow and never exceed
// their bound.
#[test]
fn every_address_is_tried_in_turn() {
    let mut watcher = Watcher::new(&[1, 2, 3]);
    let mut longest = Duration::ZERO;
    for turn in 0..60 {
        let before = watcher.now;
        assert_eq!(watcher.rest(), [call(1 + turn % 3)]);
        longest = longest.max(watcher.now.since(before));
        assert_eq!(watcher.lost(), [], "there was no route");
    }
    assert!(longest > BACKOFF.1 / 4 && longest <= BACKOFF.1, "{longest:?}");
}

// Goal: clients that lost the same leader do not come all at once.
#[test]
fn pauses_differ_from_client_to_client() {
    let pause = |seed| {
        let mut lookout = Lookout::new(vec![address(1)], seed);
        lookout.tick(Time::ZERO, &mut Vec::new());
        lookout.lost(Time::ZERO, &mut Vec::new());
        lookout.due().expect("it rests")
    };
    let pauses: std::collections::BTreeSet<Time> = (0..50).map(pause).collect();
    assert!(pauses.len() > 40, "{pauses:?}");
    assert!(pauses.iter().all(|due| due.since(Time::ZERO) <= BACKOFF.0));
}

// Goal: when the leader is lost, nothing is routed to it; it is called once more, for only the
// connection may have broken; then the others, whose stale word for it is not followed.
#[test]
fn a_lost_leader_is_called_once_and_then_awaited_elsewhere() {
    let mut watcher = Watcher::at_leader();
    assert_eq!(watcher.lost(), [Move::Route(None)]);
    assert_eq!(watcher.rest(), [call(1)]);
    assert_eq!(watcher.lost(), []);
    let Ok([Move::Call(at)]) = <[Move; 1]>::try_from(watcher.rest()) else { panic!("one call") };
    let at = if at == address(2) { 2 } else { 3 };
    assert_ne!(Move::Call(address(at)), call(1));
    assert_eq!(watcher.told(at, Some(1)), [], "the word of who does not know yet is not followed");
    let other = 5 - at;
    assert_eq!(watcher.told(at, Some(other)), [call(other)], "the word of who knows is");
    assert_eq!(watcher.told(other, Some(other)), [Move::Route(Some(id(other)))]);
}

// Goal: a leader that could not be reached once is not given up for good.
#[test]
fn a_missing_leader_is_called_again_in_time() {
    let mut watcher = Watcher::at_leader();
    watcher.lost();
    watcher.rest();
    watcher.lost();
    watcher.rest();
    assert_eq!(watcher.told(2, Some(1)), []);
    watcher.now = watcher.now + FORGET;
    assert_eq!(watcher.told(2, Some(1)), [call(1)]);
}

// Goal: a deposed leader's clients are sent to its successor, and while there is none nothing goes
// to anybody.
#[test]
fn a_deposed_leader_is_left() {
    let mut watcher = Watcher::at_leader();
    assert_eq!(watcher.told(1, Some(2)), [Move::Route(None), call(2)]);
    assert_eq!(watcher.told(2, Some(2)), [Move::Route(Some(id(2)))]);
    assert_eq!(watcher.told(2, None), [Move::Route(None)]);
    assert_eq!(watcher.told(2, Some(2)), [Move::Route(Some(id(2)))], "it was elected again");
}

// Goal: what changes besides the leader sends no call again.
#[test]
fn the_same_leader_is_routed_to_once() {
    let mut watcher = Watcher::at_leader();
    assert_eq!(watcher.told(1, Some(1)), []);
}

// Goal: an isolated member never learns of a leader: it is left after a while for another.
#[test]
fn a_member_without_a_leader_is_left_in_time() {
    let mut watcher = Watcher::new(&[1]);
    watcher.rest();
    assert_eq!(watcher.told(1, None), []);
    assert_eq!(watcher.pass(WATCH - Duration::from_millis(1)), []);
    assert_eq!(watcher.told(1, None), [], "to hear the same again prolongs nothing");
    let mut called = vec![watcher.pass(Duration::from_millis(1))];
    for _ in 0..2 {
        assert_eq!(watcher.told(1, None), []);
        called.push(watcher.pass(WATCH));
    }
    called.sort_by_key(|moves| format!("{moves:?}"));
    assert_eq!(called, [[call(1)], [call(2)], [call(3)]], "each member is asked");
}

// Goal: who is listened to is known for as long as it is connected, and nobody else: queries may go
// there, and nowhere while the leader is sought or found.
#[test]
fn who_is_listened_to_is_known() {
    let mut watcher = Watcher::new(&[1]);
    watcher.rest();
    assert_eq!(watcher.lookout.watched(), None, "nobody has answered");
    watcher.told(1, None);
    assert_eq!(watcher.lookout.watched(), Some(id(1)));
    watcher.told(1, Some(2));
    assert_eq!(watcher.lookout.watched(), None, "the leader is called");
    watcher.told(2, Some(2));
    assert_eq!(watcher.lookout.watched(), None, "the leader is asked");
    watcher.told(2, None);
    assert_eq!(watcher.lookout.watched(), Some(id(2)), "it leads no more");
    watcher.lost();
    assert_eq!(watcher.lookout.watched(), None);
}

// Goal: members that send the client to each other do not keep it running in circles.
#[test]
fn nobody_is_sent_in_circles() {
    let mut watcher = Watcher::new(&[1]);
    assert_eq!(watcher.rest(), [call(1)]);
    let (mut at, mut hops) = (1, 0);
    while watcher.told(at, Some(3 - at)) == [call(3 - at)] {
        (at, hops) = (3 - at, hops + 1);
        assert!(hops < 10, "it runs in circles");
    }
    assert_eq!(watcher.pass(WATCH / 2), []);
    assert_ne!(watcher.pass(WATCH / 2), [], "it goes on after a pause");
}

// Goal: once all members have moved, the addresses that the client was given count again.
#[test]
fn given_addresses_are_never_forgotten() {
    let mut watcher = Watcher::new(&[9]);
    watcher.rest();
    watcher.told(1, None);
    let mut called = Vec::new();
    for _ in 0..8 {
        called.extend(watcher.rest());
        watcher.lost();
    }
    for node in [1, 2, 3, 9] {
        assert!(called.contains(&call(node)), "{called:?}");
    }
}

// Goal: whatever is said and lost in whatever order, calls are routed only to who said last that it
// leads, and there is always a way on.
// Method: seeded members that lie, fall silent and disappear; the test keeps who is connected.
#[test]
fn routes_lead_to_who_says_that_it_leads() {
    let mut found = 0;
    for seed in 0..300 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut watcher = Watcher::new(&[1, 2]);
        let (mut connected, mut called, mut route) = (None, None::<String>, None);
        for _ in 0..300 {
            let leader = Some(rng.next_u64() % 5).filter(|leader| (1..=4).contains(leader));
            let moves = match (rng.next_u64() % 4, connected, called.take()) {
                (0, _, Some(_)) => watcher.lost(),
                (_, _, Some(address)) => {
                    let at = (1..=3).find(|node| address == self::address(*node)).expect("known");
                    connected = Some(at);
                    watcher.told(at, leader)
                }
                (0, Some(_), None) => {
                    connected = None;
                    watcher.lost()
                }
                (1, Some(at), None) => watcher.told(at, leader),
                (..) => watcher.pass(Duration::from_millis(rng.next_u64() % 700)),
            };
            for made in moves {
                match made {
                    Move::Call(address) => {
                        assert_eq!(route, None, "seed {seed}: who is routed to is not left");
                        (connected, called) = (None, Some(address));
                    }
                    Move::Route(to) => {
                        found += u64::from(to.is_some());
                        route = to;
                    }
                }
            }
            assert!(route.is_none() || route.map(NodeId::number) == connected, "seed {seed}");
            let watched = watcher.lookout.watched().map(NodeId::number);
            assert!(watched.is_none() || watched == connected && route.is_none(), "seed {seed}");
            let waits = watcher.lookout.due().is_some();
            assert!(waits || called.is_some() || route.is_some(), "seed {seed}: nothing goes on");
        }
    }
    assert!(found > 3_000, "leaders are found: {found}");
}

// Goal: the layout of what members tell clients is known to the byte, and no other bytes are taken
// for it.
#[test]
fn whereabouts_have_one_encoding() {
    let members = [(id(2), "b:1".to_owned()), (id(7), String::new())].into();
    let told = Whereabouts { leader: Some(id(7)), members };
    let bytes = [
        &[7, 0, 0, 0, 0, 0, 0, 0][..],
        &[2, 0, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, b'b', b':', b'1'],
        &[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    assert_eq!(told.encoded(), bytes);
    assert_eq!(Whereabouts::decode_all(bytes.clone().into()), Ok(told));
    for length in 0..bytes.len() {
        let cut = Bytes::copy_from_slice(&bytes[..length]);
        assert_eq!(Whereabouts::decode_all(cut), Err(DecodeError::Truncated));
    }
    let many = [&[0; 8][..], &[0xff; 4]].concat();
    assert_eq!(Whereabouts::decode_all(many.into()), Err(DecodeError::Truncated));
    let mut nobody = bytes.clone();
    nobody[12] = 0;
    assert_eq!(Whereabouts::decode_all(nobody.into()), Err(DecodeError::Invalid("node id")));
    let mut no_text = bytes;
    no_text[24] = 0xff;
    assert_eq!(Whereabouts::decode_all(no_text.into()), Err(DecodeError::Invalid("address")));
}

// Goal: two programs agree on an operation if they agree on its kind, name and arguments; what its
// author says of it does not matter.
#[test]
fn fingerprints_tell_operations_apart() {
    let add = |kind, doc| Operation { name: "add", arguments: kind, doc };
    const I64: &[Argument] = &[Argument { name: "by", kind: "i64" }];
    const U64: &[Argument] = &[Argument { name: "by", kind: "u64" }];
    let of = |command: Operation| {
        let commands = vec![command].leak();
        let interface = Interface { commands, queries: &[] };
        interface.fingerprints().next().expect("there is one")
    };
    assert_eq!(of(add(I64, "")), of(add(I64, "Adds.")));
    assert_ne!(of(add(I64, "")), of(add(U64, "")));
    assert_ne!(of(add(I64, "")), of(add(&[], "")));
    let query = Interface { commands: &[], queries: vec![add(I64, "")].leak() };
    assert_ne!(query.fingerprints().next(), Some(of(add(I64, ""))));
    assert_eq!(add(I64, "").to_string(), "add(by: i64)");
}
