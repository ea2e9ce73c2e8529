//! Outcomes that nobody knows, retries, deadlines.

use std::time::Duration;

use consensus_core::saga::{
    Class, Op, Order, Outcome, Phase, Reason, Record, Standing, UnderWay, Verdict,
};

use super::stage::{ID, Stage, TIMEOUT, graph, graph_within};

/// Returns the counts that the log has, in its order, like `("a", Op::Action, 2)`.
fn counts(stage: &Stage) -> Vec<(&str, Op, u32)> {
    let outcomes = stage.ledger.log(ID).iter().filter_map(|entry| entry.record.attempts());
    let named =
        |((id, op), attempts)| (stage.graph.step(id).expect("a step").name.as_str(), op, attempts);
    outcomes.map(named).collect()
}

// Goal: all attempts at a step are one effect.
#[test]
pub(crate) fn s15_retry_has_the_same_key() {
    let mut stage = Stage::begin(graph("a"));
    stage.append();
    let first = stage.pick("a");
    stage.tick(TIMEOUT);
    stage.tick(Duration::from_secs(1));
    let second = stage.pick("a");
    assert_eq!(first.key, second.key);
    assert_eq!((first.attempt, second.attempt), (1, 2));
}

// Goal: nothing is undone while nobody knows what became of a step that was asked for; then that is
// undone, too.
#[test]
pub(crate) fn s19_unknown_is_resolved_first() {
    let mut stage = Stage::begin(graph("a b"));
    stage.append();
    let b = stage.pick("b");
    stage.deliver(&b, false);
    stage.serve("a");
    stage.order(Order::Cancel).expect("nothing is decided");
    assert!(stage.asked().is_empty(), "b is not resolved: {:?}", stage.asked());
    stage.tick(TIMEOUT);
    stage.tick(Duration::from_secs(1));
    stage.serve("b");
    assert_eq!(stage.asked(), ["undo a", "undo b"]);
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Compensated(Reason::Cancelled)));
    stage.check_whole();
}

// Goal: a step of which nothing was heard, however often it was asked for, is undone all the same.
#[test]
pub(crate) fn s19_lost_step_is_undone() {
    let mut stage = Stage::begin(graph("a"));
    stage.append();
    let call = stage.pick("a");
    stage.deliver(&call, false);
    for _ in 0..3 {
        stage.tick(TIMEOUT);
        stage.tick(Duration::from_secs(1));
        stage.calls.retain(|call| call.key.op == Op::Undo);
    }
    stage.append();
    assert_eq!(stage.standing("a"), Standing::Lost);
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Compensated(Reason::Unresolved(stage.id("a")))));
    assert_eq!(stage.effect("a"), (1, 1));
}

// Goal: an outcome that nobody knows is no refusal: the step is asked for again, and counts.
#[test]
pub(crate) fn s20_unknown_is_not_rejected() {
    let mut stage = Stage::begin(graph("a"));
    stage.append();
    let call = stage.pick("a");
    stage.deliver(&call, false);
    stage.reply(&call, Outcome::Unknown);
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Completed));
    assert_eq!(stage.effect("a"), (1, 0));
}

// Goal: a compensation that fails for a while is tried again, after pauses within their bounds.
#[test]
fn s21_undo_is_tried_again() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.append();
    stage.serve("a");
    stage.reject("b");
    for longest in [100, 200] {
        stage.lose("undo a");
        let pause = stage.saga.due().expect("it is tried again").since(stage.now);
        assert!(pause <= Duration::from_millis(longest), "{pause:?}");
        stage.tick(pause);
    }
    stage.play(&|_| false, None);
    assert!(matches!(stage.verdict, Some(Verdict::Compensated(_))));
    stage.check_whole();
}

// Goal: pauses differ, so that many that failed together do not come together again.
#[test]
fn s21_pauses_are_jittered() {
    let pauses: std::collections::BTreeSet<Duration> = (0..20)
        .map(|seed| {
            let retry = graph("a").steps().next().map(|(_, step)| step.retry).expect("a step");
            retry.pause(3, seed * 7_919_000_003)
        })
        .collect();
    assert!(pauses.len() > 15, "{pauses:?}");
}

// Goal: a saga that is not decided in time turns back, once what is in flight is resolved.
#[test]
fn s26_deadline_resolves_then_undoes() {
    let mut stage = Stage::begin(graph_within("a b<a", Some(Duration::from_millis(500))));
    stage.append();
    stage.serve("a");
    let call = stage.pick("b");
    stage.tick(Duration::from_millis(500));
    stage.append();
    assert!(stage.asked().is_empty());
    let outcome = stage.deliver(&call, false);
    stage.reply(&call, outcome);
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Compensated(Reason::Deadline)));
    assert_eq!(stage.done, ["a", "b", "undo b", "undo a"]);
}

// Goal: a clock that jumps makes no deadline early: what was spent is counted by each executor's own.
// Method: another executor goes on, whose clock stands a million seconds later.
#[test]
fn s37_clock_jumps_make_no_deadline_early() {
    let mut stage = Stage::begin(graph_within("a b<a", Some(Duration::from_secs(10))));
    stage.append();
    stage.tick(Duration::from_millis(900));
    stage.serve("a");
    stage.crash().expect("the log makes sense");
    stage.append();
    stage.tick(Duration::from_millis(9_000));
    assert_eq!(stage.saga.state().course, consensus_core::saga::Course::Forward);
    let due = stage.saga.due().expect("there is a deadline").since(stage.now);
    assert!(due <= Duration::from_millis(100), "what was spent before counts: {due:?}");
}

// Goal: a retriable step that is refused is asked for anew, as another effect.
#[test]
fn s24_retriable_step_is_another_effect_each_round() {
    let mut stage = Stage::begin(graph("a! b+<a"));
    stage.append();
    stage.serve("a");
    let first = stage.calls[0].key;
    stage.reject("b");
    stage.tick(Duration::from_secs(1));
    let second = stage.calls[0].key;
    assert_eq!((first.round, second.round), (0, 1));
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Completed));
    let class = stage.graph.step(stage.id("b")).map(|step| step.class);
    assert_eq!(class, Some(Class::Retriable));
}

// Goal: each outcome in the log says how often it was asked for, of a step and of its compensation:
// what was lost, refused and asked for anew, or retried by an operator, counts on.
#[test]
fn outcomes_say_how_often_they_were_asked_for() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.append();
    stage.lose("a");
    stage.tick(Duration::from_secs(1));
    stage.serve("a");
    stage.reject("b");
    for _ in 0..3 {
        stage.lose("undo a");
        stage.tick(Duration::from_secs(1));
    }
    stage.append();
    let expected = [("a", Op::Action, 2), ("b", Op::Action, 1), ("a", Op::Undo, 3)];
    assert_eq!(counts(&stage), expected);
    assert_eq!(stage.stuck(), ["a"]);
    stage.order(Order::Retry(None)).expect("it is stuck");
    stage.serve("undo a");
    assert_eq!(counts(&stage)[3..], [("a", Op::Undo, 4)]);

    let mut stage = Stage::begin(graph("a! b+<a"));
    stage.append();
    stage.serve("a");
    for _ in 0..3 {
        stage.reject("b");
        stage.tick(Duration::from_secs(1));
    }
    let rejected = |attempts| ("b", Op::Action, attempts);
    // The last refusal is followed by the record that gives the step up.
    let expected = [("a", Op::Action, 1), rejected(1), rejected(2), rejected(3), rejected(3)];
    assert_eq!(counts(&stage), expected);
}

// Goal: a step that nobody was asked for when its saga turned back has no attempt, and is undone.
#[test]
fn what_was_never_sent_counts_no_attempt() {
    let mut stage = Stage::begin(graph("a"));
    stage.append_one();
    stage.order(Order::Cancel).expect("nothing is decided");
    assert_eq!(counts(&stage), [("a", Op::Action, 0)]);
    assert_eq!(stage.asked(), ["undo a"]);
}

// Goal: who takes over counts on from what the log says, and does not know of attempts that had no
// outcome then.
#[test]
fn an_executor_counts_on_from_the_log() {
    let mut stage = Stage::begin(graph("a! b+<a"));
    stage.append();
    stage.serve("a");
    stage.reject("b");
    stage.tick(Duration::from_secs(1));
    stage.lose("b");
    stage.crash().expect("the log makes sense");
    stage.append();
    stage.serve("b");
    let expected = [("a", Op::Action, 1), ("b", Op::Action, 1), ("b", Op::Action, 2)];
    assert_eq!(counts(&stage), expected);
    assert!(matches!(stage.ledger.log(ID).last().expect("a log").record, Record::Done { .. }));
}

// Goal: while something is being asked for, its executor says how often it was, since when it
// waits, and when it asks next; and nothing of what is not.
#[test]
fn what_is_being_asked_for_is_told() {
    let mut stage = Stage::begin(graph("a b<a"));
    let under_way = |stage: &Stage| stage.saga.under_way().collect::<Vec<_>>();
    let (step, op) = (stage.id("a"), Op::Action);
    let phase = Phase::Resting(stage.now);
    assert_eq!(under_way(&stage), [UnderWay { step, op, attempts: 0, phase }]);
    stage.append();
    let phase = Phase::Asked { since: stage.now, until: stage.now + TIMEOUT };
    assert_eq!(under_way(&stage), [UnderWay { step, op, attempts: 1, phase }]);
    stage.lose("a");
    let due = stage.saga.due().expect("it is asked for again");
    let phase = Phase::Resting(due);
    assert_eq!(under_way(&stage), [UnderWay { step, op, attempts: 1, phase }]);
    stage.tick(due.since(stage.now));
    let phase = Phase::Asked { since: due, until: due + TIMEOUT };
    assert_eq!(under_way(&stage), [UnderWay { step, op, attempts: 2, phase }]);
    stage.serve("a");
    stage.reject("b");
    let phase = Phase::Asked { since: due, until: due + TIMEOUT };
    assert_eq!(under_way(&stage), [UnderWay { step, op: Op::Undo, attempts: 1, phase }]);
    stage.serve("undo a");
    assert_eq!(under_way(&stage), []);
}
