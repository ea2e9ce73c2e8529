//! Fast Paxos under the simulator.

use bytes::Bytes;

use super::{
    Control, PROPOSER,
    config::Config,
    invariants::{Observer, Violation},
    message::Message,
    quorum::Quorums,
    record::Record,
    role::Role,
    round::Proposal,
};
use crate::{
    members::NodeId,
    paxos,
    process::{Effect, Input, Seat, Ticket, Token},
    sim::{Broken, Deciding, DecisionJudge, Seating},
};

impl Deciding for Role {
    type Judge = Observer;

    const SEATS: &'static [Seat] = &Self::SEATS;

    const ASKED: Seat = PROPOSER;

    fn config(seating: &Seating, seat: Seat) -> (Config, Seat) {
        let (prepare, accept) = seating.quorums;
        let classic = paxos::Quorums::new(&seating.members, prepare, accept);
        let classic = classic.expect("the simulator draws quorums that meet");
        let quorums = Quorums::fewest(&seating.members, classic);
        let config = Config::builder(seating.id, seating.group, seating.members.clone())
            .quorums(quorums.expect("all make a fast quorum, if fewer do not"))
            .retry(seating.retry)
            .pause_max(seating.pause_max)
            .seed(seating.seed);
        #[cfg(feature = "mutants")]
        let config = match seating.bug {
            Some(crate::mutants::Bug::FastPaxos(mutant)) => config.mutant(mutant),
            Some(_) | None => config,
        };
        (config.build().expect("the simulator draws values that fit"), seat)
    }

    fn read(ticket: Ticket) -> Input<Self> {
        Input::Control(Control::Read(vec![ticket]))
    }

    fn standing(&self) -> (&'static str, u64) {
        match self {
            Self::Proposer(proposer) => (proposer.phase().0, proposer.round().0),
            Self::Acceptor(_) | Self::Learner(_) => (self.name(), 0),
        }
    }

    fn describe_message(message: &Message) -> String {
        match message {
            Message::Prepare { ballot } => format!("Prepare {ballot}"),
            Message::Promise { ballot, voted: None } => {
                format!("Promise {ballot}, has voted for nothing")
            }
            Message::Promise { ballot, voted: Some(voted) } => {
                format!("Promise {ballot}, has voted for {}", described(voted))
            }
            Message::Any { ballot } => format!("Any {ballot}"),
            Message::Propose { value } => format!("Propose {}", text(value)),
            Message::Accept { proposal } => format!("Accept {}", described(proposal)),
            Message::Accepted { proposal } => format!("Accepted {}", described(proposal)),
            Message::Nack { ballot, promised } => {
                format!("Nack {ballot}, has promised {promised}")
            }
            Message::Ask => "Ask".to_owned(),
            Message::Chosen { proposal } => format!("Chosen {}", described(proposal)),
        }
    }

    fn describe_record(record: &Record) -> String {
        match record {
            Record::Round(round) => format!("round {}", round.0),
            Record::Promised(ballot) => format!("promised {ballot}"),
            Record::Voted(proposal) => format!("voted for {}", described(proposal)),
            Record::Chosen(proposal) => format!("chosen {}", described(proposal)),
        }
    }
}

fn described(proposal: &Proposal) -> String {
    format!("{} of {}", text(&proposal.value), proposal.round)
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

impl DecisionJudge<Role> for Observer {
    fn recovered(&mut self, role: &Role) -> Result<(), Broken> {
        Self::recovered(self, role).map_err(|violation| self.broken(&violation))
    }

    fn asked(&mut self, node: NodeId, input: &Input<Role>) {
        Self::asked(self, node, input);
    }

    fn stepped(&mut self, role: &Role, effects: &[Effect<Role>]) -> Result<(), Broken> {
        self.observe(role, effects).map_err(|violation| self.broken(&violation))
    }

    fn durable(&mut self, node: NodeId, seat: Seat, upto: Token) -> Result<(), Broken> {
        Self::durable(self, node, seat, upto).map_err(|violation| self.broken(&violation))
    }

    fn sent(&mut self, from: NodeId, message: &Message) -> Result<(), Broken> {
        Self::sent(self, from, message).map_err(|violation| self.broken(&violation))
    }
}

impl Observer {
    /// Tells what does not hold, and what each acceptor's disk holds.
    fn broken(&self, violation: &Violation) -> Broken {
        Broken { what: violation.to_string(), evidence: self.standings() }
    }
}
