//! What must hold among sagas: of those that are steps of others, and of those that name the same
//! keys.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::runner::{Failure, Flaw},
    nested::Ask,
    world::World,
};
use crate::saga::{Record, Saga, SagaId, Standing, StepId, Verdict};

impl World {
    /// A saga begins once, when nobody is under way or came before it that names one of its keys.
    pub(super) fn check_begun(&mut self, saga: SagaId) -> Result<(), Failure> {
        if self.roll.begun.contains(&saga) {
            return self.fail(Flaw::ExactlyOnce, format!("saga {} has begun twice", saga.0));
        }
        if !self.judges {
            return Ok(());
        }
        if self.roll.cancelled.contains(&saga) {
            let what = format!("saga {} begins, though it was cancelled before", saga.0);
            return self.fail(Flaw::Invariant, what);
        }
        if let Some(other) = self.roll.begun.iter().find(|other| self.disturbs(saga, **other)) {
            let what = format!("saga {} begins while saga {} holds its key", saga.0, other.0);
            return self.fail(Flaw::Invariant, what);
        }
        let mut before = self.roll.waiting.iter().take_while(|waiting| **waiting != saga);
        // What a step's saga names, the one whose step it is may have held or waited for before.
        let is_step = self.roll.parents.contains_key(&saga);
        match before.find(|before| !is_step && self.names_same(saga, **before)) {
            Some(before) => {
                let what = format!("saga {} begins before saga {}", saga.0, before.0);
                self.fail(Flaw::Invariant, what)
            }
            None => Ok(()),
        }
    }

    /// Tells whether one saga holds what the other names: from when it has begun until it has ended,
    /// and the one that it comes down from.
    fn disturbs(&self, saga: SagaId, other: SagaId) -> bool {
        let has_ended = |saga: SagaId| self.ended.contains_key(&saga);
        self.names_same(saga, other) && !(has_ended(other) && has_ended(self.root(other)))
    }

    fn names_same(&self, saga: SagaId, other: SagaId) -> bool {
        let keys = |saga| self.definitions.get(&saga).map(|it| it.keys.as_slice());
        let (own, others) = (keys(saga).unwrap_or_default(), keys(other).unwrap_or_default());
        own.iter().any(|key| others.contains(key)) && self.root(saga) != self.root(other)
    }

    /// Returns the saga that one comes down from.
    fn root(&self, mut saga: SagaId) -> SagaId {
        while let Some(step) = self.roll.parents.get(&saga) {
            saga = step.saga;
        }
        saga
    }

    /// A step's saga is taken in while the executor in charge asks for the step, and makes nobody wait
    /// in a circle.
    pub(super) fn check_step(&mut self, Ask { key, epoch, .. }: Ask) -> Result<(), Failure> {
        if !self.judges {
            return Ok(());
        }
        let graph = self.definitions.get(&key.saga).map(|it| Arc::clone(&it.graph));
        let of = (key.saga, graph.expect("each saga has a definition"));
        let log = self.ledger.log(key.saga);
        let as_logged = Saga::resume(of, epoch, log, self.now, &mut Vec::new());
        let standing = as_logged.map(|saga| saga.state().step(key.step).standing);
        if epoch != self.ledger.epoch() || standing != Ok(Standing::Intended) {
            let what = format!("{key}: its saga is taken in, though the step is {standing:?}");
            return self.fail(Flaw::Invariant, what);
        }
        let mut waits = self.families.ahead();
        loop {
            let free = |saga: &SagaId| !waits.contains_key(saga);
            let next = waits.iter().find(|(_, ahead)| ahead.iter().all(free));
            match next.map(|(saga, _)| *saga) {
                Some(saga) => drop(waits.remove(&saga)),
                None if waits.is_empty() => return Ok(()),
                None => {
                    let circle: Vec<u128> = waits.keys().map(|saga| saga.0).collect();
                    let what = format!("sagas wait for each other in a circle: {circle:?}");
                    return self.fail(Flaw::Invariant, what);
                }
            }
        }
    }

    /// What one attempt at a step was told is what all are.
    pub(super) fn check_refused(&self, child: SagaId) -> Result<(), Failure> {
        if !self.judges || !self.roll.denied.contains(&child) {
            return Ok(());
        }
        self.fail(Flaw::Invariant, format!("saga {} is taken in after it was refused", child.0))
    }

    /// A saga that is asked for again is where it was.
    pub(super) fn check_once(&self, saga: SagaId) -> Result<(), Failure> {
        let log = self.ledger.log(saga).iter();
        if log.filter(|entry| matches!(entry.record, Record::Begun { .. })).count() <= 1 {
            return Ok(());
        }
        self.fail(Flaw::ExactlyOnce, format!("saga {} begins anew", saga.0))
    }

    /// Tells whether a step stands: as one saga, if it is one.
    pub(super) fn stands(&self, saga: SagaId, step: StepId) -> bool {
        let definition = self.definitions.get(&saga);
        if !definition.is_some_and(|it| it.nested.contains_key(&step)) {
            return self.effect(saga, step).stands();
        }
        self.completed(saga, step) == 1
    }

    /// Returns how many sagas that a step is, a round each, are completed.
    pub(super) fn completed(&self, saga: SagaId, step: StepId) -> usize {
        let children = self.roll.children.get(&(saga, step)).into_iter().flatten();
        children.filter(|child| self.ended.get(child) == Some(&Verdict::Completed)).count()
    }

    /// In the end nobody waits, and all keys are free.
    pub(super) fn check_free(&self) -> Result<(), Failure> {
        if self.families.is_empty() {
            return Ok(());
        }
        let waits: BTreeMap<_, _> = self.families.ahead();
        let what = format!("not all are over and all keys free; who waits for whom: {waits:?}");
        self.fail(Flaw::Liveness, what)
    }
}
