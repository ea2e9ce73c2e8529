//! Histories that are checked key by key, and those of a user's state machine.

use consensus_core::sim::{
    history::{Event, Operation, Recorder},
    linearizability::{Verdict, check},
    models::{Machine, MachineCall},
    partition::{by_key, check_machine},
};

use crate::{
    kv::{self, Answer, Command, Kv, Query},
    linearizability::STEPS_MAX,
};

type History = Vec<Operation<MachineCall, bytes::Bytes>>;

fn put(key: &str, value: u64) -> MachineCall {
    MachineCall::Command(kv::encode(&Command::Put { key: key.into(), value }))
}

fn get(key: &str) -> MachineCall {
    MachineCall::Query(kv::encode(&Query::Get { key: key.into() }))
}

/// A put by each of many processes, all at once, under a key each; then a read of each key.
fn history(keys: u64, read: impl Fn(u64) -> Option<u64>) -> History {
    let mut recorder = Recorder::default();
    let mut record = |process, event| recorder.record(process, event).expect("a history");
    for process in 0..keys {
        record(process, Event::Invoke(put(&process.to_string(), process)));
    }
    for process in 0..keys {
        record(process, Event::Ok(kv::encode(&None::<u64>)));
    }
    for process in 0..keys {
        record(process, Event::Invoke(get(&process.to_string())));
        record(process, Event::Ok(kv::encode(&Answer::Value(read(process)))));
    }
    recorder.finish()
}

// Goal: a user's struct is the specification of its own histories.
#[test]
fn state_machine_is_its_own_specification() {
    let judged = |read: Option<u64>| check(&Machine::<Kv>::new(), &history(1, |_| read), STEPS_MAX);
    assert_eq!(judged(Some(0)), Verdict::Linearizable);
    assert!(matches!(judged(None), Verdict::NotLinearizable { .. }));
}

// Goal: a machine that names its keys has long histories checked key by key, and a window names
// places in the whole history.
// Method: forty puts at once, of which one is lost: whole, all their orders would be tried.
#[test]
fn machine_with_keys_is_checked_key_by_key() {
    assert_eq!(check_machine::<Kv>(&history(40, Some), 1_000), Verdict::Linearizable);
    let lost = history(40, |key| Some(key).filter(|key| *key != 17));
    let Verdict::NotLinearizable { window } = check_machine::<Kv>(&lost, 1_000) else {
        panic!("a put was lost")
    };
    assert_eq!(window.operations, [17, 57]);
    assert_eq!(check(&Machine::<Kv>::new(), &lost, 100_000), Verdict::Unknown);
}

// Goal: one call without a key, and the history is one part: the call may depend on all.
#[test]
fn call_without_a_key_joins_all() {
    let mut history = history(2, Some);
    let key = |call: &MachineCall| match call {
        MachineCall::Command(_) => Some(0),
        MachineCall::Query(query) => {
            let query = rmp_serde::from_slice(query).expect("it is a query");
            matches!(query, Query::Get { .. }).then_some(1)
        }
    };
    assert_eq!(by_key(&history, key).into_keys().collect::<Vec<_>>(), [Some(0), Some(1)]);
    history[3].call = MachineCall::Query(kv::encode(&Query::History));
    assert_eq!(by_key(&history, key).into_iter().collect::<Vec<_>>(), [(None, vec![0, 1, 2, 3])]);
    // No key was added to, so the list is empty.
    let (ended, _) = history[3].returned.clone().expect("it returned");
    history[3].returned = Some((ended, kv::encode(&Answer::History(Vec::new()))));
    assert_eq!(check_machine::<Kv>(&history, STEPS_MAX), Verdict::Linearizable);
}
