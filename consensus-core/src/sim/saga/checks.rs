//! What must hold of each effect when it comes about, and of each saga when it has ended.

use super::{
    super::{
        runner::{Failure, Flaw},
        trace::What,
    },
    participant::Effect,
    world::World,
};
use crate::saga::{Class, EffectKey, Entry, Op, Order, Record, SagaId, StepId, Verdict};

impl World {
    pub(super) fn on_ended(&mut self, saga: SagaId, verdict: Verdict) -> Result<(), Failure> {
        let text = format!("{verdict:?}");
        self.note([3, saga.0 as u64, text.len() as u64], || What::Apply {
            index: saga.0 as u64,
            text,
        });
        // One who was replaced may not know yet that the saga was completed in vain.
        let revoked =
            |entry: &Entry| matches!(entry.record, Record::Ordered { order: Order::Revoke, .. });
        if verdict == Verdict::Completed && self.ledger.log(saga).iter().any(revoked) {
            return Ok(());
        }
        match self.ended.insert(saga, verdict.clone()) {
            Some(other) if other != verdict => {
                let what = format!("saga {} has ended twice: {other:?}, {verdict:?}", saga.0);
                return self.fail(Flaw::Outcome, what);
            }
            _ => {}
        }
        let Some(step) = self.roll.parents.get(&saga).copied() else { return Ok(()) };
        if self.completed(step.saga, step.step) > 1 {
            let what = format!("{step}: it is more than one saga that is completed");
            return self.fail(Flaw::ExactlyOnce, what);
        }
        Ok(())
    }

    pub(super) fn effect(&self, saga: SagaId, step: StepId) -> Effect {
        let key = EffectKey { saga, step, op: Op::Action, round: 0 };
        self.participants.get(Self::place(key)).map(|it| it.effect(key)).unwrap_or_default()
    }

    /// Whatever is asked for stands in the log, as something that is about to be done.
    pub(super) fn check_request(&self, key: EffectKey) -> Result<(), Failure> {
        let intended =
            |entry: &Entry| matches!(&entry.record, Record::Intended(step) if *step == key.step);
        let log = self.ledger.log(key.saga);
        // Of what an operator gave up there is no log.
        if !self.judges || log.is_empty() || log.iter().any(intended) {
            return Ok(());
        }
        self.fail(Flaw::Invariant, format!("{key}: asked for before the log says so"))
    }

    /// An effect comes about once, is undone once, and in its order.
    pub(super) fn check_effect(&self, key: EffectKey) -> Result<(), Failure> {
        let effect = self.effect(key.saga, key.step);
        if effect.done > 1 || effect.undone > effect.done {
            let (done, undone) = (effect.done, effect.undone);
            let what = format!("{key}: done {done} times, undone {undone}");
            return self.fail(Flaw::ExactlyOnce, what);
        }
        if !self.judges {
            return Ok(());
        }
        let log = self.ledger.log(key.saga);
        let Some(definition) = self.definitions.get(&key.saga).filter(|_| !log.is_empty()) else {
            return Ok(());
        };
        let graph = &definition.graph;
        let stands = |step| self.stands(key.saga, step);
        let given_up = |id: StepId| {
            let names = |entry: &Entry| match &entry.record {
                Record::Unresolved { step, .. } | Record::UndoFailed { step, .. } => *step == id,
                _ => false,
            };
            log.iter().any(names)
        };
        let of =
            |class| graph.steps().filter(move |(_, step)| step.class == class).map(|(id, _)| id);
        match key.op {
            Op::Action => {
                let mut undone =
                    graph.steps().filter(|(id, _)| self.effect(key.saga, *id).undone > 0);
                if undone.next().is_some() && !given_up(key.step) {
                    return self.fail(
                        Flaw::Invariant,
                        format!("{key}: done while the saga is being undone"),
                    );
                }
                let pivot = graph.pivot() == Some(key.step);
                let mut before = of(Class::Compensatable).chain(of(Class::NoEffect));
                if pivot && !before.all(stands) {
                    return self.fail(
                        Flaw::Invariant,
                        format!("{key}: the pivot is done before the steps before it"),
                    );
                }
            }
            Op::Undo => {
                let mut behind = of(Class::Compensatable)
                    .filter(|other| graph.leads(key.step, *other) && !given_up(*other));
                if behind.any(stands) {
                    return self
                        .fail(Flaw::Invariant, format!("{key}: undone before what rests on it"));
                }
                if graph.pivot().is_some_and(stands) {
                    return self.fail(Flaw::Invariant, format!("{key}: undone behind the pivot"));
                }
            }
        }
        Ok(())
    }

    /// In the end each saga is carried out or undone.
    pub(super) fn judge(&mut self) -> Result<(), Failure> {
        for id in self.roll.begun.iter().copied() {
            let Some(verdict) = self.ended.get(&id) else {
                return self.fail(Flaw::Liveness, format!("saga {} has not ended", id.0));
            };
            let definition = self.definitions.get(&id).expect("each saga has a definition");
            for (step, of) in definition.graph.steps() {
                let stands = self.stands(id, step);
                let fits = match (verdict, of.class) {
                    (Verdict::Completed, _) => stands,
                    (Verdict::Compensated(_), Class::NoEffect) | (Verdict::Abandoned, _) => true,
                    (Verdict::Compensated(_), _) => !stands,
                };
                if !fits {
                    let what = format!("saga {} is {verdict:?}, but for step {}", id.0, of.name);
                    return self.fail(Flaw::Outcome, what);
                }
            }
            match verdict {
                Verdict::Completed => self.tally.completed += 1,
                Verdict::Compensated(_) | Verdict::Abandoned => self.tally.compensated += 1,
            }
        }
        self.tally.helped = self.helped.len() as u64;
        self.check_free()
    }
}
