//! What callers ask for.

use std::{fmt, marker::PhantomData};

use bytes::Bytes;
use serde::Serialize;

use super::random::Random;
use crate::{
    read::ReadLevel,
    state_machine::{StateMachine, operation_name},
};

/// An operation, encoded as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A command in named MessagePack.
    Command(Bytes),
    /// A query in named MessagePack.
    Query(Bytes),
}

impl Body {
    /// Returns the encoding.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Command(bytes) | Self::Query(bytes) => bytes,
        }
    }
}

/// An operation on `S`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation<C, Q> {
    /// A command.
    Command(C),
    /// A query.
    Query(Q),
}

/// What callers ask a state machine for.
pub trait Workload<S: StateMachine> {
    /// Makes up an operation.
    ///
    /// # Errors
    /// A text for people, where none can be made up.
    fn ask(&self, random: &mut Random) -> Result<Operation<S::Command, S::Query>, String>;

    /// Tells what an operation is, for people.
    fn describe(&self, body: &Body) -> String {
        format!("{} bytes", body.bytes().len())
    }

    /// Tells what came of it, for people.
    fn describe_reply(&self, body: &Body, reply: &Bytes) -> String {
        let _ = body;
        format!("{} bytes", reply.len())
    }
}

/// Makes up and encodes `count` operations, queries with the level that they are declared with.
pub(super) fn bodies<S: StateMachine>(
    workload: &dyn Workload<S>,
    random: &mut Random,
    count: usize,
) -> Result<Vec<(Body, ReadLevel)>, String> {
    let encode =
        |error: rmp_serde::encode::Error| format!("an operation cannot be encoded: {error}");
    (0..count)
        .map(|_| match workload.ask(random)? {
            Operation::Command(command) => {
                let command = encoded(&command).map_err(encode)?;
                Ok((Body::Command(command), ReadLevel::Linearizable))
            }
            Operation::Query(query) => {
                let query = encoded(&query).map_err(encode)?;
                let level = S::read_level(operation_name(&query).unwrap_or_default());
                Ok((Body::Query(query), level))
            }
        })
        .collect()
}

/// Makes up a command and a query, as far as the workload has any.
pub(super) fn probes<S: StateMachine>(
    workload: &dyn Workload<S>,
    seed: u64,
) -> Result<Vec<Body>, String> {
    // Whoever asks for one kind once in a hundred times, or never, has none to speak of.
    const TRIES: usize = 100;
    let bodies = bodies(workload, &mut Random::new(seed, PROBES), TRIES)?;
    let bodies = bodies.into_iter().map(|(body, _)| body);
    let (commands, queries): (Vec<_>, Vec<_>) =
        bodies.partition(|body| matches!(body, Body::Command(_)));
    Ok(commands.into_iter().take(1).chain(queries.into_iter().take(1)).collect())
}

const PROBES: u64 = 5;

fn encoded(value: &impl Serialize) -> Result<Bytes, rmp_serde::encode::Error> {
    rmp_serde::to_vec_named(value).map(Bytes::from)
}

/// A workload of two functions, one that makes up commands and one that makes up queries, of which
/// `queries` in a hundred operations are.
pub struct Made<S, C, Q> {
    command: C,
    query: Q,
    queries: u64,
    state: PhantomData<fn() -> S>,
}

impl<S, C, Q> Made<S, C, Q> {
    /// Makes the workload.
    pub fn new(command: C, query: Q, queries: u64) -> Self {
        Self { command, query, queries, state: PhantomData }
    }
}

impl<S, C, Q> fmt::Debug for Made<S, C, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made").field("queries", &self.queries).finish_non_exhaustive()
    }
}

impl<S, C, Q> Workload<S> for Made<S, C, Q>
where
    S: StateMachine,
    C: Fn(&mut Random) -> Result<S::Command, String>,
    Q: Fn(&mut Random) -> Result<S::Query, String>,
{
    fn ask(&self, random: &mut Random) -> Result<Operation<S::Command, S::Query>, String> {
        if random.below(100) < self.queries {
            (self.query)(random).map(Operation::Query)
        } else {
            (self.command)(random).map(Operation::Command)
        }
    }
}
