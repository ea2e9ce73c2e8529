//! What makes a struct a replicated actor: the traits behind the macros.
//!
//! `#[replicated]` writes all of them and [`StateMachine`]; `#[derive(Replicated)]` tells it the
//! name and the protocol, and checks the fields. Who wants no macro implements [`StateMachine`] and
//! [`Replicated`] by hand.

use std::str::FromStr;

use consensus_core::{Cx, StateMachine};
use serde::{Serialize, de::DeserializeOwned};

use crate::{client::Client, simulation::Sim};

/// A state machine that a node can host.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a replicated actor",
    label = "not replicated",
    note = "derive `Replicated` for it, and put its commands into a `#[replicated] impl` block"
)]
pub trait Replicated: StateMachine {
    /// The typed client of a group; [`Client<Self>`] where the state machine is written by hand.
    type Client: From<Client<Self>> + Clone + Send + Sync + 'static;

    /// The state machine's stable name, which survives a rename of the type.
    const NAME: &'static str;

    /// The protocol that replicates it unless the configuration says otherwise.
    const PROTOCOL: Protocol = Protocol::Raft;

    /// Settings of its groups unless the configuration says otherwise, by name and as flags have
    /// them: `[("deadline", "2s")]`.
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];

    /// Starts a simulation of it: `Counter::simulate().check()`.
    fn simulate() -> Sim<Self> {
        Sim::new()
    }
}

/// A replication protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Raft: a leader, majorities, crash faults.
    Raft,
    /// Multi-Paxos: a leader, quorums of two sizes, crash faults.
    MultiPaxos,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Raft, Self::MultiPaxos];

    /// Returns the protocol's name as it is written in attributes and configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::MultiPaxos => "multi_paxos",
        }
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name).ok_or(())
    }
}

/// What `#[replicated]` adds to a state machine.
#[diagnostic::on_unimplemented(
    message = "`{Self}` derives `Replicated` but nothing says what its commands are",
    label = "no `#[replicated] impl {Self}` found",
    note = "add a block: #[replicated] impl {Self} {{ #[command] fn add(&mut self, by: i64) -> i64 \
    {{ .. }} }}",
    note = "or implement `consensus_actors::StateMachine` and `consensus_actors::Replicated` by \
    hand, without the derive"
)]
pub trait Commands: StateMachine {
    /// The typed client with a method for each command and query.
    type Client: From<Client<Self>> + Clone + Send + Sync + 'static;
}

/// A message that changes a replicated state.
pub trait Command: Into<<Self::State as StateMachine>::Command> + Send + 'static {
    /// The state machine that applies it.
    type State: Replicated;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;

    /// The command's name in the log and over HTTP.
    const NAME: &'static str;
}

/// A message that reads a replicated state.
pub trait Query: Into<<Self::State as StateMachine>::Query> + Send + 'static {
    /// The state machine that answers it.
    type State: Replicated;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;

    /// The query's name over HTTP.
    const NAME: &'static str;
}

/// A state machine that applies the command `C`.
pub trait Apply<C: Command<State = Self>>: Replicated {
    /// Applies a decided command.
    fn apply(&mut self, cx: &mut Cx, command: C) -> C::Reply;
}

/// A state machine that answers the query `Q`.
pub trait Answer<Q: Query<State = Self>>: Replicated {
    /// Answers a query.
    fn answer(&self, query: Q) -> Q::Reply;
}
