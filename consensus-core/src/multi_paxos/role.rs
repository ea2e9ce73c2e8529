//! Any of the three roles: the process that hosts run.

use super::{
    ACCEPTOR, LEARNER, PROPOSER, acceptor::Acceptor, config::Config, learner::Learner,
    message::Message, proposer::Proposer, record::Record,
};
use crate::{
    client::Admin,
    ensemble::Roles,
    error::RecoverError,
    log::Index,
    members::NodeId,
    process::{Effects, Input, Process, Seat, Status, Ticket, Token},
    read::Read,
    time::Time,
};

/// Multi-Paxos's own inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Reads, each at its level; for proposers.
    Read(Vec<Read>),
    /// What an operator asks for; for proposers.
    Admin(Ticket, Admin),
    /// The process is about to end: hand the lead over if this node has it, and campaign no more.
    /// Done when another leads, or when there is no lead to hand over. For proposers.
    Resign(Ticket),
    /// The disk is full (true), or has room again (false). For all.
    StorageFull(bool),
    /// The journal would give up old records that the roles still rest on. For all.
    MakeRoom,
    /// A snapshot is to be taken now, whether one is due or not. For learners.
    TakeSnapshot,
    /// The replica has more to apply than it may (true), or can take more again (false). For
    /// proposers and learners.
    Behind(bool),
}

/// One of the roles that stand side by side, by the seat it has.
#[derive(Clone, Debug)]
pub enum Role {
    /// At [`PROPOSER`].
    Proposer(Proposer),
    /// At [`ACCEPTOR`].
    Acceptor(Acceptor),
    /// At [`LEARNER`].
    Learner(Learner),
}

impl Process for Role {
    type Config = (Config, Seat);
    type Message = Message;
    type Record = Record;
    type Control = Control;

    fn recover(
        (config, seat): (Config, Seat),
        now: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        match seat {
            PROPOSER => Proposer::recover(config, now, records).map(Self::Proposer),
            ACCEPTOR => Acceptor::recover(config, now, records).map(Self::Acceptor),
            LEARNER => Learner::recover(config, now, records).map(Self::Learner),
            other => unreachable!("{other:?} is no seat of Multi-Paxos"),
        }
    }

    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match self {
            Self::Proposer(proposer) => proposer.step(now, input, out),
            Self::Acceptor(acceptor) => acceptor.step(now, input, out),
            Self::Learner(learner) => learner.step(now, input, out),
        }
    }
}

impl Roles for Role {
    type Common = Config;

    const SEATS: &'static [Seat] = &[PROPOSER, ACCEPTOR, LEARNER];

    fn configured(config: &Config, seat: Seat) -> (Config, Seat) {
        (config.clone(), seat)
    }

    fn node(config: &Config) -> NodeId {
        config.id()
    }

    fn concerned<P: Process<Control = Self::Control>>(input: &Input<P>) -> &'static [Seat] {
        match input {
            Input::Tick => Self::SEATS,
            Input::Submit(_) => &[PROPOSER],
            Input::Snapshot(_) => &[LEARNER],
            // Messages are addressed, and each role is told of its own records.
            Input::Receive { .. } | Input::Persisted { .. } => &[],
            Input::Control(control) => match control {
                Control::Read(_) | Control::Admin(..) | Control::Resign(_) => &[PROPOSER],
                Control::StorageFull(_) | Control::MakeRoom => Self::SEATS,
                Control::TakeSnapshot => &[LEARNER],
                Control::Behind(_) => &[PROPOSER, LEARNER],
            },
        }
    }

    fn followers(&self) -> Vec<(NodeId, Index)> {
        match self {
            Self::Proposer(proposer) => proposer.followers(),
            Self::Acceptor(_) | Self::Learner(_) => Vec::new(),
        }
    }

    fn awaits(&self, upto: Token) -> bool {
        match self {
            Self::Acceptor(acceptor) => acceptor.awaits(upto),
            Self::Proposer(_) | Self::Learner(_) => true,
        }
    }

    fn tell(&self, status: &mut Status) {
        match self {
            Self::Proposer(proposer) => proposer.tell(status),
            Self::Acceptor(acceptor) => acceptor.tell(status),
            Self::Learner(learner) => learner.tell(status),
        }
    }
}
