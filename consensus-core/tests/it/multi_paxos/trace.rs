//! How traces write things down: `3.2` is the ballot of round 3 that belongs to node 2, `4 put a 1`
//! a command in slot 4, `4@3.2` the same as that ballot proposed it.

use consensus_core::{
    Index, Seat,
    ensemble::{Addressed, Entry},
    multi_paxos::{ACCEPTOR, Ballot, LEARNER, Message, PROPOSER, Record, Value, Vote},
};

use crate::kv;

/// Writes the letter of a seat down.
pub(super) fn letter(seat: Seat) -> char {
    match seat {
        PROPOSER => 'p',
        ACCEPTOR => 'a',
        LEARNER => 'l',
        other => panic!("{other:?} is no seat of Multi-Paxos"),
    }
}

/// Writes a ballot down that may be none.
pub(super) fn ballot(ballot: Option<Ballot>) -> String {
    ballot.map_or_else(|| "none".into(), |ballot| ballot.to_string())
}

fn value(value: &Value) -> String {
    match value {
        Value::NoOp => "noop".into(),
        Value::Command(command) => kv::describe(command),
        Value::Membership(membership) => format!("<{}>", membership.describe()),
    }
}

fn values(first: Index, values: &[Value]) -> String {
    // Forged slots may be the last that there are.
    let slots = (0..).zip(values);
    let slots = slots.map(|(place, it)| format!("{} {}", first.0.wrapping_add(place), value(it)));
    format!("[{}]", slots.collect::<Vec<_>>().join(", "))
}

/// Writes a message down.
pub(super) fn message(Addressed { message, .. }: &Addressed<Message>) -> String {
    match message {
        Message::Canvass { ballot } => format!("Canvass {ballot}"),
        Message::Prepare { ballot, first, transfer } => {
            let told = transfer.map_or_else(String::new, |by| format!(" told by {by}"));
            format!("Prepare {ballot} from {first}{told}")
        }
        Message::Accept { ballot, first, values: it, chosen } => {
            format!("Accept {ballot} {} chosen={chosen}", values(*first, it))
        }
        Message::Heartbeat { ballot, round, chosen } => {
            format!("Heartbeat {ballot} round={round} chosen={chosen}")
        }
        Message::Support { ballot, chosen } => format!("Support {ballot} chosen={chosen}"),
        Message::Promise { ballot, first, votes, upto, last, base } => {
            let vote = |it: &Vote| format!("{}@{} {}", it.slot, it.ballot, value(&it.value));
            let votes: Vec<_> = votes.iter().map(vote).collect();
            let (votes, base) = (votes.join(", "), base.0);
            format!("Promise {ballot} {first}..{upto} of {last} base={base} [{votes}]")
        }
        Message::Nack { ballot, promised } => format!("Nack {ballot} promised={promised}"),
        Message::Accepted { ballot, first, last } => format!("Accepted {ballot} {first}..{last}"),
        Message::HeartbeatReply { ballot, round, promise, .. } => {
            let loyal = promise.map_or_else(String::new, |it| format!(" loyal for {it:?}"));
            format!("HeartbeatReply {ballot} round={round}{loyal}")
        }
        Message::ReadIndex { id, lease } => {
            format!("ReadIndex {id}{}", if *lease { " or lease" } else { "" })
        }
        Message::ReadIndexReply { id, index } => format!("ReadIndexReply {id} index={index}"),
        Message::TakeOver { ballot } => format!("TakeOver {ballot}"),
        Message::Learn { first, state } => {
            format!("Learn from {first}{}", if *state { " with state" } else { "" })
        }
        Message::Learned { first, values: it, chosen } => {
            format!("Learned {} chosen={chosen}", values(*first, it))
        }
        Message::Offer { snapshot } => format!("Offer {snapshot}"),
        Message::Fetch { snapshot, part } => format!("Fetch {snapshot} part {part}"),
        Message::Part { snapshot, part, bytes } => {
            let what = if bytes.is_some() { "" } else { " is gone" };
            format!("Part {snapshot} part {part}{what}")
        }
        // Roles of one node say it to each other: it goes onto no link.
        Message::Recall { first } => format!("Recall from {first}"),
        Message::Forget { upto } => format!("Forget up to {upto}"),
        Message::Heard { ballot } => format!("Heard {ballot}"),
        Message::Promised { ballot } => format!("Promised {ballot}"),
        Message::Abreast { upto } => format!("Abreast up to {upto}"),
        Message::Known { chosen, base, .. } => format!("Known up to {chosen} base={base}"),
        Message::Voted { ballot, first, values: it, chosen } => {
            format!("Voted {ballot} {} chosen={chosen}", values(*first, it))
        }
        Message::Chosen { ballot, upto } => format!("Chosen {ballot} up to {upto}"),
        Message::Settled { ballot, upto, .. } => format!("Settled {ballot} up to {upto}"),
    }
}

/// Writes a record down.
pub(super) fn record(Entry { seat, record, .. }: &Entry<Record>) -> String {
    let what = match record {
        Record::Round(round) => format!("round {}", round.0),
        Record::Promised(ballot) => format!("promised {ballot}"),
        Record::Accepted { ballot, first, values: it, chosen } => {
            format!("accepted {ballot} {} chosen={chosen}", values(*first, it))
        }
        Record::Forgotten { upto, promised, .. } => {
            format!("forgotten up to {upto} promised={}", ballot(*promised))
        }
        Record::Snapshot(cut) => format!("snapshot up to {}", cut.index),
    };
    format!("{}: {what}", letter(*seat))
}
