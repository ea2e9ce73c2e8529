//! What a step knows besides the input of its saga.

use std::{
    any::{Any, TypeId, type_name},
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use consensus_core::saga::{Age, CoordinatorId, EffectKey, Epoch, Op, Request, StepId};
use serde::de::DeserializeOwned;

use super::handle::Sagas;
use crate::{client::decode, error::Result};

/// What all steps of a coordinator know.
#[derive(Clone, Default)]
pub(super) struct Common {
    pub(super) coordinator: CoordinatorId,
    /// The sagas that they may carry out themselves.
    pub(super) sagas: OnceLock<Sagas>,
    /// What the program gives them, one value of each type.
    values: BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Common {
    pub(super) fn add<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    pub(super) fn find<T: 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref())
    }
}

/// What a step knows besides the input of its saga: who asks, under which key, and what came
/// before.
#[derive(Clone)]
pub struct SagaCx {
    pub(super) key: EffectKey,
    pub(super) epoch: Epoch,
    pub(super) age: Age,
    pub(super) attempt: u32,
    pub(super) outputs: BTreeMap<StepId, Bytes>,
    pub(super) common: Arc<Common>,
}

impl SagaCx {
    /// Makes one without a saga behind it.
    #[cfg(test)]
    pub(super) fn of(key: EffectKey, coordinator: CoordinatorId, epoch: Epoch) -> Self {
        let common = Arc::new(Common { coordinator, ..Common::default() });
        Self { key, epoch, age: Age::default(), attempt: 1, outputs: BTreeMap::new(), common }
    }

    /// Returns the key of the effect: the same for all attempts of all executors, and no other
    /// effect's. As text (`to_string`) it makes an idempotency key.
    pub fn key(&self) -> EffectKey {
        self.key
    }

    /// Returns the key under which the step itself is asked for: in a compensation, the one of what
    /// is to be undone, for a service that knows it by that.
    pub fn action(&self) -> EffectKey {
        match self.key.op {
            Op::Action => self.key,
            // What can be undone is asked for in one round only.
            Op::Undo => EffectKey { op: Op::Action, round: 0, ..self.key },
        }
    }

    /// Returns the epoch of the executor that asks: a participant obeys the latest it has heard of.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns which attempt of this executor this is, from one on.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns what a [`Guard`](super::Guard) wants to know.
    pub fn request(&self) -> Request {
        Request {
            key: self.key,
            coordinator: self.common.coordinator,
            epoch: self.epoch,
            age: self.age,
        }
    }

    /// Returns what an earlier step brought: one that this step waits for, itself or through
    /// others.
    ///
    /// `None` of a step that it does not wait for, and of one that an operator skipped.
    ///
    /// # Errors
    /// [`Code::Undecodable`](crate::Code::Undecodable) when it is of another type.
    pub fn output<T: DeserializeOwned>(&self, step: StepId) -> Result<Option<T>> {
        self.outputs.get(&step).map(|output| decode(output)).transpose()
    }

    /// Returns the value of this type that the program gave to its sagas:
    /// `node.sagas("orders").with(bank)`.
    ///
    /// # Panics
    /// Panics if it gave none. As with any panic of a step, what came of it is unknown.
    pub fn get<T: 'static>(&self) -> &T {
        let Some(value) = self.common.find() else {
            let name = type_name::<T>();
            panic!(
                "the sagas were given no {name}; give them one by .with(..): of node.sagas(..), or \
                 of their test"
            )
        };
        value
    }
}

impl std::fmt::Debug for SagaCx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, epoch, attempt, .. } = self;
        write!(f, "SagaCx({key}, epoch {}, attempt {attempt})", epoch.0)
    }
}
