//! Who carries sagas out: one executor after the other, or several that do not know of each other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    super::{
        fault::Fault,
        runner::{Failure, Flaw},
        trace::What,
    },
    graphs::below,
    nested::Ask,
    world::{COORDINATOR, Executor, Happening, TICK, World},
};
use crate::saga::{
    Age, AppendError, Call, Effect, Entry, Epoch, Event, Order, Place, Record, Request, Saga,
    SagaId, Seq, StepId,
};

impl World {
    pub(super) fn start_executor(&mut self) {
        self.executors.push(Executor::default());
        let executor = self.executors.len() - 1;
        self.soon(50, Happening::Claim { executor });
    }

    /// Starts another executor; the present one is gone, or does not know.
    pub(super) fn replace(&mut self, killed: bool) {
        if killed && let Some(executor) = self.executors.last_mut() {
            *executor = Executor::default();
        }
        self.start_executor();
    }

    /// An executor takes up whatever the ledger has.
    pub(super) fn on_claim(&mut self, executor: usize) -> Result<(), Failure> {
        if executor + 1 < self.executors.len() {
            return Ok(());
        }
        let epoch = self.ledger.claim();
        if let Some(it) = self.executors.get_mut(executor) {
            it.epoch = Some(epoch);
        }
        let found = self.ledger.behind(Place::default()).collect();
        self.take_up(executor, epoch, found)?;
        self.at(self.now + TICK, Happening::Tick { executor });
        Ok(())
    }

    /// An executor hears of sagas that have begun.
    pub(super) fn on_news(&mut self, executor: usize) -> Result<(), Failure> {
        let Some(it) = self.executors.get(executor) else { return Ok(()) };
        let Some(epoch) = it.epoch else { return Ok(()) };
        let found = self.ledger.behind(it.heard).collect();
        self.take_up(executor, epoch, found)
    }

    /// An executor goes on with sagas where their logs end. A saga that has ended is kept for the one
    /// whose step it is, which may come behind it.
    fn take_up(
        &mut self,
        executor: usize,
        epoch: Epoch,
        found: Vec<(Place, SagaId)>,
    ) -> Result<(), Failure> {
        let mut effects = Vec::new();
        for (place, id) in found {
            let mut out = Vec::new();
            let definition = self.definitions.get(&id).expect("each saga has a definition");
            let of = ((id, Arc::clone(&definition.graph)), (epoch, self.bugs));
            let log = (self.ledger.log(id), Bytes::new());
            let saga = match Saga::open(of.0, of.1, log, self.now, &mut out) {
                Ok(saga) => saga,
                Err(error) => {
                    let what = format!("saga {} cannot go on: {error}", id.0);
                    return self.fail(Flaw::Durability, what);
                }
            };
            if let Some(it) = self.executors.get_mut(executor) {
                it.heard = it.heard.max(place);
                it.sagas.insert(id, saga);
                it.places.insert(id, place);
                effects.push((id, out));
            }
        }
        effects.into_iter().try_for_each(|(id, out)| self.carry(executor, id, out))
    }

    pub(super) fn on_tick(&mut self, executor: usize) -> Result<(), Failure> {
        let Some(it) = self.executors.get(executor).filter(|it| it.epoch.is_some()) else {
            return Ok(());
        };
        let now = self.now;
        let due = it.sagas.iter().filter(|(_, saga)| saga.due().is_some_and(|due| due <= now));
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.step(executor, id, Event::Tick)?;
        }
        self.at(self.now + TICK, Happening::Tick { executor });
        Ok(())
    }

    /// An operator, or a caller, asks the present executor for something.
    pub(super) fn order(&mut self, id: SagaId, order: Order) {
        let last = self.executors.len() - 1;
        let (now, mut out) = (self.now, Vec::new());
        let saga = self.executors.get_mut(last).and_then(|it| it.sagas.get_mut(&id));
        if saga.is_some_and(|saga| saga.order(now, order, "for a test", &mut out).is_ok()) {
            self.executors.last_mut().map(|it| it.rests.remove(&id));
            self.carry(last, id, out).expect("an order is carried out");
        }
    }

    /// Helps what is stuck, again and again.
    pub(super) fn on_help(&mut self) -> Result<(), Failure> {
        let open: Vec<SagaId> = self.ledger.sagas().map(|(id, _)| id).collect();
        for id in open {
            let last = self.executors.last().and_then(|it| it.sagas.get(&id));
            let needs_help = |saga: &Saga| {
                !saga.state().stuck(saga.graph()).is_empty() || saga.state().is_quarantined()
            };
            if last.is_some_and(needs_help) {
                self.helped.insert(id);
                self.order(id, Order::Retry(None));
            }
        }
        self.at(self.now + Duration::from_secs(3), Happening::Help);
        Ok(())
    }

    pub(super) fn on_append(
        &mut self,
        executor: usize,
        saga: SagaId,
        entry: Entry,
    ) -> Result<(), Failure> {
        let (seq, before) = (entry.seq, self.ledger.log(saga).len());
        let revokes = matches!(entry.record, Record::Ordered { order: Order::Revoke, .. });
        let result = self.families.append(&mut self.ledger, saga, entry).map(|()| seq);
        if revokes && self.ledger.log(saga).len() > before {
            self.ended.remove(&saga);
        }
        self.soon(5, Happening::Appended { executor, saga, result });
        self.look()
    }

    pub(super) fn on_appended(
        &mut self,
        executor: usize,
        saga: SagaId,
        result: Result<Seq, AppendError>,
    ) -> Result<(), Failure> {
        match result {
            Ok(seq) => self.step(executor, saga, Event::Appended(seq)),
            Err(AppendError::Stale(_)) => {
                if let Some(executor) = self.executors.get_mut(executor) {
                    *executor = Executor::default();
                }
                Ok(())
            }
            Err(error @ AppendError::OutOfPlace(_)) => {
                let is_out =
                    self.executors.get(executor).is_none_or(|it| !it.sagas.contains_key(&saga));
                match is_out {
                    true => Ok(()),
                    false => self.fail(Flaw::Invariant, format!("saga {}: {error}", saga.0)),
                }
            }
        }
    }

    pub(super) fn step(
        &mut self,
        executor: usize,
        id: SagaId,
        event: Event,
    ) -> Result<(), Failure> {
        let (now, mut out) = (self.now, Vec::new());
        let saga = self.executors.get_mut(executor).and_then(|it| it.sagas.get_mut(&id));
        if let Some(saga) = saga {
            saga.step(now, event, &mut out);
        }
        self.carry(executor, id, out)
    }

    /// Carries out what a planner asks for.
    pub(super) fn carry(
        &mut self,
        executor: usize,
        saga: SagaId,
        out: Vec<Effect>,
    ) -> Result<(), Failure> {
        for effect in out {
            match effect {
                Effect::Append(entry) => {
                    let delay = Duration::from_micros(100 + below(&mut self.draw, 8_000));
                    let Some(it) = self.executors.get_mut(executor) else { continue };
                    it.appends = it.appends.max(self.now + delay);
                    let at = it.appends;
                    // Whoever hears nothing of a command sends it again.
                    if self.strikes(Fault::Duplication, 30) {
                        let entry = entry.clone();
                        self.at(at, Happening::Append { executor, saga, entry });
                    }
                    self.at(at, Happening::Append { executor, saga, entry });
                }
                Effect::Call(call) => self.send(executor, &call),
                Effect::Ended(verdict) => {
                    self.on_ended(saga, verdict)?;
                    self.let_go(executor, saga);
                }
            }
        }
        Ok(())
    }

    /// Has it written that a saga has ended. It is done with, unless it is a step of another that may
    /// turn back; with it go those that are steps of it.
    fn let_go(&mut self, executor: usize, saga: SagaId) {
        let Some(it) = self.executors.get_mut(executor) else { return };
        let Some(epoch) = it.epoch else { return };
        let (at, parent) = (it.appends.max(self.now), self.roll.parents.get(&saga));
        if parent.is_some_and(|step| it.sagas.contains_key(&step.saga)) {
            it.rests.insert(saga);
        } else {
            let mut next = vec![saga];
            while let Some(gone) = next.pop() {
                it.sagas.remove(&gone);
                it.rests.remove(&gone);
                let steps = (gone, StepId(0))..=(gone, StepId(u16::MAX));
                let children = self.roll.children.range(steps).flat_map(|(_, children)| children);
                next.extend(children.filter(|child| it.rests.contains(child)));
            }
        }
        self.at(at, Happening::Ended { saga, epoch });
    }

    /// Returns how old a saga is among all: one that is over asks for nothing.
    fn age(&self, executor: usize, saga: SagaId) -> Age {
        let place = self.executors.get(executor).and_then(|it| it.places.get(&saga));
        let oldest = self.ledger.behind(Place::default()).next();
        let oldest = oldest.map(|(place, _)| place).unwrap_or_default();
        Age { place: place.copied().unwrap_or_default(), oldest }
    }

    /// Sends a request, perhaps twice, perhaps late, perhaps in vain.
    fn send(&mut self, executor: usize, call: &Call) {
        let Call { key, epoch, attempt, .. } = *call;
        let definition = self.definitions.get(&key.saga);
        let is_saga = definition.is_some_and(|it| it.nested.contains_key(&key.step));
        let age = self.age(executor, key.saga);
        let copies = 1 + u64::from(self.strikes(Fault::Duplication, 60));
        for _ in 0..copies {
            let late = if self.strikes(Fault::Delay, 50) { 400 } else { 20 };
            if self.strikes(Fault::Loss, 80) {
                continue;
            }
            let happening = if is_saga {
                Happening::Step { ask: Ask { executor, key, epoch, attempt } }
            } else {
                let of = Request { key, coordinator: COORDINATOR, epoch, age };
                Happening::Request { executor, of, attempt }
            };
            self.soon(late, happening);
        }
        let numbers = [2, key.saga.0 as u64, u64::from(key.step.0) << 32 | u64::from(attempt)];
        self.note(numbers, || What::Apply { index: u64::from(attempt), text: key.to_string() });
    }
}
