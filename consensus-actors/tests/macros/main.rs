//! What the macros generate, from outside: messages, encodings, the interface, visibility.
#![deny(
    missing_docs,
    private_bounds,
    private_interfaces,
    unnameable_types,
    unreachable_pub,
    unused,
    unused_qualifications
)]

use consensus_actors::__private::core::{Cx, GroupId, Index, Interface, StateMachine, WallTime};
use serde_json::Value;

mod context;
mod counter;
mod generic;
mod hygiene;
mod names;
mod types;
mod visibility;

pub(crate) fn cx(index: u64) -> Cx {
    Cx::new(GroupId(7), Index(index), WallTime(1_000 + index))
}

/// Applies a command given in JSON and returns its reply in JSON, as the journal and HTTP do.
pub(crate) fn apply<S: StateMachine>(state: &mut S, command: Value) -> Value {
    apply_at(1, state, command)
}

pub(crate) fn apply_at<S: StateMachine>(index: u64, state: &mut S, command: Value) -> Value {
    let command = serde_json::from_value(command).expect("a command of this state");
    serde_json::to_value(state.apply(&mut cx(index), command)).expect("a reply in JSON")
}

pub(crate) fn answer<S: StateMachine>(state: &S, query: Value) -> Value {
    let query = serde_json::from_value(query).expect("a query of this state");
    serde_json::to_value(state.answer(query)).expect("an answer in JSON")
}

pub(crate) fn names(interface: Interface) -> (Vec<&'static str>, Vec<&'static str>) {
    let names = |operations: &'static [consensus_actors::__private::Operation]| {
        operations.iter().map(|operation| operation.name).collect()
    };
    (names(interface.commands), names(interface.queries))
}
