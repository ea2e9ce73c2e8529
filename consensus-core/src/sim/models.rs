//! Objects that histories are about: a register, a key-value map, a counter, a list, and any state
//! machine of a user's.

use std::marker::PhantomData;

use bytes::Bytes;

use super::linearizability::Model;
use crate::{
    log::Index,
    process::GroupId,
    state_machine::{Cx, StateMachine},
    time::WallTime,
};

/// What is called on one key of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Returns the value.
    Read,
    /// Sets the value.
    Write(String),
    /// Sets the value to `to` if it is `from`; it is known to have been.
    Swap {
        /// What the value was; `None` if there was none.
        from: Option<String>,
        /// What it is afterwards.
        to: String,
    },
    /// Adds to the end of a text.
    Extend(String),
    /// Removes the value.
    Delete,
    /// Adds to a number.
    Add(i64),
    /// Adds to the end of a list.
    Append(String),
}

/// The value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// None was ever set, or it was deleted.
    Absent,
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// A list, oldest item first.
    List(Vec<String>),
}

/// One key of a register, a map, a counter or a list, by what is called on it.
///
/// Reads return the value. Other calls return nothing that is checked: pass [`Value::Absent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell;

impl Model for Cell {
    type State = Value;
    type Call = Call;
    type Return = Value;

    fn initial(&self) -> Value {
        Value::Absent
    }

    fn apply(&self, state: &Value, call: &Call, returned: Option<&Value>) -> Option<Value> {
        Some(match (call, state) {
            (Call::Read, _) => {
                let explained = returned.is_none_or(|returned| reads_as(state, returned));
                return explained.then(|| state.clone());
            }
            (Call::Write(value), _) => Value::Text(value.clone()),
            (Call::Swap { from, to }, state) => {
                let holds = match (from, state) {
                    (None, Value::Absent) => true,
                    (Some(from), Value::Text(text)) => from == text,
                    (None | Some(_), _) => false,
                };
                // One of unknown outcome may have found another value and changed nothing.
                match (holds, returned) {
                    (true, _) => Value::Text(to.clone()),
                    (false, None) => state.clone(),
                    (false, Some(_)) => return None,
                }
            }
            (Call::Extend(more), Value::Text(text)) => Value::Text(format!("{text}{more}")),
            (Call::Extend(more), Value::Absent | Value::Number(_) | Value::List(_)) => {
                Value::Text(more.clone())
            }
            (Call::Delete, _) => Value::Absent,
            (Call::Add(by), Value::Number(number)) => Value::Number(number.wrapping_add(*by)),
            (Call::Add(by), Value::Absent | Value::Text(_) | Value::List(_)) => Value::Number(*by),
            (Call::Append(item), Value::List(items)) => {
                let mut items = items.clone();
                items.push(item.clone());
                Value::List(items)
            }
            (Call::Append(item), Value::Absent | Value::Text(_) | Value::Number(_)) => {
                Value::List(vec![item.clone()])
            }
        })
    }

    fn digest(&self, state: &Value) -> u128 {
        let mut bytes = Vec::new();
        let mut put = |tag: u8, text: &[u8]| {
            bytes.push(tag);
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text);
        };
        match state {
            Value::Absent => put(0, &[]),
            Value::Text(text) => put(1, text.as_bytes()),
            Value::Number(number) => put(2, &number.to_le_bytes()),
            Value::List(items) => items.iter().for_each(|item| put(3, item.as_bytes())),
        }
        twox_hash::XxHash3_128::oneshot(&bytes)
    }

    fn is_read(&self, call: &Call) -> bool {
        *call == Call::Read
    }
}

/// A list that only grows: [`Cell`] of which only `Append` and `Read` are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List;

impl Model for List {
    type State = Value;
    type Call = Call;
    type Return = Value;

    fn initial(&self) -> Value {
        Cell.initial()
    }

    fn apply(&self, state: &Value, call: &Call, returned: Option<&Value>) -> Option<Value> {
        match call {
            Call::Read | Call::Append(_) => Cell.apply(state, call, returned),
            Call::Write(_) | Call::Swap { .. } | Call::Extend(_) | Call::Delete | Call::Add(_) => {
                None
            }
        }
    }

    fn digest(&self, state: &Value) -> u128 {
        Cell.digest(state)
    }

    fn is_read(&self, call: &Call) -> bool {
        Cell.is_read(call)
    }

    /// A list that only grows has been the beginning of what it is.
    fn may_reach(&self, state: &Value, call: &Call, returned: &Value) -> bool {
        match (call, state, returned) {
            (Call::Read, Value::List(items), Value::List(read)) => read.starts_with(items),
            (Call::Read, Value::List(items), Value::Absent) => items.is_empty(),
            (_, _, _) => true,
        }
    }
}

/// Tells whether a read of `state` may return `returned`: what was never touched reads as zero and
/// as the empty list too.
fn reads_as(state: &Value, returned: &Value) -> bool {
    match (state, returned) {
        (Value::Absent, Value::Number(number)) => *number == 0,
        (Value::Absent, Value::List(items)) => items.is_empty(),
        (state, returned) => state == returned,
    }
}

/// A user's state machine as the specification of its own histories.
///
/// What a command draws from its `Cx` depends on the log, which a history does not show: commands
/// that do are beyond this check.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine<S>(PhantomData<fn() -> S>);

impl<S> Machine<S> {
    /// Makes the model of `S`.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

/// What is called on a state machine, in named MessagePack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineCall {
    /// A command.
    Command(Bytes),
    /// A query.
    Query(Bytes),
}

impl<S: StateMachine> Model for Machine<S> {
    type State = S;
    type Call = MachineCall;
    /// The encoded reply or answer.
    type Return = Bytes;

    fn initial(&self) -> S {
        S::default()
    }

    fn apply(&self, state: &S, call: &MachineCall, returned: Option<&Bytes>) -> Option<S> {
        let mut state = state.clone();
        let reply = match call {
            MachineCall::Command(command) => {
                let mut cx = Cx::new(GroupId(0), Index::ZERO, WallTime::default());
                let command = rmp_serde::from_slice(command).ok()?;
                rmp_serde::to_vec_named(&state.apply(&mut cx, command))
            }
            MachineCall::Query(query) => {
                let query = rmp_serde::from_slice(query).ok()?;
                rmp_serde::to_vec_named(&state.answer(query))
            }
        };
        let reply = reply.ok()?;
        returned.is_none_or(|returned| **returned == *reply).then_some(state)
    }

    fn digest(&self, state: &S) -> u128 {
        // A state that does not encode cannot be replicated at all; hosts refuse it before.
        twox_hash::XxHash3_128::oneshot(&rmp_serde::to_vec_named(state).unwrap_or_default())
    }

    fn is_read(&self, call: &MachineCall) -> bool {
        match call {
            MachineCall::Command(_) => false,
            MachineCall::Query(_) => true,
        }
    }
}
