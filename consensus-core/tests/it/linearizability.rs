//! The checker of histories: it finds an order exactly where there is one.

use consensus_core::sim::{
    history::{Event, HistoryError, Operation, Recorder},
    linearizability::{Model, Verdict, check},
    models::{Call, Cell, Machine, MachineCall, Value},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::kv::{self, Answer, Command, Kv, Query};

type History = Vec<Operation<Call, Value>>;

const STEPS_MAX: u64 = 1_000_000;

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn write(value: &str) -> Event<Call, Value> {
    Event::Invoke(Call::Write(value.to_owned()))
}

const READ: Event<Call, Value> = Event::Invoke(Call::Read);
const DONE: Event<Call, Value> = Event::Ok(Value::Absent);

fn history(events: Vec<(u64, Event<Call, Value>)>) -> History {
    let mut recorder = Recorder::default();
    for (process, event) in events {
        recorder.record(process, event).expect("the events are a history");
    }
    recorder.finish()
}

fn verdict(events: Vec<(u64, Event<Call, Value>)>) -> Verdict {
    check(&Cell, &history(events), STEPS_MAX)
}

/// Tries every order of every choice of operations, by the definition.
fn has_order(history: &History) -> bool {
    fn extend(history: &History, placed: &mut Vec<usize>, state: &Value) -> bool {
        let open = |place: &usize| !placed.contains(place);
        let open: Vec<usize> = (0..history.len()).filter(open).collect();
        if open.iter().all(|place| history[*place].returned.is_none()) {
            return true;
        }
        for place in &open {
            let operation = &history[*place];
            let late = |other: &usize| {
                history[*other].ended().is_some_and(|ended| ended < operation.invoked)
            };
            if open.iter().any(late) {
                continue;
            }
            let returned = operation.returned.as_ref().map(|(_, returned)| returned);
            if let Some(next) = Cell.apply(state, &operation.call, returned) {
                placed.push(*place);
                if extend(history, placed, &next) {
                    return true;
                }
                placed.pop();
            }
        }
        false
    }
    extend(history, &mut Vec::new(), &Value::Absent)
}

/// Draws a history of few operations, with results that are often right.
fn draw(rng: &mut ChaCha8Rng) -> History {
    let mut recorder = Recorder::default();
    let (mut open, mut calls) = ([None, None, None], 0);
    let values = ["a", "b"];
    while calls < 6 || open.iter().any(Option::is_some) {
        let process = (rng.next_u32() % 3) as usize;
        let value = values[(rng.next_u32() % 2) as usize];
        let event = match open[process].take() {
            None if calls >= 6 => continue,
            None => {
                calls += 1;
                let call = match rng.next_u32() % 4 {
                    0 | 1 => Call::Read,
                    2 => Call::Write(value.to_owned()),
                    _ => Call::Swap { from: Some("a".to_owned()), to: value.to_owned() },
                };
                open[process] = Some(call.clone());
                Event::Invoke(call)
            }
            Some(_) if rng.next_u32().is_multiple_of(5) => Event::Info,
            Some(_) if rng.next_u32().is_multiple_of(9) => Event::Fail,
            Some(Call::Read) if rng.next_u32().is_multiple_of(3) => Event::Ok(Value::Absent),
            Some(Call::Read) => Event::Ok(text(value)),
            Some(_) => Event::Ok(Value::Absent),
        };
        recorder.record(process as u64, event).expect("the events are a history");
    }
    recorder.finish()
}

// Goal: the search says what the definition says.
// Method: thousands of small random histories, judged by trying all orders; both verdicts occur, and
// what ended with the window has no order either.
#[test]
fn verdict_is_that_of_the_definition() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut orderable = 0;
    for _ in 0..4_000 {
        let history = draw(&mut rng);
        let verdict = check(&Cell, &history, STEPS_MAX);
        if has_order(&history) {
            orderable += 1;
            assert_eq!(verdict, Verdict::Linearizable, "{history:#?}");
            continue;
        }
        let Verdict::NotLinearizable { window } = verdict else {
            panic!("{verdict:?}: {history:#?}")
        };
        // Up to the last end in the window there is no order either.
        let last = window.iter().filter_map(|place| history[*place].ended()).max();
        let mut prefix = history.clone();
        prefix.retain(|operation| Some(operation.invoked) < last);
        for operation in &mut prefix {
            operation.returned.take_if(|(ended, _)| Some(*ended) > last);
        }
        assert!(!has_order(&prefix), "{window:?} {history:#?}");
    }
    assert!((500..3_500).contains(&orderable), "{orderable} of 4,000 have an order");
}

// Goal: a stale read is found, and the window holds it and the write that it missed, no more.
#[test]
fn stale_read_is_found() {
    let mut events = Vec::new();
    for round in 0..50 {
        let value = format!("old{round}");
        events.extend([(1, write(&value)), (1, DONE), (2, READ), (2, Event::Ok(text(&value)))]);
    }
    events.extend([(1, write("new")), (1, DONE), (2, READ), (2, Event::Ok(text("old49")))]);
    let Verdict::NotLinearizable { window } = verdict(events) else { panic!("it is stale") };
    assert_eq!(window, [100, 101]);
}

// Goal: an operation of unknown outcome may take effect much later, or never; one that failed never.
#[test]
fn unknown_outcome_may_come_late_or_never() {
    let late = |outcome: Event<Call, Value>, read: &str| {
        verdict(vec![
            (1, write("a")),
            (1, DONE),
            (2, write("b")),
            (2, outcome),
            (3, READ),
            (3, Event::Ok(text("a"))),
            (3, READ),
            (3, Event::Ok(text(read))),
        ])
    };
    assert_eq!(late(Event::Info, "b"), Verdict::Linearizable);
    assert_eq!(late(Event::Info, "a"), Verdict::Linearizable);
    assert_eq!(late(Event::Fail, "a"), Verdict::Linearizable);
    assert!(matches!(late(Event::Fail, "b"), Verdict::NotLinearizable { .. }));
    assert!(matches!(late(DONE, "a"), Verdict::NotLinearizable { .. }));
}

// Goal: a search that takes too long says that it does not know.
#[test]
fn exhausted_search_is_unknown() {
    let many = (0..40).map(|process| (process, write(&process.to_string())));
    let events = many.chain([(99, READ), (99, Event::Ok(text("nobody wrote this")))]).collect();
    assert_eq!(check(&Cell, &history(events), 10_000), Verdict::Unknown);
}

// Goal: a user's struct is the specification of its own histories.
#[test]
fn state_machine_is_its_own_specification() {
    let put = |value| MachineCall::Command(kv::encode(&Command::Put { key: "a".into(), value }));
    let get = || MachineCall::Query(kv::encode(&Query::Get { key: "a".into() }));
    let judged = |read: Option<u64>| {
        let mut recorder = Recorder::default();
        let mut record = |process, event| recorder.record(process, event).expect("a history");
        record(1, Event::Invoke(put(7)));
        record(1, Event::Ok(kv::encode(&None::<u64>)));
        record(2, Event::Invoke(get()));
        record(2, Event::Ok(kv::encode(&Answer::Value(read))));
        check(&Machine::<Kv>::new(), &recorder.finish(), STEPS_MAX)
    };
    assert_eq!(judged(Some(7)), Verdict::Linearizable);
    assert!(matches!(judged(None), Verdict::NotLinearizable { .. }));
}

// Goal: events that are no history are refused.
#[test]
fn impossible_events_are_refused() {
    let mut recorder = Recorder::<Call, Value>::default();
    assert_eq!(recorder.record(3, DONE), Err(HistoryError::NeverInvoked { process: 3 }));
    assert_eq!(recorder.record(3, READ), Ok(()));
    assert_eq!(recorder.record(3, READ), Err(HistoryError::Overlapping { process: 3 }));
}
