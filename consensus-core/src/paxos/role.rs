//! Any of the three roles, for hosts that treat them alike.

use std::{
    hash::{Hash, Hasher},
    mem,
};

use super::{
    ACCEPTOR, LEARNER, PROPOSER, acceptor::Acceptor, config::Config, learner::Learner,
    message::Message, proposer::Proposer, record::Record,
};
use crate::{
    ensemble::Roles,
    error::RecoverError,
    members::NodeId,
    process::{Effect, Effects, Input, Process, Seat, Status, Ticket, Token},
    time::Time,
};

/// Paxos's own inputs, which proposers take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Callers that want to know what is chosen, if anything is: linearizably. Each is answered
    /// with `ReadReady`, at zero if nothing had been chosen when it asked.
    Read(Vec<Ticket>),
}

/// One of the roles that stand side by side, by the seat it has.
///
/// Each is a process of its own, and can be had without this. A host that runs all of them on each
/// node, such as a simulator, need not tell them apart.
#[derive(Clone, Debug)]
pub enum Role {
    /// At [`PROPOSER`].
    Proposer(Proposer),
    /// At [`ACCEPTOR`].
    Acceptor(Acceptor),
    /// At [`LEARNER`].
    Learner(Learner),
}

impl Role {
    /// The seats of a node, in the order in which it is natural to speak of them.
    pub const SEATS: [Seat; 3] = [PROPOSER, ACCEPTOR, LEARNER];

    /// Returns the seat.
    pub fn seat(&self) -> Seat {
        match self {
            Self::Proposer(_) => PROPOSER,
            Self::Acceptor(_) => ACCEPTOR,
            Self::Learner(_) => LEARNER,
        }
    }

    /// Returns the role's name in the paper, lower case.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proposer(_) => "proposer",
            Self::Acceptor(_) => "acceptor",
            Self::Learner(_) => "learner",
        }
    }

    /// Feeds all that decides what this role will do to `out`, but for when: its configuration, the
    /// moments at which it asks again, what draws them, and the numbers of its records are left
    /// out.
    ///
    /// Searches of states tell roles apart by it.
    pub fn fingerprint(&self, out: &mut impl Hasher) {
        mem::discriminant(self).hash(out);
        match self {
            Self::Proposer(proposer) => proposer.fingerprint(out),
            Self::Acceptor(acceptor) => acceptor.fingerprint(out),
            Self::Learner(learner) => learner.fingerprint(out),
        }
    }

    /// Returns its configuration.
    pub fn config(&self) -> &Config {
        match self {
            Self::Proposer(proposer) => proposer.config(),
            Self::Acceptor(acceptor) => acceptor.config(),
            Self::Learner(learner) => learner.config(),
        }
    }
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
            other => unreachable!("{other:?} is no seat of Paxos"),
        }
    }

    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match self {
            Self::Proposer(proposer) => step(proposer, now, input, out),
            Self::Acceptor(acceptor) => step(acceptor, now, input, out),
            Self::Learner(learner) => step(learner, now, input, out),
        }
    }
}

impl Roles for Role {
    type Common = Config;

    const SEATS: &'static [Seat] = &Self::SEATS;

    fn configured(config: &Config, seat: Seat) -> (Config, Seat) {
        (config.clone(), seat)
    }

    fn node(config: &Config) -> NodeId {
        config.id()
    }

    fn concerned<P: Process<Control = Self::Control>>(input: &Input<P>) -> &'static [Seat] {
        concerned(input)
    }

    /// A decision is no log: there is nothing to tell.
    fn tell(&self, _: &mut Status) {}
}

/// Returns the seats that an input of the host is for, where proposers are asked.
pub(crate) fn concerned<R: Process>(input: &Input<R>) -> &'static [Seat] {
    match input {
        Input::Tick => &[PROPOSER, ACCEPTOR, LEARNER],
        Input::Submit(_) | Input::Control(_) => &[PROPOSER],
        // Messages are addressed, each role is told of its own records, and there are no snapshots.
        Input::Receive { .. } | Input::Persisted { .. } | Input::Snapshot(_) => &[],
    }
}

/// Steps one role of any that a node has, the process `R`; what it takes and asks for is the same
/// for all.
pub(crate) fn step<R, P>(role: &mut P, now: Time, input: Input<R>, out: &mut Effects<R>)
where
    R: Process,
    P: Process<Message = R::Message, Record = R::Record, Control = R::Control>,
{
    let mut effects = Effects::default();
    role.step(now, taken(input), &mut effects);
    effects.drain().for_each(|effect| out.push(asked(effect)));
}

fn taken<R, P>(input: Input<R>) -> Input<P>
where
    R: Process,
    P: Process<Message = R::Message, Record = R::Record, Control = R::Control>,
{
    match input {
        Input::Tick => Input::Tick,
        Input::Receive { from, message } => Input::Receive { from, message },
        Input::Submit(submissions) => Input::Submit(submissions),
        Input::Persisted { upto } => Input::Persisted { upto },
        Input::Snapshot(report) => Input::Snapshot(report),
        Input::Control(control) => Input::Control(control),
    }
}

fn asked<R, P>(effect: Effect<P>) -> Effect<R>
where
    R: Process,
    P: Process<Message = R::Message, Record = R::Record, Control = R::Control>,
{
    match effect {
        Effect::Persist { token, record } => Effect::Persist { token, record },
        Effect::Send { to, message, after } => Effect::Send { to, message, after },
        Effect::Apply(decided) => Effect::Apply(decided),
        Effect::ReadReady { ticket, at } => Effect::ReadReady { ticket, at },
        Effect::Answer { ticket, error } => Effect::Answer { ticket, error },
        Effect::Done { ticket } => Effect::Done { ticket },
        Effect::Route { leader } => Effect::Route { leader },
        Effect::Compact { before } => Effect::Compact { before },
        Effect::Snapshot(order) => Effect::Snapshot(order),
    }
}
