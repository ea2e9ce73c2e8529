//! The log, and executors that are lost.

use std::sync::Arc;

use bytes::Bytes;
use consensus_core::{
    Time,
    saga::{AppendError, Entry, Event, Record, Saga, Seq, StepId, Verdict},
};

use super::stage::{ID, Stage, graph, graph_within};

// Goal: a linear saga ends whole, wherever its executor was lost. Method: a crash after each record,
// where all goes well and where each step is refused.
#[test]
fn s01_crash_after_each_record() {
    let graph = graph("a b<a c!<b d+<c");
    for refused in ["", "a", "b", "c"] {
        for crash_at in 1..20 {
            let mut stage = Stage::begin(Arc::clone(&graph));
            stage.play(&|step| step == refused, Some(crash_at));
            let completed = stage.verdict == Some(Verdict::Completed);
            assert_eq!(completed, refused.is_empty(), "{refused} {crash_at}");
            stage.check_whole();
        }
    }
}

/// Returns each graph of four steps: each set of edges.
pub(super) fn all_of_four() -> impl Iterator<Item = String> {
    let edges = ["b<a", "c<a", "c<b", "d<a", "d<b", "d<c"];
    (0_u32..64).map(move |chosen| {
        let is_chosen = |edge: usize| chosen & 1 << edge != 0;
        let mut text = String::new();
        for step in ["a", "b", "c", "d"] {
            let after: Vec<&str> = (0..6)
                .filter(|edge| is_chosen(*edge))
                .filter_map(|edge| edges[edge].strip_prefix(step)?.strip_prefix('<'))
                .collect();
            text += &format!(" {step}<{}", after.join(","));
        }
        text
    })
}

// Goal: the same for every graph of four steps. Method: each set of edges, each step refused, a crash
// after each record, also of those that are written while the saga is undone.
#[test]
fn s02_crash_anywhere_in_any_graph() {
    for text in all_of_four() {
        let graph = graph(&text);
        for refused in ["a", "b", "c", "d"] {
            for crash_at in 1..14 {
                let mut stage = Stage::begin(Arc::clone(&graph));
                stage.play(&|step| step == refused, Some(crash_at));
                assert!(matches!(stage.verdict, Some(Verdict::Compensated(_))), "{text}");
                stage.check_whole();
            }
        }
    }
}

// Goal: a step is undone after all that rest on it, also through steps that have no effect.
#[test]
pub(crate) fn s02_undo_runs_backwards() {
    let mut stage = Stage::begin(graph("a b?<a c<b d<c"));
    stage.play(&|step| step == "d", None);
    assert_eq!(stage.done, ["a", "b", "c", "undo c", "undo a"]);
    stage.check_whole();
}

// Goal: two steps that fail at once turn the saga back once.
#[test]
fn s03_two_steps_fail_at_once() {
    let mut stage = Stage::begin(graph("a b<a c<a d<a"));
    stage.append();
    stage.serve("a");
    let calls = [stage.pick("b"), stage.pick("c"), stage.pick("d")];
    let replies = [true, true, false].map(|rejects| rejects);
    for (call, rejects) in calls.iter().zip(replies) {
        let outcome = stage.deliver(call, rejects);
        stage.reply(call, outcome);
    }
    stage.play(&|_| false, None);
    assert_eq!((stage.effect("a"), stage.effect("d")), ((1, 1), (1, 1)));
    stage.check_whole();
}

// Goal: two compensations that fail at once leave the saga stuck, and both are told.
#[test]
fn s04_two_undos_fail_at_once() {
    let mut stage = Stage::begin(graph("a b c<a,b"));
    stage.play(&|step| step == "c" || step.starts_with("undo"), None);
    assert_eq!(stage.stuck(), ["a", "b"]);
    assert_eq!(stage.verdict, None);
}

// Goal: what was done when the executor was lost, and not in the log, is not done again.
#[test]
fn s05_crash_before_the_result_is_logged() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.append();
    let call = stage.pick("a");
    stage.deliver(&call, false);
    stage.crash().expect("the log makes sense");
    stage.play(&|_| false, None);
    assert_eq!(stage.effect("a"), (1, 0));
    assert_eq!(stage.verdict, Some(Verdict::Completed));
}

// Goal: what was about to be asked for when the executor was lost is asked for.
#[test]
fn s06_crash_before_the_request_is_sent() {
    let mut stage = Stage::begin(graph("a"));
    stage.append();
    assert_eq!(stage.asked(), ["a"]);
    stage.crash().expect("the log makes sense");
    stage.append();
    assert_eq!(stage.asked(), ["a"]);
}

// Goal: nobody is asked for anything before the log says so.
#[test]
pub(crate) fn s06_intent_before_call() {
    let mut stage = Stage::begin(graph("a"));
    stage.step(Event::Tick);
    assert!(stage.asked().is_empty());
    stage.append();
    assert_eq!(stage.asked(), ["a"]);
}

// Goal: a log with a record that nobody can have written there is refused, and nothing is done.
#[test]
fn s07_corrupt_record_is_refused() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.append();
    stage.serve("a");
    let log = stage.ledger.log(ID).to_vec();
    assert_eq!(log.len(), 4);
    for at in 0..log.len() {
        for record in [
            Record::Undone { step: stage.id("b"), attempts: 1 },
            Record::Begun { digest: 1, input: Bytes::new(), parent: None },
            Record::Done { step: stage.id("b"), output: Bytes::new(), attempts: 1 },
            Record::Intended(StepId(99)),
        ] {
            let mut log = log.clone();
            log[at].record = record;
            let graph = Arc::clone(&stage.graph);
            let mut out = Vec::new();
            let resumed = Saga::resume((ID, graph), stage.epoch, &log, Time::ZERO, &mut out);
            assert!(resumed.is_err() && out.is_empty(), "record {at} of {log:?}");
        }
    }
}

// Goal: a gap is seen where it would come about, and where it is read.
#[test]
pub(crate) fn s08_gap_is_refused() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.append();
    stage.serve("a");
    let (epoch, last) = (stage.epoch, stage.ledger.log(ID).last().cloned().expect("it began"));
    let next = last.seq.next();
    let ahead = stage.append_as(epoch, next.next(), last.clone());
    assert_eq!(ahead, Err(AppendError::OutOfPlace(next)));
    let other = Entry { record: Record::Resumed, ..last };
    assert_eq!(stage.append_as(epoch, Seq(1), other), Err(AppendError::OutOfPlace(next)));
    let mut log = stage.ledger.log(ID).to_vec();
    log.remove(1);
    let resumed = Saga::resume((ID, stage.graph), epoch, &log, Time::ZERO, &mut vec![]);
    assert_eq!(resumed.map_err(|error| error.seq).err(), Some(Seq(3)));
}

// Goal: a record whose append was answered to nobody is appended once.
#[test]
fn s10_append_again_changes_nothing() {
    let mut stage = Stage::begin(graph("a"));
    let first = stage.appends[0].clone();
    stage.append();
    let before = stage.ledger.clone();
    assert_eq!(stage.ledger.append(ID, first), Ok(()));
    assert_eq!(stage.ledger, before);
}

// Goal: nothing leaves for as long as appends fail, and the saga can be taken up.
#[test]
fn s11_failed_append_lets_nothing_out() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.append();
    let call = stage.pick("a");
    let outcome = stage.deliver(&call, false);
    stage.reply(&call, outcome);
    stage.tick(std::time::Duration::from_secs(60));
    assert!(stage.calls.is_empty(), "{:?}", stage.asked());
    stage.crash().expect("the log makes sense");
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Completed));
    stage.check_whole();
}

// Goal: a saga does not go on by another definition than it began with; by its own it does.
#[test]
fn s13_changed_definition_is_refused() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.append();
    let own = std::mem::replace(&mut stage.graph, graph("a b"));
    assert_eq!(stage.crash().map_err(|error| error.seq), Err(Seq(1)));
    // Times may change.
    stage.graph = graph_within("a b<a", Some(std::time::Duration::from_secs(9)));
    assert_eq!(own.digest(), stage.graph.digest());
    stage.crash().expect("it is the same");
    stage.play(&|_| false, None);
    assert_eq!(stage.verdict, Some(Verdict::Completed));
}

// Goal: a compensation gets what its step brought, also from an executor that did not see it.
#[test]
fn s28_undo_gets_the_output_after_a_crash() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.append();
    stage.serve("a");
    stage.crash().expect("the log makes sense");
    stage.append();
    stage.reject("b");
    let call = stage.pick("undo a");
    assert_eq!(call.output, Some(Bytes::from_static(b"a done")));
    assert_eq!(stage.saga.state().input, Bytes::from_static(b"input"));
}

// Goal: a saga whose executors all end without anything having come of it is left alone in the end,
// visibly, until an operator asks for more.
#[test]
fn s33_poison_is_quarantined() {
    use consensus_core::saga::{Order, RESUMES_MAX};

    let mut stage = Stage::begin(graph("a"));
    stage.append();
    for _ in 0..=RESUMES_MAX {
        assert_eq!(stage.asked(), ["a"]);
        stage.crash().expect("the log makes sense");
        stage.append();
    }
    assert!(stage.saga.state().is_quarantined());
    assert!(stage.asked().is_empty());
    stage.order(Order::Retry(None)).expect("it is stuck");
    assert_eq!(stage.asked(), ["a"]);
}
