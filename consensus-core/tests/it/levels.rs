//! Reads that were promised less: what each level accepts, and what it refuses.

use consensus_core::sim::{
    history::{Event, Moment},
    levels::{Level, LevelError, check},
    linearizability::{self, Verdict},
    models::{Call, Cell, Value},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::linearizability::{DONE, History, READ, STEPS_MAX, draw, history, text, write};

const STALE: Level = Level::Stale { since: None };

/// Tells whether a history has an order if all its reads are held to `level`.
fn holds(history: &History, level: Level) -> bool {
    match judge(history, level) {
        Verdict::Linearizable => true,
        Verdict::NotLinearizable { .. } => false,
        Verdict::Unknown => panic!("the histories here are small"),
    }
}

fn judge(history: &History, level: Level) -> Verdict {
    let of = |call: &Call| if *call == Call::Read { level } else { Level::Linearizable };
    let levels: Vec<Level> = history.iter().map(|operation| of(&operation.call)).collect();
    check(&Cell, history, &levels, STEPS_MAX).expect("only reads are weak")
}

/// Reads; whether they hold linearizable, in a session, stale.
type Case = (&'static [(u64, &'static str)], [bool; 3]);

/// Process 1 writes "a" and then "b"; then the processes read, one after another.
fn reads(reads: &[(u64, &str)]) -> History {
    let mut events = vec![(1, write("a")), (1, DONE), (1, write("b")), (1, DONE)];
    for (process, value) in reads {
        let value = if value.is_empty() { Value::Absent } else { text(value) };
        events.extend([(*process, READ), (*process, Event::Ok(value))]);
    }
    history(events)
}

// Goal: each level accepts what it allows and refuses what it does not.
#[test]
fn each_level_draws_its_line() {
    let cases: [Case; 8] = [
        (&[(2, "b"), (1, "b")], [true, true, true]),
        // Another's writes may be missed, all of them or the last.
        (&[(2, "a"), (2, "b")], [false, true, true]),
        (&[(2, ""), (3, "b"), (2, "a")], [false, true, true]),
        // One's own may not.
        (&[(1, "a")], [false, false, true]),
        (&[(1, "")], [false, false, true]),
        // Nor may a session go back behind what it has read.
        (&[(2, "b"), (2, "a")], [false, false, true]),
        (&[(2, "a"), (2, "")], [false, false, true]),
        // Nobody may see what never was.
        (&[(2, "c")], [false, false, false]),
    ];
    for (calls, expected) in cases {
        let history = reads(calls);
        let held = [Level::Linearizable, Level::Session, STALE].map(|level| holds(&history, level));
        assert_eq!(held, expected, "{calls:?}");
    }
}

// Goal: no level may see a write that was invoked after the read had ended.
#[test]
fn no_level_sees_the_future() {
    let events = vec![(2, READ), (2, Event::Ok(text("a"))), (1, write("a")), (1, DONE)];
    let history = history(events);
    for level in [Level::Linearizable, Level::Session, STALE] {
        assert!(!holds(&history, level), "{level:?}");
    }
}

// Goal: a bounded read may see what was current within its bound, and nothing older.
#[test]
fn stale_read_is_bounded() {
    let history = reads(&[(2, "a")]);
    let since = |moment| holds(&history, Level::Stale { since: Some(Moment(moment)) });
    // "a" was overwritten between the events 2 and 3.
    assert!(since(1) && since(2) && since(3));
    assert!(!since(4));
}

// Goal: sessions of different processes may differ about when, not about what came first.
#[test]
fn sessions_agree_on_the_order() {
    let both = |last: [&str; 2]| {
        let mut events = vec![(1, write("a")), (2, write("b")), (1, DONE), (2, DONE)];
        for (process, values) in [(3, ["a", "b"]), (4, last)] {
            let value = |value: &str| (process, Event::Ok(text(value)));
            events.extend([(process, READ), value(values[0]), (process, READ), value(values[1])]);
        }
        holds(&history(events), Level::Session)
    };
    assert!(both(["a", "b"]));
    assert!(!both(["b", "a"]));
}

// Goal: the levels of one history mix; a session reads on from a stale read of its own.
#[test]
fn session_goes_on_from_a_stale_read() {
    let judged = |values: [&str; 2], levels: [Level; 2]| {
        let history = reads(&[(2, values[0]), (2, values[1])]);
        let writes = [Level::Linearizable; 2];
        let levels: Vec<Level> = writes.into_iter().chain(levels).collect();
        let verdict = check(&Cell, &history, &levels, STEPS_MAX).expect("only reads are weak");
        verdict == Verdict::Linearizable
    };
    assert!(judged(["b", "a"], [Level::Session, STALE]));
    assert!(!judged(["b", "a"], [STALE, Level::Session]));
    assert!(judged(["a", "b"], [STALE, Level::Linearizable]));
    assert!(!judged(["b", "a"], [STALE, Level::Linearizable]));
}

// Goal: a window says what a session's read went back behind.
#[test]
fn window_holds_what_a_session_missed() {
    let Verdict::NotLinearizable { window } = judge(&reads(&[(1, "a")]), Level::Session) else {
        panic!("a session reads its own writes")
    };
    assert_eq!((window.operations, window.minimal), (vec![1, 2], true));
    let back = reads(&[(2, "b"), (2, "a")]);
    let Verdict::NotLinearizable { window } = judge(&back, Level::Session) else {
        panic!("a session does not go back")
    };
    assert_eq!((window.operations, window.minimal), (vec![2, 3], true));
}

// Goal: every level accepts all that a stronger one does.
// Method: small random histories, judged at every level; each level draws a line of its own.
#[test]
fn weaker_levels_accept_more() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut accepted = [0; 4];
    for _ in 0..3_000 {
        let history = draw(&mut rng);
        let since = Level::Stale { since: Some(Moment(u64::from(rng.next_u32() % 8))) };
        let levels = [Level::Linearizable, since, Level::Session, STALE];
        let held = levels.map(|level| holds(&history, level));
        let strong = linearizability::check(&Cell, &history, STEPS_MAX);
        assert_eq!(strong == Verdict::Linearizable, held[0]);
        assert!(!held[0] || held.iter().all(|held| *held), "{held:?} {history:#?}");
        assert!(held[3] || held.iter().all(|held| !*held), "{held:?} {history:#?}");
        accepted.iter_mut().zip(held).for_each(|(count, held)| *count += u32::from(held));
    }
    assert!(accepted[0] < accepted[1] && accepted[0] < accepted[2], "{accepted:?}");
    assert!(accepted[1] < accepted[3] && accepted[2] < accepted[3], "{accepted:?}");
}

// Goal: levels that do not fit the history are refused.
#[test]
fn levels_that_do_not_fit_are_refused() {
    let history = reads(&[]);
    assert_eq!(
        check(&Cell, &history, &[], STEPS_MAX),
        Err(LevelError::Count { levels: 0, operations: 2 })
    );
    assert_eq!(
        check(&Cell, &history, &[Level::Linearizable, STALE], STEPS_MAX),
        Err(LevelError::NotARead { place: 1 })
    );
}
