//! How traces write things down: `p1`, `a1` and `l1` are the proposer, acceptor and learner of node
//! 1, `3.2` is the ballot of round 3 that belongs to node 2, `3.2:x` a proposal of value x in it.

use bytes::Bytes;
use consensus_core::{
    NodeId, Seat,
    paxos::{ACCEPTOR, Ballot, LEARNER, Message, PROPOSER, Proposal, Record, Role},
};

/// Writes a role down.
pub(super) fn spot(node: NodeId, seat: Seat) -> String {
    let letter = match seat {
        PROPOSER => 'p',
        ACCEPTOR => 'a',
        LEARNER => 'l',
        other => panic!("{other:?} is no seat of Paxos"),
    };
    format!("{letter}{}", node.number())
}

/// Writes a value down.
pub(super) fn value(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Writes a proposal down.
pub(super) fn proposal(proposal: &Proposal) -> String {
    format!("{}:{}", proposal.ballot, value(&proposal.value))
}

/// Writes a proposal down that may be none.
pub(super) fn accepted(accepted: Option<&Proposal>) -> String {
    accepted.map_or_else(|| "none".into(), proposal)
}

/// Writes a ballot down that may be none.
pub(super) fn ballot(ballot: Option<Ballot>) -> String {
    ballot.map_or_else(|| "none".into(), |ballot| ballot.to_string())
}

/// Writes a message down.
pub(super) fn message(message: &Message) -> String {
    match message {
        Message::Prepare { ballot } => format!("Prepare {ballot}"),
        Message::Promise { ballot, accepted: found } => {
            format!("Promise {ballot} accepted={}", accepted(found.as_ref()))
        }
        Message::Accept { proposal: it } => format!("Accept {}", proposal(it)),
        Message::Accepted { proposal: it } => format!("Accepted {}", proposal(it)),
        Message::Nack { ballot, promised } => format!("Nack {ballot} promised={promised}"),
        Message::Ask => "Ask".into(),
        Message::Chosen { proposal: it } => format!("Chosen {}", proposal(it)),
    }
}

/// Writes a record down.
pub(super) fn record(record: &Record) -> String {
    match record {
        Record::Round(round) => format!("round {}", round.0),
        Record::Promised(ballot) => format!("promised {ballot}"),
        Record::Accepted(it) => format!("accepted {}", proposal(it)),
        Record::Chosen(it) => format!("chosen {}", proposal(it)),
    }
}

/// Tells what a role holds.
pub(super) fn role(role: &Role) -> String {
    match role {
        Role::Proposer(proposer) => {
            let (phase, at) = proposer.phase();
            let at = at.map_or_else(String::new, |at| format!(" {at}"));
            format!("round={} {phase}{at}", proposer.round().0)
        }
        Role::Acceptor(acceptor) => format!(
            "promised={} accepted={}",
            ballot(acceptor.promised()),
            accepted(acceptor.accepted())
        ),
        Role::Learner(learner) => format!("chosen={}", accepted(learner.chosen())),
    }
}
