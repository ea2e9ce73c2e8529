//! The checker of histories: it finds an order exactly where there is one.

use consensus_core::sim::{
    history::{Event, HistoryError, Operation, Recorder},
    linearizability::{Model, Verdict, check},
    models::{Call, Cell, Value},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

pub(crate) type History = Vec<Operation<Call, Value>>;

pub(crate) const STEPS_MAX: u64 = 1_000_000;

pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(crate) fn write(value: &str) -> Event<Call, Value> {
    Event::Invoke(Call::Write(value.to_owned()))
}

pub(crate) const READ: Event<Call, Value> = Event::Invoke(Call::Read);
pub(crate) const DONE: Event<Call, Value> = Event::Ok(Value::Absent);

pub(crate) fn history(events: Vec<(u64, Event<Call, Value>)>) -> History {
    let mut recorder = Recorder::default();
    for (process, event) in events {
        recorder.record(process, event).expect("the events are a history");
    }
    recorder.finish()
}

fn verdict(events: Vec<(u64, Event<Call, Value>)>) -> Verdict {
    check(&Cell, &history(events), STEPS_MAX)
}

/// Tells by the definition, trying all orders, whether the operations of a history that do not lie
/// in `weakened` have an order; those that do may take effect while they run, or never.
pub(crate) fn has_order(history: &History, weakened: &[usize]) -> bool {
    fn extend(
        history: &History,
        weakened: &[usize],
        placed: &mut Vec<usize>,
        state: &Value,
    ) -> bool {
        let must = |place: &usize| history[*place].returned.is_some() && !weakened.contains(place);
        let open: Vec<usize> = (0..history.len()).filter(|at| !placed.contains(at)).collect();
        if !open.iter().any(must) {
            return true;
        }
        let ended_before =
            |a: usize, b: usize| history[a].ended().is_some_and(|ended| ended < history[b].invoked);
        for &place in &open {
            if open.iter().any(|other| must(other) && ended_before(*other, place))
                || placed.iter().any(|other| ended_before(place, *other))
            {
                continue;
            }
            let operation = &history[place];
            let returned = operation.returned.as_ref().map(|(_, returned)| returned);
            let returned = returned.filter(|_| must(&place));
            if let Some(next) = Cell.apply(state, &operation.call, returned) {
                placed.push(place);
                if extend(history, weakened, placed, &next) {
                    return true;
                }
                placed.pop();
            }
        }
        false
    }
    extend(history, weakened, &mut Vec::new(), &Value::Absent)
}

/// Draws a history of few operations, with results that are often right.
pub(crate) fn draw(rng: &mut ChaCha8Rng) -> History {
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

// Goal: the search says what the definition says, and so does the window.
// Method: thousands of small random histories, judged by trying all orders; both verdicts occur.
// What is in the window has no order although all else is weakened, and has one if any of it is too.
#[test]
fn verdict_and_window_are_those_of_the_definition() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut orderable, mut small) = (0, 0);
    for _ in 0..4_000 {
        let history = draw(&mut rng);
        let verdict = check(&Cell, &history, STEPS_MAX);
        if has_order(&history, &[]) {
            orderable += 1;
            assert_eq!(verdict, Verdict::Linearizable, "{history:#?}");
            continue;
        }
        let Verdict::NotLinearizable { window } = verdict else {
            panic!("{verdict:?}: {history:#?}")
        };
        assert!(window.minimal && !window.operations.is_empty(), "{window:?} {history:#?}");
        let others = |but: Option<usize>| -> Vec<usize> {
            let other = |at: &usize| !window.operations.contains(at) || but == Some(*at);
            (0..history.len()).filter(other).collect()
        };
        assert!(!has_order(&history, &others(None)), "{window:?} {history:#?}");
        for place in &window.operations {
            assert!(has_order(&history, &others(Some(*place))), "{window:?} {history:#?}");
        }
        assert!(window.context.iter().all(|place| !window.operations.contains(place)));
        small += u32::from(window.operations.len() < 4);
    }
    assert!((500..3_500).contains(&orderable), "{orderable} of 4,000 have an order");
    assert!(small > 400, "{small} windows are small");
}

// Goal: an operation of unknown outcome may take effect much later, or never; a failed one never.
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

// Goal: events that are no history are refused.
#[test]
fn impossible_events_are_refused() {
    let mut recorder = Recorder::<Call, Value>::default();
    assert_eq!(recorder.record(3, DONE), Err(HistoryError::NeverInvoked { process: 3 }));
    assert_eq!(recorder.record(3, READ), Ok(()));
    assert_eq!(recorder.record(3, READ), Err(HistoryError::Overlapping { process: 3 }));
}
