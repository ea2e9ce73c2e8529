//! How traces write things down: `p1`, `a1` and `l1` are the proposer, acceptor and learner of node
//! 1, `3.2` is the ballot of round 3 that belongs to node 2, `3.2:x` a proposal of value x in it.

use bytes::Bytes;
use consensus_core::{
    GroupId, Members, NodeId, Seat,
    paxos::{
        ACCEPTOR, Ballot, Config, LEARNER, Message, PROPOSER, Proposal, Quorums, Record, Role,
    },
};

use super::cluster::{Options, Tested};
use crate::bug;

/// Writes a role down.
pub(crate) fn spot(node: NodeId, seat: Seat) -> String {
    let letter = match seat {
        PROPOSER => 'p',
        ACCEPTOR => 'a',
        LEARNER => 'l',
        other => panic!("{other:?} is no seat of Paxos"),
    };
    format!("{letter}{}", node.number())
}

/// Writes a value down.
pub(crate) fn value(value: &Bytes) -> String {
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
pub(crate) fn ballot(ballot: Option<Ballot>) -> String {
    ballot.map_or_else(|| "none".into(), |ballot| ballot.to_string())
}

impl Tested for Role {
    type Settings = Config;

    fn settings(node: NodeId, acceptors: &Members, options: &Options) -> Config {
        let mut builder = Config::builder(node, GroupId::named("test"), acceptors.clone())
            .learners(options.learners())
            .retry(options.retry)
            .seed(node.number());
        if let Some((prepare, accept)) = options.quorums {
            let quorums = Quorums::new(acceptors, prepare, accept);
            builder = builder.quorums(quorums.expect("a script names quorums that meet"));
        }
        bug::paxos(builder).build().expect("test configurations are valid")
    }

    fn message(message: &Message) -> String {
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

    fn record(record: &Record) -> String {
        match record {
            Record::Round(round) => format!("round {}", round.0),
            Record::Promised(ballot) => format!("promised {ballot}"),
            Record::Accepted(it) => format!("accepted {}", proposal(it)),
            Record::Chosen(it) => format!("chosen {}", proposal(it)),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Proposer(proposer) => {
                let (phase, at) = proposer.phase();
                let at = at.map_or_else(String::new, |at| format!(" {at}"));
                format!("round={} {phase}{at}", proposer.round().0)
            }
            Self::Acceptor(acceptor) => format!(
                "promised={} accepted={}",
                ballot(acceptor.promised()),
                accepted(acceptor.accepted())
            ),
            Self::Learner(learner) => format!("chosen={}", accepted(learner.chosen())),
        }
    }
}
