//! How traces write Fast Paxos down.

use consensus_core::{
    GroupId, Members, NodeId,
    fast_paxos::{Config, Message, Proposal, Quorums, Record, Role},
    paxos,
};

use crate::{
    bug,
    paxos::{
        cluster::{Options, Tested},
        trace::value,
    },
};

fn proposal(proposal: &Proposal) -> String {
    format!("{}:{}", proposal.round, value(&proposal.value))
}

fn voted(voted: Option<&Proposal>) -> String {
    voted.map_or_else(|| "none".into(), proposal)
}

impl Tested for Role {
    type Settings = Config;

    fn settings(node: NodeId, acceptors: &Members, options: &Options) -> Config {
        let mut builder = Config::builder(node, GroupId::named("test"), acceptors.clone())
            .learners(options.learners())
            .retry(options.retry)
            .seed(node.number());
        if let Some((prepare, accept)) = options.quorums {
            let classic = paxos::Quorums::new(acceptors, prepare, accept);
            let classic = classic.expect("a script names quorums that meet");
            let quorums = match options.fast {
                Some(fast) => Quorums::new(acceptors, classic, fast),
                None => Quorums::fewest(acceptors, classic),
            };
            builder = builder.quorums(quorums.unwrap_or_else(|error| panic!("{error}")));
        }
        bug::fast_paxos(builder).build().expect("test configurations are valid")
    }

    fn message(message: &Message) -> String {
        match message {
            Message::Prepare { ballot } => format!("Prepare {ballot}"),
            Message::Promise { ballot, voted: found } => {
                format!("Promise {ballot} voted={}", voted(found.as_ref()))
            }
            Message::Accept { proposal: it } => format!("Accept {}", proposal(it)),
            Message::Any { ballot } => format!("Any {ballot}"),
            Message::Propose { value: it } => format!("Propose {}", value(it)),
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
            Record::Voted(it) => format!("voted {}", proposal(it)),
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
            Self::Acceptor(acceptor) => {
                let open = acceptor.open().map_or_else(String::new, |it| format!(" open={it}"));
                let promised = acceptor.promised();
                format!("promised={promised} voted={}{open}", voted(acceptor.voted()))
            }
            Self::Learner(learner) => format!("chosen={}", voted(learner.chosen())),
        }
    }
}
