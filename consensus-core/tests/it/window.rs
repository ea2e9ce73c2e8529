//! The window of a history without an order: the operations that cannot be reconciled, no others.

use consensus_core::sim::{
    Window,
    history::{Event, Moment, Operation},
    linearizability::{Model, Verdict, check},
    models::{Call, Cell, List, Value},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::linearizability::{DONE, History, READ, STEPS_MAX, history, text, write};

fn window<M: Model<Call = Call, Return = Value>>(model: &M, history: &History) -> Window {
    match check(model, history, STEPS_MAX) {
        Verdict::NotLinearizable { window } => window,
        verdict => panic!("{verdict:?}"),
    }
}

/// Calls of one process after another, each ended before the next is invoked.
fn sequence(calls: Vec<(Call, Value)>) -> History {
    let events = (0..).zip(calls).flat_map(|(process, (call, returned))| {
        [(process, Event::Invoke(call)), (process, Event::Ok(returned))]
    });
    history(events.collect())
}

fn set(value: &str) -> (Call, Value) {
    (Call::Write(value.to_owned()), Value::Absent)
}

fn read(value: Value) -> (Call, Value) {
    (Call::Read, value)
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| (*item).to_owned()).collect())
}

/// The operations of a minimal window, and those to read beside them.
fn minimal(operations: &[usize], context: &[usize]) -> Window {
    Window { operations: operations.to_vec(), context: context.to_vec(), minimal: true }
}

// Goal: a stale read cannot be reconciled with the write that it missed, whatever went before; the
// write that it saw explains it only at another time.
#[test]
fn stale_read_stands_with_the_write_that_it_missed() {
    let stale = sequence(vec![set("1"), set("2"), read(text("1"))]);
    assert_eq!(window(&Cell, &stale), minimal(&[1, 2], &[0]));

    let mut events = Vec::new();
    for round in 0..50 {
        let value = format!("old{round}");
        events.extend([(1, write(&value)), (1, DONE), (2, READ), (2, Event::Ok(text(&value)))]);
    }
    events.extend([(1, write("new")), (1, DONE), (2, READ), (2, Event::Ok(text("old49")))]);
    assert_eq!(window(&Cell, &history(events)), minimal(&[100, 101], &[98]));
}

// Goal: a read of what nobody wrote stands alone.
#[test]
fn value_out_of_nothing_stands_alone() {
    let history = sequence(vec![set("1"), read(text("1")), read(text("3")), set("3")]);
    assert_eq!(window(&Cell, &history).operations, [2]);
}

// Goal: an update that was lost stands with the one that overwrote it, and what was read.
#[test]
fn lost_update_stands_with_the_read() {
    let add = |by| (Call::Add(by), Value::Absent);
    let lost = sequence(vec![add(1), add(1), read(Value::Number(1))]);
    assert_eq!(window(&Cell, &lost).operations, [0, 1, 2]);
    // An addition before, which was read, is needed by nobody; its own effect is.
    let before = vec![add(5), read(Value::Number(5)), add(1), add(1), read(Value::Number(6))];
    assert_eq!(window(&Cell, &sequence(before)).operations, [2, 3, 4]);
}

// Goal: of two swaps from one value one must fail.
#[test]
fn two_swaps_from_one_value_stand_together() {
    let swap =
        |to: &str| (Call::Swap { from: Some("0".to_owned()), to: to.to_owned() }, Value::Absent);
    let twice = sequence(vec![set("0"), swap("1"), swap("2"), read(text("2"))]);
    assert_eq!(window(&Cell, &twice).operations, [1, 2]);
}

// Goal: a list in an order that the appends cannot have had refutes itself by their times alone,
// and the appends stand beside it; a list that lacks an item stands with the item's append.
#[test]
fn list_in_the_wrong_order_stands_beside_the_appends() {
    let append = |item: &str| (Call::Append(item.to_owned()), Value::Absent);
    let swapped = sequence(vec![append("1"), append("2"), read(list(&["2", "1"]))]);
    assert_eq!(window(&List, &swapped), minimal(&[2], &[0, 1]));

    let items: Vec<String> = (0..60).map(|item| item.to_string()).collect();
    let mut calls: Vec<_> = items.iter().map(|item| append(item)).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    calls.push(read(list(&items[..59])));
    assert_eq!(window(&List, &sequence(calls)).operations, [59, 60]);
}

/// Draws a history with an order: operations of eight processes that overlap.
fn draw(rng: &mut ChaCha8Rng, length: usize) -> History {
    let (mut state, mut running) = (Cell.initial(), Vec::<(usize, Option<Value>)>::new());
    let (mut history, mut now) = (History::new(), 0);
    while history.len() < length || !running.is_empty() {
        now += 1;
        if history.len() < length && running.len() < 8 && rng.next_u32().is_multiple_of(2) {
            let call = if rng.next_u32().is_multiple_of(2) {
                Call::Read
            } else {
                Call::Write(format!("{}", history.len()))
            };
            running.push((history.len(), None));
            let invoked = Moment(now);
            history.push(Operation { process: now, call, invoked, returned: None });
        } else if !running.is_empty() {
            let at = rng.next_u32() as usize % running.len();
            let (place, effect) = running[at].clone();
            let operation = &mut history[place];
            match effect {
                None => {
                    state = Cell.apply(&state, &operation.call, None).expect("it runs");
                    let seen = if operation.call == Call::Read { &state } else { &Value::Absent };
                    running[at].1 = Some(seen.clone());
                }
                Some(seen) => {
                    operation.returned = Some((Moment(now), seen));
                    running.remove(at);
                }
            }
        }
    }
    history
}

// Goal: in a long history with one wrong result, the window holds it and little else.
// Method: one read is made to return a value that was overwritten long before.
#[test]
fn planted_anomaly_is_found_in_a_long_history() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for _ in 0..5 {
        let mut history = draw(&mut rng, 120);
        assert_eq!(check(&Cell, &history, STEPS_MAX), Verdict::Linearizable);
        let is = |place: &usize, read: bool| (history[*place].call == Call::Read) == read;
        let planted = (90..120).find(|place| is(place, true)).expect("there are reads");
        let old = (20..50).find(|place| is(place, false)).expect("there are writes");
        let Call::Write(value) = history[old].call.clone() else { panic!("it is a write") };
        let ended = history[planted].ended().expect("all ended");
        history[planted].returned = Some((ended, text(&value)));

        let window = window(&Cell, &history);
        assert!(window.minimal, "{window:?}");
        assert_eq!(window.operations.len(), 2, "{window:?}");
        assert!(window.operations.contains(&planted), "{planted} {window:?}");
        assert!(window.context.contains(&old), "{old} {window:?}");
    }
}
