//! Many sagas at once: those that cannot go on, and those that can.

use super::*;
use crate::{
    error::Error,
    saga::book::{HELD_MAX, Row},
};

/// A saga that is refused, and of which one step cannot be undone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stubborn;

impl SagaDefinition for Stubborn {
    type Output = ();

    fn graph() -> Graph {
        let step = |name: &str, class| Step {
            name: name.to_owned(),
            class,
            after: Vec::new(),
            timeout: Duration::from_secs(1),
            retry: Retry::default(),
        };
        let steps = vec![step("keep", Class::Compensatable), step("decide", Class::Pivot)];
        Graph::new(("stubborn", 1), None, steps).unwrap()
    }

    fn act<'a>(&'a self, step: StepId, _: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
        let outcome = match step {
            StepId(0) => Outcome::Done(()),
            _ => Outcome::Rejected("no"),
        };
        Box::pin(async { outcome.encoded() })
    }

    fn undo<'a>(&'a self, _: StepId, _: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
        Box::pin(async { Undo::Failed("the door is locked".to_owned()) })
    }
}

/// A saga that no node knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Foreign;

impl SagaDefinition for Foreign {
    type Output = ();

    fn graph() -> Graph {
        let stubborn = Stubborn::graph();
        let steps = stubborn.steps().map(|(_, step)| step.clone()).collect();
        Graph::new(("foreign", 1), None, steps).unwrap()
    }

    fn act<'a>(&'a self, _: StepId, _: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
        Box::pin(async { Outcome::Unknown })
    }

    fn undo<'a>(&'a self, _: StepId, _: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
        Box::pin(async { Undo::Unknown })
    }
}

impl Stage {
    fn standing(&self, saga: SagaId) -> Standing {
        match self.book.answer(Query::Look(saga)) {
            Answer::Row(Some(Row { standing, .. })) => standing,
            other => panic!("{other:?}"),
        }
    }

    /// Has an executor do all that it can.
    fn finish(&mut self, reign: &mut Reign) {
        assert!(!self.carry_on(reign, AWAKE).0);
    }
}

// Goal: one saga that cannot be gone on with, because its definition is unknown or its log
// contradicts it, is stuck; the other 999 all end, in the same reign.
#[test]
fn s09_one_beyond_recovery_stops_none_of_999() {
    for is_known in [true, false] {
        let mut stage = Stage::new(true);
        let bad = SagaId(500);
        for number in 1..=1_000 {
            let begun = match SagaId(number) == bad && !is_known {
                true => stage.begin_with(bad, &Foreign),
                false => stage.begin(SagaId(number), false),
            };
            assert_eq!(begun, Reply::Begun(Ok(())));
        }
        if is_known {
            // What nobody asked for was done, as its log has it.
            let epoch = stage.claimed().epoch;
            let record = Record::Done { step: StepId(2), output: Bytes::new(), attempts: 0 };
            let entry = Entry { seq: Seq(2), epoch, spent: Duration::ZERO, record };
            assert_eq!(stage.write(epoch, vec![Fact::Entry(bad, entry)]), Ok(()));
        }
        let mut reign = stage.claim();
        stage.finish(&mut reign);
        for number in 1..=1_000 {
            let standing = stage.standing(SagaId(number));
            match SagaId(number) == bad {
                true => assert!(matches!(&standing, Standing::Stuck(note) if note.step.is_none())),
                false => assert_eq!(standing, Standing::Ended(completed()), "saga {number}"),
            }
        }
        let Answer::Needs(needs) = stage.book.answer(Query::Needs) else { panic!("needs") };
        let needs = needs.iter().map(|need| (need.sagas, need.is_unknown)).collect::<Vec<_>>();
        assert_eq!(needs, [(1, !is_known)]);
    }
}

// Goal: ten thousand sagas that are stuck cost no write, no timer and no byte more while they wait,
// whoever takes them over; new ones end among them, and at the bound they are refused.
#[test]
fn s32_stuck_sagas_starve_nobody() {
    const STUCK: u128 = 10_000;
    let mut stage = Stage::new(true);
    for number in 0..STUCK {
        assert_eq!(stage.begin_with(SagaId(number), &Stubborn), Reply::Begun(Ok(())));
    }
    let mut reign = stage.claim();
    stage.finish(&mut reign);
    let cause = "the door is locked".to_owned();
    let note = Note { step: Some("keep".to_owned()), cause, is_unknown: false };
    for number in 0..STUCK {
        assert_eq!(stage.standing(SagaId(number)), Standing::Stuck(note.clone()));
    }

    let logs = stage.logs();
    for _ in 0..3 {
        let mut reign = stage.claim();
        stage.finish(&mut reign);
        assert_eq!((reign.due(), reign.take_attempts().len()), (None, 0));
        assert!(stage.logs() == logs, "they are as they were");
    }

    let fresh = |number: u128| SagaId(STUCK + number);
    let mut reign = stage.claim();
    for number in 0..100 {
        assert_eq!(stage.begin(fresh(number), number % 2 == 0), Reply::Begun(Ok(())));
    }
    stage.finish(&mut reign);
    for number in 0..100 {
        assert!(matches!(stage.standing(fresh(number)), Standing::Ended(_)), "saga {number}");
    }

    let mut reached = STUCK;
    while reached < HELD_MAX as u128 {
        let saga = SagaId(1 << 100 | reached);
        assert_eq!(stage.begin_with(saga, &Stubborn), Reply::Begun(Ok(())));
        let epoch = stage.claimed().epoch;
        assert_eq!(stage.write(epoch, vec![Fact::Stuck(saga, Some(note.clone()))]), Ok(()));
        reached += 1;
    }
    let busy = Reply::Begun(Err(Refusal::Busy(HELD_MAX)));
    assert_eq!(stage.begin(fresh(100), false), busy);
}

// Goal: ten thousand sagas that are under way at once all end, those that are refused undone.
#[test]
fn s32_ten_thousand_at_once_all_end() {
    let mut stage = Stage::new(true);
    for number in 0..10_000 {
        assert_eq!(stage.begin(SagaId(number), number % 4 == 0), Reply::Begun(Ok(())));
    }
    let mut reign = stage.claim();
    stage.finish(&mut reign);
    for number in 0..10_000 {
        let standing = stage.standing(SagaId(number));
        let Standing::Ended(ending) = standing else { panic!("saga {number}: {standing:?}") };
        assert_eq!(ending == completed(), number % 4 != 0, "saga {number}");
    }
    let purse = lock(&stage.purse);
    let (taken, put_back): (u32, u32) = (purse.taken.values().sum(), purse.put_back.values().sum());
    assert_eq!((taken, put_back), (7_500 * 3 + 2_500 * 2, 2_500 * 2));
    assert!(stage.logs().is_empty());
}

// Goal: a participant whose mailbox is full has refused nothing: what came of the step is unknown,
// and it is asked for again.
#[test]
fn s20_full_mailbox_is_unknown() {
    let full = || Err::<Guarded<u16>, _>(Error::no_place(8_192));
    assert_eq!(Outcome::<u16>::from(full()), Outcome::Unknown);
    assert_eq!(Outcome::<u16>::called(full().map(|_| 0)), Outcome::Unknown);
    assert_eq!(Undo::from(full().map(|_| Guarded::Done(()))), Undo::Unknown);
}
