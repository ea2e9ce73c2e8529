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
    world::{COORDINATOR, Executor, Happening, TICK, World},
};
use crate::saga::{
    Age, AppendError, Call, Contradiction, Effect, Entry, Epoch, Event, Order, Place, Request,
    Saga, SagaId, Seq,
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
        let found: Vec<(SagaId, Vec<Entry>)> =
            self.ledger.sagas().map(|(id, log)| (id, log.to_vec())).collect();
        for (id, log) in found {
            let mut out = Vec::new();
            let saga = self.take_up(id, epoch, &log, &mut out);
            let saga = match saga {
                Ok(saga) => saga,
                Err(error) => {
                    let what = format!("saga {} cannot go on: {error}", id.0);
                    return self.fail(Flaw::Durability, what);
                }
            };
            self.hold(executor, id, saga);
            self.carry(executor, id, out)?;
        }
        self.at(self.now + TICK, Happening::Tick { executor });
        Ok(())
    }

    pub(super) fn take_up(
        &self,
        id: SagaId,
        epoch: Epoch,
        log: &[Entry],
        out: &mut Vec<Effect>,
    ) -> Result<Saga, Contradiction> {
        let graph = self.graphs.get(&id).map(Arc::clone).expect("each saga has a graph");
        Saga::open(
            (id, graph),
            (epoch, self.bugs),
            (log, Bytes::from_static(b"input")),
            self.now,
            out,
        )
    }

    pub(super) fn hold(&mut self, executor: usize, id: SagaId, saga: Saga) {
        if let Some(executor) = self.executors.get_mut(executor) {
            executor.sagas.insert(id, saga);
        }
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

    pub(super) fn on_begin(&mut self, number: u64) -> Result<(), Failure> {
        let (id, last) = (SagaId(u128::from(number)), self.executors.len() - 1);
        let Some(epoch) = self.executors.get(last).and_then(|executor| executor.epoch) else {
            self.soon(50, Happening::Begin { number });
            return Ok(());
        };
        let mut out = Vec::new();
        let saga = self.take_up(id, epoch, &[], &mut out).expect("there is no log yet");
        self.hold(last, id, saga);
        self.carry(last, id, out)
    }

    /// An operator, or a caller, asks the present executor for something.
    pub(super) fn order(&mut self, id: SagaId, order: Order) {
        let last = self.executors.len() - 1;
        let (now, mut out) = (self.now, Vec::new());
        let saga = self.executors.get_mut(last).and_then(|it| it.sagas.get_mut(&id));
        if saga.is_some_and(|saga| saga.order(now, order, "for a test", &mut out).is_ok()) {
            self.carry(last, id, out).expect("an order is carried out");
        }
    }

    /// Helps what is stuck, again and again.
    pub(super) fn on_help(&mut self) -> Result<(), Failure> {
        let open: Vec<SagaId> = self.ledger.sagas().map(|(id, _)| id).collect();
        for id in open {
            let last = self.executors.last().and_then(|it| it.sagas.get(&id));
            if last.is_some_and(|saga| !saga.state().stuck(saga.graph()).is_empty()) {
                self.helped.insert(id);
                self.order(id, Order::Retry(None));
            }
        }
        self.at(self.now + Duration::from_secs(3), Happening::Help);
        Ok(())
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
                Effect::Ended(verdict) => self.on_ended(saga, verdict)?,
            }
        }
        Ok(())
    }

    /// Returns how old a saga is among all: they are numbered in the order in which they are to begin,
    /// and one that has not begun has not ended.
    fn age(&self, saga: SagaId) -> Age {
        let place = |number: u128| Place(number as u64);
        let oldest = (1..saga.0).find(|number| !self.ended.contains_key(&SagaId(*number)));
        Age { place: place(saga.0), oldest: place(oldest.unwrap_or(saga.0)) }
    }

    /// Sends a request, perhaps twice, perhaps late, perhaps in vain.
    pub(super) fn send(&mut self, executor: usize, call: &Call) {
        let age = self.age(call.key.saga);
        let of = Request { key: call.key, coordinator: COORDINATOR, epoch: call.epoch, age };
        let copies = 1 + u64::from(self.strikes(Fault::Duplication, 60));
        for _ in 0..copies {
            let late = if self.strikes(Fault::Delay, 50) { 400 } else { 20 };
            if !self.strikes(Fault::Loss, 80) {
                self.soon(late, Happening::Request { executor, of, attempt: call.attempt });
            }
        }
        let Call { key, attempt, .. } = call;
        let numbers = [2, key.saga.0 as u64, u64::from(key.step.0) << 32 | u64::from(*attempt)];
        self.note(numbers, || What::Apply { index: u64::from(*attempt), text: key.to_string() });
    }
}
