//! A hosted group as tools see it: commands and queries by name, arguments as JSON or as text.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use consensus_core::{
    CommitToken, Index, NodeId, Operation, Outcome, ReadLevel, StateMachine, Status,
    client::{Admin, Ask, Attempted, Whereabouts},
    snapshot::{Manifest, Saved},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{broadcast, oneshot};

use super::Board;
use crate::{
    Protocol, arguments,
    call::{self, Call, Reading},
    client::{self, Client},
    error::{Code, Error, Result},
    replica::{Idle, Inspect, Origin, Requests, Resign, TakeSnapshot},
    replicated::Replicated,
    suggest::{did_you_mean, listed},
    transport::{
        Identity,
        guest::{Desk, Guest},
    },
};

/// The arguments of a command or query, as a tool has them.
#[derive(Clone, Debug)]
pub(crate) enum Arguments {
    /// A JSON object.
    Json(serde_json::Map<String, Value>),
    /// Names and texts, as in a URL; each text is read as the type that is wanted.
    Text(Vec<(String, String)>),
}

/// What a group replied, as JSON, and the token of the state that it comes from.
pub(crate) struct Replied {
    pub(crate) reply: Value,
    pub(crate) token: Option<CommitToken>,
}

/// The answer of a group, when it comes.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Replied>> + Send>>;

/// The snapshot that was taken, when it is durable.
pub(crate) type Taken = Pin<Box<dyn Future<Output = Result<Saved>> + Send>>;

/// A group that this node hosts, whatever its state machine.
pub(crate) trait Group: Desk {
    /// Applies a command, once for `key` if there is one.
    fn command(
        &self,
        name: &str,
        arguments: Arguments,
        key: Option<&str>,
        deadline: Option<Duration>,
    ) -> Result<Answer>;

    /// Answers a query, at the level that it is declared with or at another.
    fn query(
        &self,
        name: &str,
        arguments: Arguments,
        reading: Option<Reading>,
        deadline: Option<Duration>,
    ) -> Result<Answer>;

    /// Does what an operator asks of the group's protocol.
    fn admin(&self, admin: Admin, deadline: Option<Duration>) -> Answer;

    /// Hands the lead over before the node ends; tells whether nothing is left to do.
    fn resign(&self) -> oneshot::Receiver<bool>;

    /// Tells when no caller of this node's waits for an answer.
    fn idle(&self) -> oneshot::Receiver<()>;

    /// Tells how far the log of each follower is known to agree, if this node leads.
    fn followers(&self) -> oneshot::Receiver<Vec<(NodeId, Index)>>;

    /// Returns the stable name of the state machine.
    fn machine(&self) -> &'static str;

    /// Returns the group's commands and queries.
    fn interface(&self) -> consensus_core::Interface;

    /// Returns what the query of this name is promised unless its caller asks for something else.
    fn read_level(&self, query: &str) -> ReadLevel;

    /// Takes a snapshot of what is applied here, and tells which it is.
    fn take_snapshot(&self) -> Taken;

    /// Tells which snapshots of the group are on this node, oldest first.
    fn snapshots(&self) -> Vec<Manifest>;

    /// Tells whether this replica leads and holds a lease now.
    fn holds_lease(&self) -> bool;

    /// Follows what is applied here.
    fn follow_applied(&self) -> broadcast::Receiver<()>;

    /// Tells how the group stands: its protocol's name, its status, and what is applied.
    fn status(&self) -> (&'static str, Status, Index);
}

/// A hosted group of the state machine `S`.
pub(super) struct HostedGroup<S: Replicated> {
    name: String,
    protocol: Protocol,
    client: Client<S>,
    board: Arc<Board>,
    identity: Identity,
}

impl<S: Replicated> HostedGroup<S> {
    pub(super) fn new(
        (name, protocol): (String, Protocol),
        client: Client<S>,
        board: Arc<Board>,
        identity: Identity,
    ) -> Self {
        Self { name, protocol, client, board, identity }
    }

    fn answer(&self, ask: Ask, reading: Option<Reading>, deadline: Option<Duration>) -> Answer {
        let call: Call<bytes::Bytes> = self.client.start(Ok(ask)).reading(reading);
        let call = match deadline {
            Some(deadline) => call.deadline(deadline),
            None => call,
        };
        Box::pin(async move {
            let call::Answer { reply, token } = call.raw().await?;
            Ok(Replied { reply: arguments::to_json(&reply)?, token })
        })
    }
}

impl<S: Replicated> Group for HostedGroup<S> {
    fn command(
        &self,
        name: &str,
        arguments: Arguments,
        key: Option<&str>,
        deadline: Option<Duration>,
    ) -> Result<Answer> {
        let operations = S::INTERFACE;
        let operation = find(&self.name, "command", name, operations.commands, operations.queries)?;
        let command: S::Command = parse(operation, arguments)?;
        let ask = match key {
            Some(key) => client::keyed(key, &command)?,
            None => client::once(&command)?,
        };
        Ok(self.answer(ask, None, deadline))
    }

    fn query(
        &self,
        name: &str,
        arguments: Arguments,
        reading: Option<Reading>,
        deadline: Option<Duration>,
    ) -> Result<Answer> {
        let operations = S::INTERFACE;
        let operation = find(&self.name, "query", name, operations.queries, operations.commands)?;
        let query: S::Query = parse(operation, arguments)?;
        let answer = self.answer(client::question::<S>(&query)?, reading, deadline);
        // Whatever becomes of a query, it changes nothing.
        Ok(Box::pin(async { answer.await.map_err(|e| e.with_outcome(Outcome::NotApplied)) }))
    }

    fn admin(&self, admin: Admin, deadline: Option<Duration>) -> Answer {
        self.answer(Ask::Admin(admin), None, deadline)
    }

    fn resign(&self) -> oneshot::Receiver<bool> {
        let (resigned, settled) = oneshot::channel();
        self.client.addr().do_send(Resign(resigned));
        settled
    }

    fn idle(&self) -> oneshot::Receiver<()> {
        let (waits, idle) = oneshot::channel();
        self.client.addr().do_send(Idle(waits));
        idle
    }

    fn followers(&self) -> oneshot::Receiver<Vec<(NodeId, Index)>> {
        let (answer, answered) = oneshot::channel();
        self.client.addr().do_send(Inspect(answer));
        answered
    }

    fn machine(&self) -> &'static str {
        S::NAME
    }

    fn interface(&self) -> consensus_core::Interface {
        <S as StateMachine>::INTERFACE
    }

    fn read_level(&self, query: &str) -> ReadLevel {
        S::read_level(query)
    }

    fn take_snapshot(&self) -> Taken {
        let client = self.client.clone();
        let (node, name) = (self.identity.node, self.name.clone());
        let is_witness = self.board.read().0.membership.is_witness(node);
        Box::pin(async move {
            if is_witness {
                let message = format!(
                    "{node} is a witness and has no state of {name:?} to take a snapshot of; ask \
                     another node"
                );
                return Err(Error::new(Code::SnapshotFailed, message));
            }
            let (waiter, saved) = oneshot::channel();
            let stopping = || Error::stopping(Outcome::Unknown);
            client.addr().send(TakeSnapshot(waiter)).await.map_err(|_| stopping())?;
            saved.await.map_err(|_| stopping())?
        })
    }

    fn snapshots(&self) -> Vec<Manifest> {
        self.board.snapshots()
    }

    fn holds_lease(&self) -> bool {
        self.board.holds_lease()
    }

    fn follow_applied(&self) -> broadcast::Receiver<()> {
        self.board.follow_applied()
    }

    fn status(&self) -> (&'static str, Status, Index) {
        let (status, applied) = self.board.read();
        (self.protocol.name(), status, applied)
    }
}

impl<S: Replicated> Desk for HostedGroup<S> {
    fn ask(&self, guest: Guest, requests: Vec<Attempted>) {
        self.client.addr().do_send(Requests(Origin::Guest(guest), requests));
    }

    fn whereabouts(&self) -> Whereabouts {
        let (Status { leader, membership, .. }, _) = self.board.read();
        let addresses = self.identity.addresses();
        let contact = |member| Some((member, addresses.get(&member)?.clone()));
        let members = membership.members().filter_map(contact).collect();
        Whereabouts { leader, members }
    }

    fn follow(&self) -> broadcast::Receiver<()> {
        self.board.follow()
    }
}

/// Finds an operation by name, or says what there is.
fn find(
    group: &str,
    kind: &str,
    name: &str,
    operations: &'static [Operation],
    others: &'static [Operation],
) -> Result<&'static Operation> {
    if let Some(operation) = operations.iter().find(|operation| operation.name == name) {
        return Ok(operation);
    }
    let message = if others.iter().any(|operation| operation.name == name) {
        let (other, way) = match kind {
            "command" => ("query", format!("GET /v1/groups/{group}/queries/{name}")),
            _ => ("command", format!("POST /v1/groups/{group}/commands/{name}")),
        };
        format!("{name:?} is a {other} of {group:?}, not a {kind}; use {way}")
    } else {
        // A caller who does not know what it is meant perhaps one of the other kind.
        let names = |of: &'static [Operation]| of.iter().map(|operation| operation.name);
        let meant = did_you_mean(name, names(operations).chain(names(others)));
        let (known, known_others) = (listed(names(operations)), listed(names(others)));
        let (kinds, other_kinds) = match kind {
            "command" => ("commands", "queries"),
            _ => ("queries", "commands"),
        };
        format!(
            "{group:?} has no {kind} {name:?}{meant}; its {kinds}: {known}; its {other_kinds}: \
             {known_others}"
        )
    };
    Err(Error::new(Code::UnknownOperation, message))
}

/// Makes a command or query of its name and arguments.
fn parse<T: DeserializeOwned>(operation: &Operation, arguments: Arguments) -> Result<T> {
    let parsed = match arguments {
        Arguments::Json(json) => arguments::from_json(operation.name, json),
        Arguments::Text(pairs) => arguments::from_text(operation.name, pairs),
    };
    parsed.map_err(|reason| {
        let wanted: Vec<_> = operation
            .arguments
            .iter()
            .map(|argument| format!("{}: {}", argument.name, argument.kind))
            .collect();
        let wanted = if wanted.is_empty() { "no arguments".to_owned() } else { wanted.join(", ") };
        let message = format!("{reason}; {:?} takes {wanted}", operation.name);
        Error::new(Code::InvalidArgument, message)
    })
}
