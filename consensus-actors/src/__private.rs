//! What macros expand to. Not for use by hand: it changes without notice.

pub use actix;
pub use consensus_core as core;
pub use serde;

use crate::client;
pub use crate::{
    Answer, Apply, Argument, Call, Client, Command, Commands, Connecting, Cx, Deterministic, Error,
    Interface, Operation, Protocol, Query, ReadLevel, Reads, Replica, Replicated, Sim,
    StateMachine, cli::main, cli::tools, saga, saga::written as steps,
};

/// What `#[derive(Replicated)]` says of a state; `#[replicated]` makes [`Replicated`] of it and of
/// the commands.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has a `#[replicated]` block but does not derive `Replicated`",
    label = "`#[derive(Replicated)]` is missing on `{Self}`",
    note = "add it: #[derive(Clone, Default, Serialize, Deserialize, Replicated)]"
)]
pub trait Declared {
    /// The state machine's stable name.
    const NAME: &'static str;
    /// The protocol that replicates it.
    const PROTOCOL: Protocol;
    /// The settings of its groups.
    const SETTINGS: &'static [(&'static str, &'static str)];
}

/// Returns the protocol that an attribute names; the macros have looked that there is one.
pub fn protocol(name: &str) -> Protocol {
    name.parse().unwrap_or_else(|()| panic!("there is no protocol {name:?}"))
}

/// Serves a command that was sent to a replica's address.
pub fn command<C: Command>(
    replica: &mut Replica<C::State>,
    command: C,
    ctx: &mut actix::Context<Replica<C::State>>,
) -> actix::ResponseFuture<Result<C::Reply, Error>> {
    client::respond(replica, client::once(&command.into()), ctx)
}

/// Serves a query that was sent to a replica's address.
pub fn query<Q: Query>(
    replica: &mut Replica<Q::State>,
    query: Q,
    ctx: &mut actix::Context<Replica<Q::State>>,
) -> actix::ResponseFuture<Result<Q::Reply, Error>> {
    client::respond(replica, client::question::<Q::State>(&query.into()), ctx)
}
