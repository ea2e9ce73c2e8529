//! Participants behind their barrier, and executors that were replaced.

use std::collections::BTreeMap;

use bytes::Bytes;
use consensus_core::saga::{
    Admission, Age, Answer, AppendError, Barrier, CoordinatorId, EffectKey, Epoch, Heard, Op,
    Outcome, Place, Recalled, Request, Row, SagaId, StepId, Verdict,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::stage::{ID, Stage, graph, request};
use crate::bug;

const EPOCH: Epoch = Epoch(3);

fn key(op: Op) -> EffectKey {
    EffectKey { saga: ID, step: StepId(0), op, round: 0 }
}

fn aged(place: u64, oldest: u64) -> Age {
    Age { place: Place(place), oldest: Place(oldest) }
}

fn barrier() -> Barrier {
    bug::barrier(Barrier::default())
}

fn done(text: &'static str) -> Answer {
    Answer::Done(Bytes::from_static(text.as_bytes()))
}

// Goal: a reply that is lost leads to one effect, and to the same answer.
#[test]
pub(crate) fn s15_reply_lost_effect_once() {
    let mut stage = Stage::begin(graph("a"));
    stage.append();
    let call = stage.pick("a");
    let lost = stage.deliver(&call, false);
    assert_eq!(stage.deliver(&call, false), lost);
    stage.reply(&call, Outcome::Unknown);
    stage.play(&|_| false, None);
    assert_eq!(stage.effect("a"), (1, 0));
    assert_eq!(stage.verdict, Some(Verdict::Completed));
}

// Goal: what a saga has done that goes on is remembered when those before it have ended.
#[test]
pub(crate) fn s15_what_goes_on_is_not_forgotten() {
    let mut barrier = barrier();
    for place in [1, 2] {
        let of = Request { age: aged(place, 1), ..request(key(Op::Action), EPOCH) };
        assert_eq!(barrier.admit(of), Admission::Run(None));
        barrier.finish(of, Some(done("x")));
    }
    let again = Request { age: aged(2, 2), ..request(key(Op::Action), EPOCH) };
    assert_eq!(barrier.admit(again), Admission::Replay(done("x")));
    assert_eq!(barrier.len(), 1);
}

// Goal: a step that comes once more after its compensation is refused.
#[test]
pub(crate) fn s16_action_after_undo_is_refused() {
    let mut barrier = barrier();
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Run(None));
    barrier.finish(request(key(Op::Action), EPOCH), None);
    assert_eq!(barrier.admit(request(key(Op::Undo), EPOCH)), Admission::Replay(done("")));
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Sealed);
    let later = Request { age: aged(2, 2), ..request(key(Op::Action), EPOCH) };
    assert_eq!(barrier.admit(later), Admission::Run(None));
    assert_eq!(barrier.len(), 1, "nothing is left of what has ended");
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Sealed);
}

// Goal: a compensation that comes first undoes nothing, and keeps the step away for good.
#[test]
pub(crate) fn s17_undo_before_action_undoes_nothing() {
    let mut barrier = barrier();
    assert_eq!(barrier.admit(request(key(Op::Undo), EPOCH)), Admission::Replay(done("")));
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Sealed);
    assert_eq!(barrier.admit(request(key(Op::Undo), EPOCH)), Admission::Replay(done("")));
}

// Goal: of two that come at once one is carried out; the other is told to ask again.
#[test]
fn s18_one_of_two_at_once() {
    let mut barrier = barrier();
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Run(None));
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Busy);
    assert_eq!(barrier.admit(request(key(Op::Undo), EPOCH)), Admission::Busy, "nobody knows yet");
    barrier.finish(request(key(Op::Action), EPOCH), Some(done("x")));
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Replay(done("x")));
    let output = Some(Bytes::from_static(b"x"));
    assert_eq!(barrier.admit(request(key(Op::Undo), EPOCH)), Admission::Run(output));
    assert_eq!(barrier.admit(request(key(Op::Undo), EPOCH)), Admission::Busy);
    barrier.finish(request(key(Op::Undo), EPOCH), Some(done("")));
    assert_eq!(barrier.admit(request(key(Op::Undo), EPOCH)), Admission::Replay(done("")));
}

// Goal: what was under way when a participant stopped may be asked for again, what was answered
// not.
#[test]
fn s18_restart_forgets_what_was_under_way() {
    let mut barrier = barrier();
    let other = Request { age: aged(2, 1), ..request(key(Op::Action), EPOCH) };
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Run(None));
    assert_eq!(barrier.admit(other), Admission::Run(None));
    barrier.finish(other, Some(done("y")));
    barrier.restart();
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Run(None));
    assert_eq!(barrier.admit(other), Admission::Replay(done("y")));
}

// Goal: a compensation that was refused is another effect when an operator asks for it again.
#[test]
fn s22_refused_undo_runs_again_in_its_next_round() {
    let mut barrier = barrier();
    let no = || Answer::Rejected(Bytes::from_static(b"no"));
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), Admission::Run(None));
    barrier.finish(request(key(Op::Action), EPOCH), Some(done("x")));
    assert!(matches!(barrier.admit(request(key(Op::Undo), EPOCH)), Admission::Run(Some(_))));
    barrier.finish(request(key(Op::Undo), EPOCH), Some(no()));
    assert_eq!(barrier.admit(request(key(Op::Undo), EPOCH)), Admission::Replay(no()));
    let again = EffectKey { round: 1, ..key(Op::Undo) };
    assert!(matches!(barrier.admit(request(again, EPOCH)), Admission::Run(Some(_))));
}

// Goal: an executor that was replaced appends nothing.
#[test]
pub(crate) fn s34_old_executor_cannot_append() {
    let mut stage = Stage::begin(graph("a b<a"));
    stage.append();
    let (old, last) = (stage.epoch, stage.ledger.log(ID).last().cloned().expect("it began"));
    let new = stage.ledger.claim();
    let before = stage.ledger.clone();
    let appended = stage.append_as(old, last.seq.next(), last.clone());
    assert_eq!(appended, Err(AppendError::Stale(new)));
    assert_eq!(stage.ledger.put_away(ID, old), Err(AppendError::Stale(new)));
    assert_eq!(stage.ledger, before);
}

// Goal: a participant that has heard of the next executor obeys the former one no more.
#[test]
pub(crate) fn s34_old_executor_cannot_command() {
    let mut barrier = barrier();
    let other = Request { age: aged(2, 1), ..request(key(Op::Action), Epoch(4)) };
    assert_eq!(barrier.admit(other), Admission::Run(None));
    let stale = Admission::Stale { epoch: Epoch(4) };
    assert_eq!(barrier.admit(request(key(Op::Action), EPOCH)), stale);
    assert_eq!(barrier.admit(request(key(Op::Action), Epoch(4))), Admission::Run(None));
}

// Goal: two coordinators count their epochs each for itself, and neither is taken for a former
// executor of the other.
#[test]
fn epochs_of_one_coordinator_say_nothing_of_another() {
    let mut barrier = barrier();
    assert_eq!(barrier.admit(request(key(Op::Action), Epoch(4))), Admission::Run(None));
    let key = EffectKey { saga: SagaId(8), ..key(Op::Action) };
    let other = Request { coordinator: CoordinatorId(2), ..request(key, EPOCH) };
    assert_eq!(barrier.admit(other), Admission::Run(None));
}

// Goal: a participant that keeps rows decides as one that keeps all in memory, whatever comes.
// Method: two steps, both operations, two rounds, executors that were replaced or not, answers of
// each kind, and a saga that is forgotten at last, at random; one barrier stays, the other is made
// anew for each request of the row that the former left.
#[test]
fn a_row_is_all_that_a_decision_rests_on() {
    for seed in 0..200 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |below: u32| random.next_u32() % below;
        let (mut whole, mut rows) = (Barrier::default(), BTreeMap::<StepId, Row>::new());
        let mut heard = Heard::default();
        for _ in 0..60 {
            let op = if draw(2) == 0 { Op::Action } else { Op::Undo };
            let step = StepId(u16::from(draw(2) == 0));
            let key = EffectKey { saga: ID, step, op, round: draw(2) };
            let has_ended = draw(100) == 0;
            let age = aged(1, if has_ended { 2 } else { 1 });
            let of = Request { age, ..request(key, Epoch(u64::from(1 + draw(3)))) };
            let row = rows.get(&step).cloned().unwrap_or_default();
            let mut recalled = Barrier::recall(of, Recalled { heard, row });
            let admission = whole.admit(of);
            assert_eq!(recalled.admit(of), admission, "seed {seed}");
            if !matches!(admission, Admission::Stale { .. }) {
                heard = heard.and(of);
            }
            if matches!(admission, Admission::Run(_)) {
                let answers = [None, Some(Answer::Rejected(Bytes::new())), Some(done("x"))];
                let answer = &answers[draw(3) as usize];
                whole.finish(of, answer.clone());
                recalled.finish(of, answer.clone());
            }
            rows.insert(step, recalled.row(of).cloned().unwrap_or_default());
            assert_eq!(recalled.heard(of.coordinator), heard);
        }
    }
}

// Goal: the text of a key is read as that key, and no other text is.
#[test]
fn a_key_has_one_text() {
    for op in [Op::Action, Op::Undo] {
        let key = EffectKey { saga: SagaId(u128::MAX - 7), step: StepId(12), op, round: 3 };
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    let text = key(Op::Action).to_string();
    for odd in [
        String::new(),
        format!("{text}-"),
        format!("+{text}"),
        text.to_uppercase(),
        text.replace("action", "act"),
        text.replace("-0", "-00"),
        text.trim_start_matches('0').to_owned(),
    ] {
        assert!(odd.parse::<EffectKey>().is_err(), "{odd}");
    }
}
