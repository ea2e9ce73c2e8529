//! What callers of a simulated state ask for: what closures make up, or what types tell.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use consensus_core::{
    StateMachine,
    sim::{Body, Operation, Random, Workload},
};
use serde::de::DeserializeOwned;

use super::{
    arbitrary::{self, Refused},
    describe,
    generator::Generator,
};

type Made<S> = Operation<<S as StateMachine>::Command, <S as StateMachine>::Query>;

/// What makes up an operation.
pub(super) type Maker<T> = Box<dyn Fn(&mut Generator<'_>) -> T + Send + Sync>;

/// Makes up commands and queries.
pub(super) struct Operations<S: StateMachine> {
    pub(super) commands: Vec<Maker<S::Command>>,
    pub(super) queries: Vec<Maker<S::Query>>,
}

impl<S: StateMachine> Default for Operations<S> {
    fn default() -> Self {
        Self { commands: Vec::new(), queries: Vec::new() }
    }
}

impl<S: StateMachine> Workload<S> for Operations<S> {
    fn ask(&self, random: &mut Random) -> Result<Made<S>, String> {
        // Commands are what may go wrong, and queries what shows it.
        let command = random.below(3) < 2;
        let first = if command { self.command(random)? } else { self.query(random)? };
        let made = match first {
            Some(made) => Some(made),
            None if command => self.query(random)?,
            None => self.command(random)?,
        };
        made.ok_or_else(|| "the state has no commands and no queries".to_owned())
    }

    fn describe(&self, body: &Body) -> String {
        describe::operation(body.bytes())
    }

    fn describe_reply(&self, _: &Body, reply: &Bytes) -> String {
        describe::reply(reply)
    }
}

impl<S: StateMachine> Operations<S> {
    /// Makes up a command; `None` where the state has none.
    fn command(&self, random: &mut Random) -> Result<Option<Made<S>>, String> {
        made(&self.commands, "command", random).map(|made| made.map(Operation::Command))
    }

    /// Makes up a query; `None` where the state has none.
    fn query(&self, random: &mut Random) -> Result<Option<Made<S>>, String> {
        made(&self.queries, "query", random).map(|made| made.map(Operation::Query))
    }
}

fn made<T: DeserializeOwned>(
    makers: &[Maker<T>],
    kind: &str,
    random: &mut Random,
) -> Result<Option<T>, String> {
    let make = random.pick(makers);
    let Some(make) = make else {
        return match arbitrary::value(random) {
            Ok(value) => Ok(Some(value)),
            Err(Refused::Empty) => Ok(None),
            Err(refused) => Err(format!(
                "no {kind} can be made up: {refused}; pass a generator, as in \
                 `sim.{kind}(|g| counter::Add {{ by: g.in_range(-9..=9) }})`"
            )),
        };
    };
    let made = catch_unwind(AssertUnwindSafe(|| make(&mut Generator::new(random))));
    made.map(Some).map_err(|panic| format!("a generator panicked: {}", text(panic.as_ref())))
}

/// Returns what a panic says.
fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something that is no text")
}
