//! Sagas that are steps of others, and the keys that sagas hold.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::saga::{
    AppendError, EffectKey, Entry, Epoch, Families, Ledger, Op, Order, Parent, Place, Record,
    SagaId, Seq, Start, StartError, StepId,
};

use crate::bug;

const OUTER: SagaId = SagaId(1);
const OTHER: SagaId = SagaId(2);
const STEP: StepId = StepId(3);

/// The step of a saga that is another.
fn step(saga: SagaId) -> EffectKey {
    EffectKey { saga, step: STEP, op: Op::Action, round: 0 }
}

/// Families and the ledger of their logs, in its first epoch.
struct Estate {
    families: Families,
    ledger: Ledger,
    epoch: Epoch,
}

impl Estate {
    fn new() -> Self {
        let mut ledger = bug::ledger(Ledger::default());
        let epoch = ledger.claim();
        Self { families: bug::families(Families::default()), ledger, epoch }
    }

    fn start_as(
        &mut self,
        saga: SagaId,
        (keys, refuses): (&str, bool),
        parent: Option<Parent>,
    ) -> Result<(), StartError> {
        let keys = keys.split_whitespace().map(str::to_owned).collect();
        let start = Start { digest: 7, input: Bytes::new(), keys, refuses, parent };
        self.families.start(&mut self.ledger, saga, start)
    }

    /// Starts a saga that waits for the keys that it names.
    fn start(&mut self, saga: SagaId, keys: &str) {
        self.start_as(saga, (keys, false), None).expect("it may wait");
    }

    /// Asks for the step of a saga, once its log says so; returns the saga that the step is.
    fn ask(&mut self, saga: SagaId, keys: &str) -> Result<SagaId, StartError> {
        self.ask_as(saga, (keys, false))
    }

    fn ask_as(&mut self, saga: SagaId, keys: (&str, bool)) -> Result<SagaId, StartError> {
        let (step, epoch) = (step(saga), self.epoch);
        let child = SagaId::of_step(step);
        self.start_as(child, keys, Some(Parent { step, epoch })).map(|()| child)
    }

    fn write(&mut self, saga: SagaId, record: Record) {
        let seq = self.ledger.log(saga).last().map_or(Seq(1), |last| last.seq.next());
        let entry = Entry { seq, epoch: self.epoch, spent: Duration::ZERO, record };
        self.families.append(&mut self.ledger, saga, entry).expect("it has its place");
    }

    fn end(&mut self, saga: SagaId) -> Vec<SagaId> {
        let over = self.families.end(&mut self.ledger, saga, self.epoch);
        over.expect("it is the latest executor").into_iter().map(|(saga, _)| saga).collect()
    }

    /// Returns the sagas that have begun and are not over, in their order.
    fn begun(&self) -> Vec<SagaId> {
        self.ledger.behind(Place::default()).map(|(_, saga)| saga).collect()
    }
}

// Goal: a step that is asked for again, by whichever executor, finds the saga that was begun, and how
// far it has come.
#[test]
pub(crate) fn s31_step_asked_for_again_begins_nothing() {
    let mut estate = Estate::new();
    estate.start(OUTER, "");
    estate.write(OUTER, Record::Intended(STEP));
    let inner = estate.ask(OUTER, "").unwrap();
    estate.write(inner, Record::Intended(StepId(0)));
    assert_eq!(estate.ask(OUTER, ""), Ok(inner));
    estate.epoch = estate.ledger.claim();
    assert_eq!(estate.ask(OUTER, ""), Ok(inner));
    assert_eq!((estate.begun(), estate.ledger.log(inner).len()), (vec![OUTER, inner], 2));
}

// Goal: a request that comes when the step is settled, or for an executor that was replaced, begins
// no saga; nor does one of an earlier round.
#[test]
pub(crate) fn s31_late_request_begins_nothing() {
    for late in [
        Record::Done { step: STEP, output: Bytes::new(), attempts: 1 },
        Record::Rejected { step: STEP, cause: Bytes::new(), attempts: 1 },
        Record::Unresolved { step: STEP, attempts: 1 },
    ] {
        let mut estate = Estate::new();
        estate.start(OUTER, "");
        estate.write(OUTER, Record::Intended(STEP));
        estate.write(OUTER, late);
        assert_eq!(estate.ask(OUTER, ""), Err(StartError::Late));
    }
    let mut estate = Estate::new();
    estate.start(OUTER, "");
    estate.write(OUTER, Record::Intended(STEP));
    estate.ledger.claim();
    assert_eq!(estate.ask(OUTER, ""), Err(StartError::Late));
    assert_eq!(estate.begun(), [OUTER]);
}

// Goal: a retriable step that was refused is asked for in another round, which is another saga.
#[test]
fn s31_each_round_of_a_step_is_a_saga() {
    let mut estate = Estate::new();
    estate.start(OUTER, "");
    estate.write(OUTER, Record::Intended(STEP));
    let first = estate.ask(OUTER, "").unwrap();
    estate.end(first);
    estate.write(OUTER, Record::Rejected { step: STEP, cause: Bytes::new(), attempts: 1 });
    let (step, epoch) = (EffectKey { round: 1, ..step(OUTER) }, estate.epoch);
    let second = SagaId::of_step(step);
    estate.start_as(second, ("", false), Some(Parent { step, epoch })).unwrap();
    assert_eq!(estate.begun(), [OUTER, first, second]);
    assert_eq!(estate.end(OUTER), [OUTER, first], "the second goes on by itself");
    assert_eq!(estate.end(second), [second]);
    assert!(estate.families.is_empty());
}

// Goal: an attempt that was under way when another was refused begins nothing when it comes, though
// the key is free by then: the refusal is on its way into the log.
#[test]
pub(crate) fn s31_what_is_refused_stays_so() {
    let mut estate = Estate::new();
    estate.start(OTHER, "a");
    estate.start(OUTER, "");
    estate.write(OUTER, Record::Intended(STEP));
    let held = Err(StartError::Held { key: "a".to_owned(), holder: OTHER });
    assert_eq!(estate.ask_as(OUTER, ("a", true)), held);
    estate.end(OTHER);
    assert_eq!(estate.ask_as(OUTER, ("a", true)), held);
    assert_eq!(estate.end(OUTER), [OUTER]);
    assert!(estate.families.is_empty());
}

// Goal: a saga that is a step is kept with its log when it has ended, so that it is found when it is
// asked for again, and can turn back; it is over with the one whose step it is.
#[test]
pub(crate) fn s31_ended_step_is_kept_for_its_saga() {
    let mut estate = Estate::new();
    estate.start(OUTER, "");
    estate.write(OUTER, Record::Intended(STEP));
    let inner = estate.ask(OUTER, "").unwrap();
    assert_eq!(estate.end(inner), []);
    assert!(estate.families.rests(inner) && !estate.ledger.log(inner).is_empty());
    assert_eq!(estate.ask(OUTER, ""), Ok(inner));
    let revoke = Record::Ordered { order: Order::Revoke, reason: "back".to_owned() };
    estate.write(inner, revoke);
    assert!(!estate.families.rests(inner));
    assert_eq!(estate.end(inner), []);
    let stale = Epoch(estate.epoch.0 - 1);
    let refused = estate.families.end(&mut estate.ledger, OUTER, stale);
    assert_eq!(refused, Err(AppendError::Stale(estate.epoch)));
    assert_eq!(estate.end(OUTER), [OUTER, inner]);
    assert!(estate.families.is_empty() && estate.begun().is_empty());
}

// Goal: a saga holds its keys while it is being undone.
#[test]
pub(crate) fn s29_keys_are_held_on_the_way_back() {
    let mut estate = Estate::new();
    estate.start(OUTER, "a");
    estate.start(OTHER, "a");
    estate.write(OUTER, Record::Intended(STEP));
    estate.write(OUTER, Record::Unresolved { step: STEP, attempts: 1 });
    estate.write(OUTER, Record::Undone { step: STEP, attempts: 1 });
    assert_eq!(estate.begun(), [OUTER]);
    assert_eq!(estate.families.waits(OTHER), Some(("a", OUTER)));
    estate.end(OUTER);
    assert_eq!(estate.begun(), [OTHER]);
    estate.end(OTHER);
    assert!(estate.families.is_empty());
}

// Goal: a saga does not begin before one that came earlier for one of its keys, though that one waits
// for another key, too.
#[test]
pub(crate) fn s29_nobody_overtakes() {
    let mut estate = Estate::new();
    let last = SagaId(3);
    estate.start(OUTER, "a");
    estate.start(OTHER, "a b");
    estate.start(last, "b");
    assert_eq!(estate.begun(), [OUTER]);
    estate.end(OUTER);
    assert_eq!(estate.begun(), [OTHER]);
    estate.end(OTHER);
    assert_eq!(estate.begun(), [last]);
}

// Goal: of two sagas that hold a key each and have a step that wants the other's, the second step is
// refused, and the first gets its key when that saga has ended.
#[test]
pub(crate) fn s29_circle_is_refused() {
    let mut estate = Estate::new();
    for (saga, key) in [(OUTER, "a"), (OTHER, "b")] {
        estate.start(saga, key);
        estate.write(saga, Record::Intended(STEP));
    }
    let inner = estate.ask(OUTER, "b").unwrap();
    assert!(estate.families.is_waiting(inner));
    assert_eq!(estate.ask(OTHER, "a"), Err(StartError::Circle));
    estate.end(OTHER);
    assert_eq!(estate.begun(), [OUTER, inner]);
}

// Goal: what a step's saga holds is held until the one has ended whose step it is.
#[test]
pub(crate) fn s29_keys_of_a_step_are_held_for_its_saga() {
    let mut estate = Estate::new();
    estate.start(OUTER, "a");
    estate.write(OUTER, Record::Intended(STEP));
    let inner = estate.ask(OUTER, "a b").unwrap();
    assert_eq!(estate.begun(), [OUTER, inner], "what its saga holds it holds");
    estate.start(OTHER, "b");
    estate.end(inner);
    assert_eq!(estate.families.waits(OTHER), Some(("b", OUTER)));
    estate.end(OUTER);
    assert_eq!(estate.begun(), [OTHER]);
}

// Goal: what is held for a saga that an operator gives up is held while a step of it goes on, also
// what that asks for later; then all of it is free.
#[test]
pub(crate) fn s29_keys_outlive_a_saga_given_up() {
    let mut estate = Estate::new();
    estate.start(OUTER, "a");
    estate.write(OUTER, Record::Intended(STEP));
    let inner = estate.ask(OUTER, "b").unwrap();
    estate.start(OTHER, "b");
    assert_eq!(estate.end(OUTER), [OUTER], "it is given up");
    assert_eq!(estate.begun(), [inner]);
    estate.write(inner, Record::Intended(STEP));
    let innermost = estate.ask(inner, "c").unwrap();
    assert_eq!(estate.begun(), [inner, innermost]);
    estate.end(innermost);
    assert_eq!(estate.end(inner), [inner, innermost]);
    assert_eq!(estate.begun(), [OTHER]);
    estate.end(OTHER);
    assert!(estate.families.is_empty());
}

// Goal: a saga that is called off while it waits does not begin when its keys are free, also where it
// is a step of a saga that goes on.
#[test]
pub(crate) fn s29_what_is_cancelled_does_not_begin() {
    let mut estate = Estate::new();
    estate.start(OTHER, "a");
    estate.start(OUTER, "");
    estate.write(OUTER, Record::Intended(STEP));
    let inner = estate.ask(OUTER, "a").unwrap();
    assert_eq!(estate.end(inner), []);
    assert!(estate.families.rests(inner) && !estate.families.is_waiting(inner));
    estate.end(OTHER);
    assert_eq!(estate.begun(), [OUTER]);
    assert_eq!(estate.end(OUTER), [OUTER, inner]);
    assert!(estate.families.is_empty());
}
