//! Histories that fall into parts, which are checked one by one.
//!
//! A history over independent objects is linearizable exactly if the part of each object is
//! (Herlihy and Wing 1990, "Linearizability: A Correctness Condition for Concurrent Objects", 4.1),
//! and many short searches cost far less than a long one.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    history::Operation,
    linearizability::{Model, Verdict, check_problem},
    models::{Machine, MachineCall},
    search::Problem,
};
use crate::state_machine::{Key, StateMachine};

/// Sorts the operations of a history, by place, under their keys; under none if one of them has no
/// key, since it depends on all.
pub fn by_key<C, R, K: Ord>(
    history: &[Operation<C, R>],
    key: impl Fn(&C) -> Option<K>,
) -> BTreeMap<Option<K>, Vec<usize>> {
    let mut parts = BTreeMap::<_, Vec<usize>>::new();
    for (place, operation) in history.iter().enumerate() {
        let Some(key) = key(&operation.call) else {
            return BTreeMap::from([(None, (0..history.len()).collect())]);
        };
        parts.entry(Some(key)).or_default().push(place);
    }
    parts
}

/// Checks each part of `history` against `model`, giving one up after `steps_max` applications.
///
/// Two calls with different keys must commute, and neither may read what the other writes. A window
/// names places in the whole history. Memory is bounded by the largest part.
pub fn check<M: Model, K: Ord>(
    model: &M,
    history: &[Operation<M::Call, M::Return>],
    key: impl Fn(&M::Call) -> Option<K>,
    steps_max: u64,
) -> Verdict {
    let mut all = Verdict::Linearizable;
    for places in by_key(history, key).into_values() {
        let problem = Problem { places, ..Problem::new(model, history) };
        match check_problem(&problem, steps_max) {
            Verdict::Linearizable => {}
            Verdict::Unknown => all = Verdict::Unknown,
            wrong @ Verdict::NotLinearizable { .. } => return wrong,
        }
    }
    all
}

/// Checks `history` against the state machine that it is of, key by key where the machine names the
/// keys of all calls ([`StateMachine::command_key`]), giving one up after `steps_max` applications.
///
/// What a command draws from its `Cx` depends on the log, which a history does not show: commands
/// that do are beyond this check. A call that does not decode has no order.
pub fn check_machine<S: StateMachine>(
    history: &[Operation<MachineCall, Bytes>],
    steps_max: u64,
) -> Verdict {
    check(&Machine::<S>::new(), history, key::<S>, steps_max)
}

/// Returns the key of a call, if the machine says one.
fn key<S: StateMachine>(call: &MachineCall) -> Option<Key> {
    match call {
        MachineCall::Command(command) => S::command_key(&rmp_serde::from_slice(command).ok()?),
        MachineCall::Query(query) => S::query_key(&rmp_serde::from_slice(query).ok()?),
    }
}
