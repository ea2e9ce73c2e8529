//! Pivots, cancelling, and what operators do.

use std::time::Duration;

use consensus_core::saga::{
    AppendError, Course, Order, OrderError, RESUMES_MAX, Reason, Record, Standing, Verdict,
};

use super::{
    crashes::all_of_four,
    stage::{ID, Stage, graph},
};

// Goal: a compensation that cannot be done leaves the saga stuck, the others are done, and an
// operator finishes it.
#[test]
fn s22_failed_undo_is_stuck_until_retried() {
    let mut stage = Stage::begin(graph("a b<a c<b"));
    stage.play(&|step| step == "c" || step == "undo b", None);
    assert_eq!((stage.stuck(), stage.verdict.clone()), (vec!["b"], None));
    assert_eq!((stage.effect("a"), stage.effect("b")), ((1, 1), (1, 0)));
    assert_eq!(stage.order(Order::Retry(Some(stage.id("a")))), Err(OrderError::NotStuck));
    stage.order(Order::Retry(Some(stage.id("b")))).expect("it is stuck");
    stage.play(&|_| false, None);
    assert!(matches!(stage.verdict, Some(Verdict::Compensated(_))));
    stage.check_whole();
}

// Goal: an operator's order is kept with its reason, and an executor that was replaced carries out
// none.
#[test]
fn s23_orders_are_logged_and_fenced() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.play(&|step| step == "b" || step == "undo a", None);
    assert_eq!(stage.stuck(), ["a"]);
    let old = stage.epoch;
    let new = stage.ledger.claim();
    let mut out = Vec::new();
    stage.saga.order(stage.now, Order::Skip(stage.id("a")), "by hand", &mut out).expect("stuck");
    let entry = out.iter().find_map(|effect| match effect {
        consensus_core::saga::Effect::Append(entry) => Some(entry.clone()),
        _ => None,
    });
    let entry = entry.expect("it is written");
    assert_eq!(entry.epoch, old);
    assert!(matches!(&entry.record, Record::Ordered { reason, .. } if reason == "by hand"));
    assert_eq!(stage.ledger.append(ID, entry), Err(AppendError::Stale(new)));
    stage.crash().expect("the log makes sense");
    stage.append();
    stage.order(Order::Skip(stage.id("a"))).expect("it is stuck");
    assert!(matches!(stage.verdict, Some(Verdict::Compensated(_))));
    assert_eq!(stage.order(Order::Abandon), Err(OrderError::Over));
}

// Goal: a step behind the pivot that later ones rest on cannot be skipped; the saga can be abandoned.
#[test]
fn s23_needed_step_cannot_be_skipped() {
    let mut stage = Stage::begin(graph("a! b+<a c+<b"));
    stage.append();
    stage.serve("a");
    for _ in 0..3 {
        stage.reject("b");
        stage.tick(Duration::from_millis(500));
    }
    assert_eq!(stage.stuck(), ["b"]);
    assert_eq!(stage.order(Order::Skip(stage.id("b"))), Err(OrderError::Needed));
    stage.order(Order::Abandon).expect("it has not ended");
    assert_eq!(stage.verdict, Some(Verdict::Abandoned));
    assert_eq!(stage.saga.state().course, Course::Abandoned);
}

// Goal: the pivot begins when all steps before it are done, whether it names them or not.
#[test]
pub(crate) fn s24_pivot_waits_for_all() {
    let mut stage = Stage::begin(graph("a b c!<a"));
    stage.append();
    stage.serve("a");
    assert_eq!(stage.asked(), ["b"]);
    stage.serve("b");
    assert_eq!(stage.asked(), ["c"]);
}

// Goal: behind the pivot nothing is undone: what fails there is tried again, then told to operators.
#[test]
fn s24_failure_behind_the_pivot_undoes_nothing() {
    let mut stage = Stage::begin(graph("a b!<a c+<b"));
    stage.play(&|step| step == "c", None);
    assert_eq!((stage.stuck(), stage.verdict.clone()), (vec!["c"], None));
    assert_eq!(stage.done, ["a", "b"]);
    stage.order(Order::Retry(None)).expect("it is stuck");
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Completed));
}

// Goal: a pivot of which nothing is heard is neither undone nor forgotten.
#[test]
fn s24_lost_pivot_waits_for_an_operator() {
    let mut stage = Stage::begin(graph("a b!<a"));
    stage.append();
    stage.serve("a");
    let call = stage.pick("b");
    stage.deliver(&call, false);
    for _ in 0..3 {
        stage.tick(Duration::from_secs(1));
        stage.tick(Duration::from_secs(1));
        stage.calls.clear();
    }
    stage.append();
    assert_eq!((stage.stuck(), stage.standing("b")), (vec!["b"], Standing::Lost));
    assert_eq!(stage.order(Order::Cancel), Err(OrderError::Decided));
    stage.order(Order::Retry(None)).expect("it is stuck");
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Completed));
    assert_eq!(stage.effect("b"), (1, 0));
}

// Goal: before the pivot a saga can be cancelled, once; behind it it cannot.
#[test]
pub(crate) fn s25_cancel_before_pivot_only() {
    let mut stage = Stage::begin(graph("a b!<a"));
    stage.append();
    stage.serve("a");
    assert_eq!(stage.order(Order::Cancel), Err(OrderError::Decided), "b was asked for");
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Completed));

    let mut stage = Stage::begin(graph("a b!<a"));
    stage.append();
    stage.order(Order::Cancel).expect("nothing is decided");
    assert_eq!(stage.order(Order::Cancel), Err(OrderError::TurnedBack));
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Compensated(Reason::Cancelled)));
    stage.check_whole();
}

// Goal: a saga that is a step of another is undone when that one turns back, even completed; each
// step once, after those that rest on it. Method: each graph of four steps, and a crash after each
// record of both ways.
#[test]
pub(crate) fn s31_completed_saga_is_revoked() {
    for (text, crash_at) in all_of_four().flat_map(|text| (0..20).map(move |at| (text.clone(), at)))
    {
        let mut stage = Stage::begin(graph(&text));
        stage.play(&|_| false, Some(crash_at));
        assert_eq!(stage.verdict, Some(Verdict::Completed));
        assert_eq!(stage.order(Order::Cancel), Err(OrderError::Over), "nobody else undoes it");
        stage.order(Order::Revoke).expect("it has no pivot");
        assert_eq!(stage.order(Order::Revoke), Err(OrderError::TurnedBack));
        stage.play(&|_| false, Some(crash_at));
        assert_eq!(stage.verdict, Some(Verdict::Compensated(Reason::Revoked)), "{text}");
        stage.check_whole();
        let undone = |name: &str| stage.done.iter().position(|it| *it == format!("undo {name}"));
        for (_, after) in stage.graph.steps() {
            for before in after.after.iter().filter_map(|id| stage.graph.step(*id)) {
                assert!(undone(&after.name) < undone(&before.name), "{text}: {:?}", stage.done);
            }
        }
    }
}

// Goal: what a pivot has decided is not revoked, whether it is done or only asked for.
#[test]
fn s31_decided_saga_is_not_revoked() {
    let mut stage = Stage::begin(graph("a b!<a"));
    stage.append();
    stage.serve("a");
    assert_eq!(stage.order(Order::Revoke), Err(OrderError::Decided));
    stage.play(&|_| false, None);
    assert_eq!(stage.order(Order::Revoke), Err(OrderError::Decided));
    assert_eq!(stage.verdict, Some(Verdict::Completed));
}

// Goal: a saga that waits for an operator does not grow with every executor that takes it up, nor
// does it count for poison.
// Method: more executors than a saga may have that nothing comes of.
#[test]
fn s32_stuck_saga_is_taken_up_without_a_record() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.play(&|step| step == "b" || step == "undo a", None);
    assert_eq!(stage.stuck(), ["a"]);
    let log = stage.ledger.log(ID).to_vec();
    for _ in 0..2 * RESUMES_MAX {
        stage.crash().expect("the log makes sense");
        stage.append();
        assert!(stage.asked().is_empty());
    }
    assert_eq!(stage.ledger.log(ID), log);
    assert_eq!((stage.stuck(), stage.saga.state().is_quarantined()), (vec!["a"], false));
    stage.order(Order::Retry(None)).expect("it is stuck");
    stage.play(&|_| false, None);
    stage.check_whole();
}
