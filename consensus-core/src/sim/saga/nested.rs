//! Sagas that are taken in, those that are steps of others, and who waits for how they end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::{
    super::{fault::Fault, runner::Failure},
    graphs::{Definition, below, happens},
    world::{Happening, World},
};
use crate::saga::{
    EffectKey, Epoch, Op, Order, Outcome, Parent, Place, SagaId, Start, StartError, StepId, Verdict,
};

/// An attempt at a step that is a saga, or at its compensation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) executor: usize,
    pub(super) key: EffectKey,
    pub(super) epoch: Epoch,
    pub(super) attempt: u32,
}

/// Which sagas there are, and how far they have come.
#[derive(Debug, Default)]
pub(super) struct Roll {
    /// The steps that sagas are, and the sagas that steps are, one a round.
    pub(super) parents: BTreeMap<SagaId, EffectKey>,
    pub(super) children: BTreeMap<(SagaId, StepId), BTreeSet<SagaId>>,
    /// Who waits for how a saga ends.
    asks: BTreeMap<SagaId, Vec<Ask>>,
    /// Sagas that were taken in and have not begun, in their order, and those of them that had to wait.
    pub(super) waiting: Vec<SagaId>,
    late: BTreeSet<SagaId>,
    /// Sagas that have begun, and the place of the last.
    pub(super) begun: BTreeSet<SagaId>,
    noted: Place,
    /// Sagas that were not to begin any more, and those that were refused.
    pub(super) cancelled: BTreeSet<SagaId>,
    pub(super) denied: BTreeSet<SagaId>,
}

impl Roll {
    /// Tells whether a saga has begun, or never will.
    pub(super) fn knows(&self, saga: SagaId) -> bool {
        [&self.begun, &self.cancelled, &self.denied].iter().any(|it| it.contains(&saga))
    }
}

impl World {
    pub(super) fn on_begin(&mut self, number: u64) -> Result<(), Failure> {
        let id = SagaId(number.into());
        if self.start(id, None).is_err() {
            self.tally.denied += 1;
            self.roll.denied.insert(id);
        }
        self.look()
    }

    /// Has a saga begin once nobody comes before it for its keys.
    fn start(&mut self, saga: SagaId, parent: Option<Parent>) -> Result<(), StartError> {
        let definition = self.definitions.get(&saga).expect("each saga has a definition");
        let Definition { graph, keys, refuses, .. } = &**definition;
        let (digest, input) = (graph.digest(), Bytes::from_static(b"input"));
        let start = Start { digest, input, keys: keys.clone(), refuses: *refuses, parent };
        let is_new = !self.families.contains(saga);
        self.families.start(&mut self.ledger, saga, start)?;
        if is_new {
            self.roll.waiting.push(saga);
            if self.families.is_waiting(saga) {
                self.roll.late.insert(saga);
            }
        }
        Ok(())
    }

    /// Looks which sagas have begun, and has executors hear of them.
    pub(super) fn look(&mut self) -> Result<(), Failure> {
        let begun: Vec<(Place, SagaId)> = self.ledger.behind(self.roll.noted).collect();
        if begun.is_empty() {
            return Ok(());
        }
        for (place, saga) in begun {
            self.roll.noted = place;
            self.check_begun(saga)?;
            self.roll.begun.insert(saga);
            self.roll.waiting.retain(|waiting| *waiting != saga);
            self.tally.waited += u64::from(self.roll.late.remove(&saga));
        }
        for executor in 0..self.executors.len() {
            if self.executors.get(executor).is_some_and(|it| it.epoch.is_some()) {
                self.soon(5, Happening::News { executor });
            }
        }
        Ok(())
    }

    /// A step is asked for that is a saga.
    pub(super) fn on_step(&mut self, ask: Ask) -> Result<(), Failure> {
        let child = SagaId::of_step(ask.key);
        match ask.key.op {
            Op::Action => self.on_action(ask, child),
            Op::Undo => self.on_undo(ask, child),
        }
    }

    fn on_action(&mut self, ask: Ask, child: SagaId) -> Result<(), Failure> {
        let Ask { key, epoch, .. } = ask;
        let of = self.definitions.get(&key.saga).and_then(|it| it.nested.get(&key.step));
        let definition = Arc::clone(of.expect("the step is a saga"));
        self.definitions.entry(child).or_insert(definition);
        let was_there = self.families.contains(child);
        match self.start(child, Some(Parent { step: key, epoch })) {
            Ok(()) if was_there => {}
            Ok(()) => {
                self.check_refused(child)?;
                self.tally.nested += 1;
                self.roll.parents.insert(child, key);
                self.roll.children.entry((key.saga, key.step)).or_default().insert(child);
                self.check_step(ask)?;
                if !self.is_calm() && happens(&mut self.draw, 100) {
                    let later = self.now + Duration::from_millis(below(&mut self.draw, 600));
                    self.at(later, Happening::Order { saga: child, order: Order::Cancel });
                }
            }
            Err(StartError::Late) => {
                self.answer(ask, Outcome::Unknown);
                return Ok(());
            }
            Err(StartError::Held { .. } | StartError::Circle) => {
                self.tally.denied += u64::from(self.roll.denied.insert(child));
                self.answer(ask, Outcome::Rejected(Bytes::from_static(b"held")));
                return Ok(());
            }
        }
        self.look()?;
        self.check_once(child)?;
        self.await_end(ask, child);
        Ok(())
    }

    fn on_undo(&mut self, ask: Ask, child: SagaId) -> Result<(), Failure> {
        if !self.families.contains(child) {
            // It was never begun, and is not any more.
            self.answer(ask, Outcome::Done(Bytes::new()));
            return Ok(());
        }
        if !self.families.is_waiting(child) {
            self.soon(20, Happening::Grant { ask });
            return Ok(());
        }
        self.call_off(child)?;
        self.await_end(ask, child);
        Ok(())
    }

    /// Has a saga that waits not begin.
    fn call_off(&mut self, saga: SagaId) -> Result<(), Failure> {
        self.roll.cancelled.insert(saga);
        self.on_end(saga, self.ledger.epoch())
    }

    /// The executor in charge has a saga turn back, as the one does whose step it is.
    pub(super) fn on_grant(&mut self, ask: Ask) -> Result<(), Failure> {
        let child = SagaId::of_step(ask.key);
        self.order(child, Order::Revoke);
        self.await_end(ask, child);
        Ok(())
    }

    /// A caller, or an operator, wants something of a saga.
    pub(super) fn on_order(&mut self, saga: SagaId, order: Order) -> Result<(), Failure> {
        if self.families.is_waiting(saga) {
            return self.call_off(saga);
        }
        self.order(saga, order);
        Ok(())
    }

    /// The executor of an epoch says that a saga has ended.
    pub(super) fn on_end(&mut self, saga: SagaId, epoch: Epoch) -> Result<(), Failure> {
        let Ok(over) = self.families.end(&mut self.ledger, saga, epoch) else { return Ok(()) };
        for gone in over.into_iter().map(|(saga, _)| saga).chain([saga]) {
            // What waited when the saga was given up whose step it is never begins.
            if !self.roll.begun.contains(&gone) {
                self.roll.cancelled.insert(gone);
            }
            self.roll.waiting.retain(|waiting| *waiting != gone);
            for ask in self.roll.asks.remove(&gone).unwrap_or_default() {
                self.await_end(ask, gone);
            }
        }
        self.look()
    }

    /// Answers an attempt once its saga has ended.
    fn await_end(&mut self, ask: Ask, child: SagaId) {
        let is_over = self.families.rests(child) || !self.families.contains(child);
        let ended = self.ended.get(&child).filter(|_| is_over);
        let is_undone = matches!(ended, Some(Verdict::Compensated(_)))
            || (is_over && self.roll.cancelled.contains(&child));
        match (ask.key.op, ended) {
            (Op::Action, Some(Verdict::Completed)) => {
                self.answer(ask, Outcome::Done(Bytes::from(child.0.to_string())));
            }
            (Op::Action, _) if is_undone => {
                self.answer(ask, Outcome::Rejected(Bytes::from_static(b"undone")));
            }
            (Op::Undo, _) if is_undone => self.answer(ask, Outcome::Done(Bytes::new())),
            (_, _) => self.roll.asks.entry(child).or_default().push(ask),
        }
    }

    fn answer(&mut self, ask: Ask, outcome: Outcome) {
        let Ask { executor, key, attempt, .. } = ask;
        if !self.strikes(Fault::Loss, 80) {
            let late = if self.strikes(Fault::Delay, 50) { 400 } else { 20 };
            self.soon(late, Happening::Reply { executor, key, attempt, outcome });
        }
    }
}
