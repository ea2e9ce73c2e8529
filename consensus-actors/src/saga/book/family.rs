//! Sagas that wait for what others hold, and sagas that are steps of others: when they begin, and
//! when they are over.

use consensus_core::saga::{AppendError, Epoch, Order, Record, SagaId};

use super::{
    Book, Waiting,
    said::{Ending, Parent, Refusal},
};
use crate::saga::holds::Holds;

impl Book {
    /// Enters the queues of what a saga holds, or says who keeps it from that.
    pub(super) fn take_hold(
        &mut self,
        root: SagaId,
        holds: Holds,
        is_step: bool,
    ) -> Result<(), Refusal> {
        if holds.refuses()
            && let Some((key, holder)) = self.queues.taken(root, holds.keys())
        {
            return Err(Refusal::Held(key.to_owned(), holder));
        }
        // Only what comes later than its saga has begun can close one.
        if is_step && self.queues.closes_circle(root, holds.keys()) {
            return Err(Refusal::Circle);
        }
        self.queues.enter(root, holds.into_keys());
        Ok(())
    }

    /// Begins all that wait with a saga, if nobody holds what it waits for.
    pub(super) fn let_begin(&mut self, root: SagaId) {
        if self.queues.waits(root).is_some() {
            return;
        }
        let all = (root, SagaId(0))..=(root, SagaId(u128::MAX));
        let waiting: Vec<_> = self.waiting.extract_if(all, |_, _| true).collect();
        for ((_, saga), Waiting { digest, input, parent }) in waiting {
            self.ledger.enqueue(saga, (digest, input), parent);
            self.born += 1;
            self.births.insert(self.born, saga);
            if let Some(cover) = self.covers.get_mut(&saga) {
                cover.born = Some(self.born);
            }
        }
    }

    /// Tells whether an executor asks for a step that is a saga, by what is in the log: a request
    /// that comes when the step is being undone, or for an executor that was replaced, begins none.
    pub(super) fn asks_for(&self, Parent { step: key, epoch }: Parent) -> bool {
        if epoch != self.ledger.epoch() {
            return false;
        }
        let (mut asked, mut turned) = (false, false);
        for entry in self.ledger.log(key.saga) {
            match &entry.record {
                Record::Intended(step) if *step == key.step => asked = true,
                Record::Done { step, .. } | Record::Unresolved(step) if *step == key.step => {
                    asked = false;
                }
                Record::Undone(_) | Record::UndoFailed { .. } => turned = true,
                Record::Ordered { order: Order::Skip(step), .. } if *step == key.step => {
                    asked = false;
                }
                // On the way back an operator has compensations tried again, no steps.
                Record::Ordered { order: Order::Retry(step), .. }
                    if step.is_none_or(|step| step == key.step) =>
                {
                    asked = !turned;
                }
                Record::Begun { .. }
                | Record::Intended(_)
                | Record::Done { .. }
                | Record::Rejected { .. }
                | Record::Unresolved(_)
                | Record::Turned(_)
                | Record::Resumed
                | Record::Ordered { .. } => {}
            }
        }
        asked
    }

    /// Notes that a saga is undone that had ended, as the one turns back whose step it is.
    pub(super) fn turn_back(&mut self, saga: SagaId, record: &Record) {
        let revoked = matches!(record, Record::Ordered { order: Order::Revoke, .. });
        if let Some(cover) = self.covers.get_mut(&saga).filter(|_| revoked)
            && cover.ending.take().is_some()
        {
            self.kept -= 1;
        }
    }

    /// Takes note of how a saga ended. One that is a step of another is kept until that one has
    /// ended, too.
    pub(super) fn end(
        &mut self,
        saga: SagaId,
        epoch: Epoch,
        ending: Ending,
    ) -> Result<(), AppendError> {
        let Some(cover) = self.covers.get(&saga) else { return Ok(()) };
        if cover.parent.is_none_or(|parent| !self.covers.contains_key(&parent)) {
            return self.bury(saga, epoch, ending);
        }
        self.note(saga, None);
        if let Some(cover) = self.covers.get_mut(&saga) {
            self.kept += usize::from(cover.ending.is_none());
            cover.ending = Some(ending);
        }
        Ok(())
    }

    /// Keeps of a saga only how it ended, and so of its steps that were sagas.
    fn bury(&mut self, saga: SagaId, epoch: Epoch, ending: Ending) -> Result<(), AppendError> {
        self.ledger.put_away(saga, epoch)?;
        self.note(saga, None);
        let Some(cover) = self.covers.remove(&saga) else { return Ok(()) };
        self.kept -= usize::from(cover.ending.is_some());
        if let Some(born) = cover.born {
            self.births.remove(&born);
        }
        self.waiting.remove(&(cover.root, saga));
        self.remember(saga, (cover.definition, cover.print), ending);
        for child in self.children.remove(&saga).unwrap_or_default() {
            let Some(cover) = self.covers.get_mut(&child) else { continue };
            let never_began = cover.born.is_none().then_some(Ending::Abandoned);
            match cover.ending.clone().or(never_began) {
                Some(ending) => self.bury(child, epoch, ending)?,
                // An operator gave its saga up: it goes on by itself.
                None => cover.parent = None,
            }
        }
        if cover.root == saga {
            for freed in self.queues.leave(saga) {
                self.let_begin(freed);
            }
        }
        Ok(())
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
