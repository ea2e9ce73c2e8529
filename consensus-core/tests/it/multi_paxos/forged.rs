//! Messages that scripts make up.

use std::error::Error;

use consensus_core::{
    Index, Members, NodeId, WallTime,
    ensemble::Addressed,
    multi_paxos::{Message, Value, Values, Vote},
};

use super::verbs::{Numbered, Verb};
use crate::{kv, raft::parse};

/// Makes the message that a verb names.
pub(super) fn message(verb: &Verb) -> Result<Addressed<Message>, Box<dyn Error>> {
    #[rustfmt::skip]
    let Verb::Forge {
        kind, ballot, by, first, upto, last, base, chosen, round, promise, values, votes, ..
    } = verb else { return Err("nothing else forges".into()) };
    let slot = |slot: &Option<u64>| Index(slot.unwrap_or(0));
    let (first, upto, last, base) = (slot(first), slot(upto), slot(last), slot(base));
    let (chosen, values) = (slot(chosen), read_values(values.as_deref())?);
    let round = round.unwrap_or(0);
    let ballot = ballot.map(|Numbered(it)| it).ok_or("of which ballot is it?");
    let by = by.map(|Numbered(it)| it);
    let message = match kind.as_str() {
        "canvass" => Message::Canvass { ballot: ballot? },
        "support" => Message::Support { ballot: ballot?, chosen },
        "prepare" => Message::Prepare { ballot: ballot?, first, transfer: by },
        "promise" => {
            let votes = read_votes(votes.as_deref())?;
            Message::Promise { ballot: ballot?, first, votes, upto, last, base }
        }
        "accept" => Message::Accept { ballot: ballot?, first, values, chosen },
        "accepted" => Message::Accepted { ballot: ballot?, first, last },
        "nack" => {
            let promised = by.ok_or("by which ballot?")?;
            Message::Nack { ballot: ballot?, promised }
        }
        "heartbeat" => Message::Heartbeat { ballot: ballot?, round, chosen },
        "heartbeatreply" => {
            let promise = promise.as_ref().map(|it| it.0);
            Message::HeartbeatReply { ballot: ballot?, round, promise, known: chosen, base }
        }
        "takeover" => Message::TakeOver { ballot: ballot? },
        "learn" => Message::Learn { first, state: false },
        "learned" => Message::Learned { first, values, chosen },
        "forget" => Message::Forget { upto },
        "recall" => Message::Recall { first },
        "chosen" => Message::Chosen { ballot: ballot?, upto },
        "voted" => Message::Voted { ballot: ballot?, first, values, chosen },
        other => return Err(format!("{other:?} is no message").into()),
    };
    Ok(Addressed { seat: message.seat(), message })
}

/// Reads `put a 1, noop, <1 2 3>`. The same text is the same command wherever it stands.
fn read_values(text: Option<&str>) -> Result<Values, Box<dyn Error>> {
    let texts = text.into_iter().flat_map(|text| text.split(", "));
    texts.map(read_value).collect::<Result<Vec<_>, _>>().map(Into::into)
}

fn read_value(text: &str) -> Result<Value, Box<dyn Error>> {
    if text == "noop" {
        return Ok(Value::NoOp);
    }
    if let Some(text) = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) {
        let voters = text.split(' ').map(str::parse).collect::<Result<Vec<NodeId>, _>>()?;
        let voters = Members::new(voters).ok_or("nobody votes")?;
        return Ok(Value::Membership(voters.into()));
    }
    let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
    Ok(Value::Command(kv::keyed(text, WallTime(0), &parse(&words)?)))
}

/// Reads `3@1.2 put a 1, 4@1.2 noop`.
fn read_votes(text: Option<&str>) -> Result<Vec<Vote>, Box<dyn Error>> {
    let texts = text.into_iter().flat_map(|text| text.split(", "));
    let vote = |text: &str| {
        let (at, value) = text.split_once(' ').ok_or("a vote is written 3@1.2 noop")?;
        let (slot, ballot) = at.split_once('@').ok_or("a vote is written 3@1.2 noop")?;
        let Numbered(ballot) = ballot.parse()?;
        Ok(Vote { slot: Index(slot.parse()?), ballot, value: read_value(value)? })
    };
    texts.map(vote).collect()
}
