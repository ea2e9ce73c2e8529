//! Sagas that are steps of others, and sagas that wait: what is kept of how they ended.

use consensus_core::saga::{AppendError, Entry, Epoch, Order, SagaId};

use super::{Book, Cover, said::Ending};

impl Book {
    /// Takes back how a saga had ended that is undone now, as the one turns back whose step it is.
    pub(super) fn look_back(&mut self, saga: SagaId) {
        if self.families.rests(saga) {
            return;
        }
        let ending = self.covers.get_mut(&saga).and_then(|cover| cover.ending.take());
        self.kept -= usize::from(ending.is_some());
    }

    /// Takes note of how a saga ended. One that is a step of another is kept until that one has
    /// ended, too.
    pub(super) fn end(
        &mut self,
        saga: SagaId,
        epoch: Epoch,
        ending: Ending,
    ) -> Result<(), AppendError> {
        let over = self.families.end(&mut self.ledger, saga, epoch)?;
        if self.families.contains(saga) {
            self.note(saga, None);
            if let Some(cover) = self.covers.get_mut(&saga) {
                self.kept += usize::from(cover.ending.is_none());
                cover.ending = Some(ending);
            }
            return Ok(());
        }
        let mut ending = Some(ending);
        over.into_iter().for_each(|it| self.bury(it, ending.take()));
        Ok(())
    }

    /// Keeps of a saga only how it ended, and its log for a while; what never began was given up.
    fn bury(&mut self, (saga, log): (SagaId, Vec<Entry>), ending: Option<Ending>) {
        self.note(saga, None);
        let Some(Cover { definition, print, ending: kept, .. }) = self.covers.remove(&saga) else {
            return;
        };
        self.kept -= usize::from(kept.is_some());
        let ending = ending.or(kept).unwrap_or(Ending::Abandoned);
        self.past.keep(saga, log, &ending);
        self.remember(saga, (definition, print), ending);
    }

    /// Does what an operator wishes of a saga that waits and that no executor knows; says why not.
    pub(super) fn want_of_waiting(&mut self, saga: SagaId, order: &Order) -> Option<String> {
        let ending = match order {
            Order::Cancel | Order::Revoke => {
                let cause = "it was cancelled before it began".to_owned();
                Ending::Compensated { failed: None, cause }
            }
            Order::Abandon => Ending::Abandoned,
            Order::Retry(_) | Order::Skip(_) => {
                return Some("it has not begun: it waits for what another saga holds".to_owned());
            }
        };
        let ended = self.end(saga, self.ledger.epoch(), ending);
        ended.err().map(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use consensus_core::saga::{EffectKey, Entry, Op, Parent, Place, Record, Seq, StepId};

    use super::{
        super::{Begin, Fact, Refusal, Standing},
        *,
    };
    use crate::saga::holds::Holds;

    const PARENT: SagaId = SagaId(1);
    const CHILD: SagaId = SagaId(2);
    const STEP: StepId = StepId(3);

    fn key(saga: SagaId) -> EffectKey {
        EffectKey { saga, step: STEP, op: Op::Action, round: 0 }
    }

    /// A book in its first epoch.
    fn book() -> (Book, Epoch) {
        let mut book = Book::default();
        let epoch = book.ledger.claim();
        (book, epoch)
    }

    fn begin(
        book: &mut Book,
        saga: SagaId,
        keys: &[&str],
        parent: Option<(SagaId, Epoch)>,
    ) -> Result<(), Refusal> {
        let parent = parent.map(|(saga, epoch)| Parent { step: key(saga), epoch });
        let (definition, holds) = ("test version 1".to_owned(), Holds::waiting(keys.to_vec()));
        book.begin(saga, Begin { definition, digest: 7, input: Bytes::new(), holds, parent })
    }

    fn record(book: &mut Book, saga: SagaId, record: Record) {
        let epoch = book.ledger.epoch();
        let seq = book.ledger.log(saga).last().map_or(Seq(1), |last| last.seq.next());
        let entry = Entry { seq, epoch, spent: Duration::ZERO, record };
        book.write(epoch, vec![Fact::Entry(saga, entry)]).unwrap();
    }

    fn end(book: &mut Book, saga: SagaId) {
        let epoch = book.ledger.epoch();
        let ending = Ending::Completed(Bytes::new());
        book.write(epoch, vec![Fact::Ended(saga, ending)]).unwrap();
    }

    // Goal: a saga is begun for a step while an executor in charge asks for that step, and at no
    // other time; one that was begun is found whenever it is asked for.
    #[test]
    fn a_step_begins_a_saga_while_it_is_asked_for() {
        let done = Record::Done { step: STEP, output: Bytes::new(), attempts: 1 };
        let lost = |step| Record::Unresolved { step, attempts: 1 };
        let retry = |order| Record::Ordered { order, reason: "because".to_owned() };
        let failed = Record::UndoFailed { step: StepId(1), cause: Bytes::new(), attempts: 1 };
        for (records, begins) in [
            (vec![], false),
            (vec![Record::Intended(StepId(2))], false),
            (vec![Record::Intended(STEP)], true),
            (vec![Record::Intended(STEP), Record::Resumed], true),
            (vec![Record::Intended(STEP), done], false),
            (vec![Record::Intended(STEP), lost(STEP)], false),
            (vec![Record::Intended(STEP), lost(StepId(2))], true),
            (vec![Record::Intended(STEP), lost(STEP), retry(Order::Retry(None))], true),
            (vec![Record::Intended(STEP), lost(STEP), failed, retry(Order::Retry(None))], false),
            (vec![Record::Intended(STEP), retry(Order::Skip(STEP))], false),
        ] {
            let (mut book, epoch) = book();
            begin(&mut book, PARENT, &[], None).unwrap();
            for it in records.clone() {
                record(&mut book, PARENT, it);
            }
            let begun = begin(&mut book, CHILD, &[], Some((PARENT, epoch)));
            let expected = if begins { Ok(()) } else { Err(Refusal::Late) };
            assert_eq!(begun, expected, "{records:?}");
            record(&mut book, PARENT, Record::Turned(consensus_core::saga::Reason::Cancelled));
            let later = book.ledger.claim();
            assert_eq!(begin(&mut book, CHILD, &[], Some((PARENT, epoch))).is_ok(), begins);
            let other = begin(&mut book, SagaId(9), &[], Some((PARENT, epoch)));
            assert_eq!(other, Err(Refusal::Late), "of a former executor");
            assert_eq!(begin(&mut book, SagaId(9), &[], Some((PARENT, later))).is_ok(), begins);
        }
    }

    // Goal: a saga that is a step is kept with its log until the one whose step it is has ended,
    // and those that are steps of it; then nothing is left but how all ended.
    #[test]
    fn what_has_ended_is_kept_for_the_saga_whose_step_it_is() {
        let (mut book, epoch) = book();
        let grandchild = SagaId(3);
        begin(&mut book, PARENT, &[], None).unwrap();
        for (saga, above) in [(CHILD, PARENT), (grandchild, CHILD)] {
            record(&mut book, above, Record::Intended(STEP));
            begin(&mut book, saga, &[], Some((above, epoch))).unwrap();
        }
        for saga in [grandchild, CHILD] {
            end(&mut book, saga);
            end(&mut book, saga);
            assert!(matches!(book.standing(saga), Standing::Ended(Ending::Completed(_))));
            assert!(!book.ledger.log(saga).is_empty());
        }
        assert_eq!((book.kept, book.list(None, false).len()), (2, 1));

        let revoke = Record::Ordered { order: Order::Revoke, reason: "back".to_owned() };
        record(&mut book, CHILD, revoke);
        assert_eq!((book.kept, book.standing(CHILD)), (1, Standing::UnderWay));
        end(&mut book, CHILD);
        end(&mut book, PARENT);
        assert!(book.covers.is_empty() && book.families.is_empty());
        assert_eq!((book.kept, book.ledger.sagas().count(), book.ended.len()), (0, 0, 3));
        for saga in [PARENT, CHILD, grandchild] {
            let records = book.records((saga, Seq(1)), true);
            let kept = book.look(saga).map(|row| row.records);
            assert!(!records.is_empty() && kept == Some(records.len() as u64), "{saga:?}");
        }
        assert_eq!(book.records((SagaId(0), Seq(1)), false), [], "executors are told of none");
    }

    // Goal: what a step's saga holds it holds for the saga whose step it is, until that has ended;
    // one that an operator gave up takes with it what waits, and lets go what is under way.
    #[test]
    fn keys_are_held_for_the_saga_that_all_come_down_from() {
        let (mut book, epoch) = book();
        let [other, waits, behind] = [3, 4, 5].map(SagaId);
        begin(&mut book, PARENT, &["a"], None).unwrap();
        begin(&mut book, other, &["b"], None).unwrap();
        for saga in [PARENT, other] {
            record(&mut book, saga, Record::Intended(STEP));
        }
        begin(&mut book, CHILD, &["a", "c"], Some((PARENT, epoch))).unwrap();
        begin(&mut book, waits, &["b"], Some((PARENT, epoch))).unwrap();
        begin(&mut book, behind, &["c"], None).unwrap();
        let begun = |book: &Book| {
            book.ledger.behind(Place::default()).map(|(_, saga)| saga).collect::<Vec<_>>()
        };
        assert_eq!(begun(&book), [PARENT, other, CHILD]);
        let circle = begin(&mut book, SagaId(6), &["c"], Some((other, epoch)));
        assert_eq!(circle, Err(Refusal::Circle), "the parent waits for b");

        end(&mut book, CHILD);
        assert_eq!(begun(&book).len(), 3, "c is held for the parent");
        end(&mut book, PARENT);
        assert_eq!(begun(&book), [other, behind]);
        assert_eq!(book.standing(waits), Standing::Ended(Ending::Abandoned));
        end(&mut book, behind);
        end(&mut book, other);
        assert!(book.covers.is_empty() && book.families.is_empty());
    }

    // Goal: a saga that goes on when the one whose step it is was given up ends by itself.
    #[test]
    fn what_is_under_way_outlives_a_saga_that_is_given_up() {
        let (mut book, epoch) = book();
        begin(&mut book, PARENT, &[], None).unwrap();
        record(&mut book, PARENT, Record::Intended(STEP));
        begin(&mut book, CHILD, &[], Some((PARENT, epoch))).unwrap();
        book.write(epoch, vec![Fact::Ended(PARENT, Ending::Abandoned)]).unwrap();
        assert_eq!(book.standing(CHILD), Standing::UnderWay);
        end(&mut book, CHILD);
        assert!(book.covers.is_empty() && book.families.is_empty());
    }
}
