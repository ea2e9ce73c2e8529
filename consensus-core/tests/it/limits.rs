//! The replica and what it is not prepared for: hostile commands, long replies, fast clocks.

use bytes::Bytes;
use consensus_core::{
    Cx, Decided, GroupId, Index, Interface, Outcome, StateMachine, WallTime,
    codec::Encode,
    replica::{Body, Envelope, REPLY_BYTES_MAX, Rejection, Replica, Reply},
};
use serde::{Deserialize, Deserializer, Serialize};

/// Answers with as many bytes as it is asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Echo;

/// A length; its decoding panics at zero.
#[derive(Serialize)]
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let length = usize::deserialize(deserializer)?;
        assert!(length > 0, "a length is positive");
        Ok(Self(length))
    }
}

impl StateMachine for Echo {
    type Command = Length;
    type Reply = String;
    type Query = Length;
    type Answer = String;

    const INTERFACE: Interface = Interface { commands: &[], queries: &[] };

    fn apply(&mut self, _: &mut Cx, Length(length): Length) -> String {
        "x".repeat(length)
    }

    fn answer(&self, Length(length): Length) -> String {
        "x".repeat(length)
    }
}

fn encoded(length: usize) -> Bytes {
    rmp_serde::to_vec_named(&length).expect("a number encodes").into()
}

fn envelope(at: WallTime, command: Bytes) -> Bytes {
    let mut bytes = Vec::new();
    let key = command.clone();
    Envelope { at, body: Body::Keyed { key, digest: 0, command } }.encode(&mut bytes);
    bytes.into()
}

fn apply(replica: &mut Replica<Echo>, length: usize) -> Reply {
    let command = Some(envelope(WallTime(1), encoded(length)));
    let decided = Decided { index: replica.applied().next(), command, ticket: None };
    replica.apply(&decided).expect("a command has a reply")
}

// Goal: a command whose decoding panics is that command's outcome, and the replica goes on.
#[test]
fn panic_in_decoding_is_an_outcome() {
    let mut replica = Replica::<Echo>::new(GroupId(1));
    assert_eq!(apply(&mut replica, 0), Err(Rejection::Panicked));
    assert_eq!(replica.query(&encoded(0)), Err(Rejection::Panicked));
    assert!(apply(&mut replica, 1).is_ok());
    assert_eq!(replica.applied(), Index(2));
}

// Goal: a reply that no frame holds is refused where it is made, and said to be applied.
#[test]
fn long_reply_is_refused() {
    let mut replica = Replica::<Echo>::new(GroupId(1));
    assert_eq!(apply(&mut replica, REPLY_BYTES_MAX), Err(Rejection::ReplyTooLarge));
    assert_eq!(replica.query(&encoded(REPLY_BYTES_MAX)), Err(Rejection::ReplyTooLarge));
    assert_eq!(Rejection::ReplyTooLarge.outcome(), Outcome::Applied);
    assert!(apply(&mut replica, REPLY_BYTES_MAX - 5).is_ok());
}

// Goal: a leader takes no later time than its own from another node, and changes nothing else.
#[test]
fn fast_clock_is_held_back() {
    let noon = WallTime(43_200_000);
    let fast = envelope(WallTime(u64::MAX), encoded(7));
    assert_eq!(Envelope::no_later_than(fast, noon), envelope(noon, encoded(7)));
    let slow = envelope(WallTime(5), encoded(7));
    assert_eq!(Envelope::no_later_than(slow.clone(), noon), slow);
    for length in 0..10 {
        let short = Bytes::from(vec![0xff; length]);
        assert_eq!(Envelope::no_later_than(short.clone(), noon).len(), length);
    }
}
