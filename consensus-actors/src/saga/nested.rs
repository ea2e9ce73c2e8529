//! Steps that are sagas.

use consensus_core::{
    Outcome as Applied,
    saga::{EffectKey, Order, Parent, SagaId},
};

use super::{
    SagaCx, SagaDefinition,
    handle::{Run, Saga},
    outcome::{Outcome, Undo},
};
use crate::error::{Code, Error};

impl SagaCx {
    /// Carries out a saga as this step: another definition that is registered with the same sagas.
    /// Whoever asks for the step again, on whichever node, finds the one that was begun.
    ///
    /// It is done with what that saga brings, rejected if that was undone, and unknown while it
    /// lasts longer than this step has time: give the step a timeout that its saga fits in. Its
    /// compensation is [`SagaCx::undo_saga`], for which the log of the saga is kept until the one
    /// whose step it is has ended. What it [`holds`](SagaDefinition::holds) it holds for that one,
    /// and as long; where the two would wait for others in a circle, it is rejected.
    pub async fn saga<S: SagaDefinition>(&self, input: S) -> Outcome<S::Output> {
        let Some(sagas) = self.common.sagas.get() else { return Outcome::Unknown };
        let parent = Parent { step: self.action(), epoch: self.epoch() };
        let run = match sagas.begin(self.child(), &input, Some(parent)).await {
            Ok(run) => run,
            Err(error) => return not_begun(self.key(), &error),
        };
        match run.wait().await {
            Ok(Saga::Completed(output)) => Outcome::Done(output),
            Ok(Saga::Compensated { failed: Some(step), cause }) => {
                Outcome::Rejected(format!("it was undone because of {step:?}: {cause}"))
            }
            Ok(Saga::Compensated { failed: None, cause }) => Outcome::Rejected(cause),
            Ok(Saga::Stuck { .. } | Saga::Abandoned) | Err(_) => Outcome::Unknown,
        }
    }

    /// Undoes the saga that the step was, whether it is under way, completed or was never begun. One
    /// that has asked for its pivot cannot be: then this fails, as it does for one that is stuck.
    pub async fn undo_saga(&self) -> Undo {
        let Some(sagas) = self.common.sagas.get() else { return Undo::Unknown };
        let child = self.child();
        let reason = format!("saga {:032x} turns back", self.key().saga.0);
        let refusal = match sagas.order(child, Order::Revoke, &reason).await {
            Ok(()) => String::new(),
            // It was never begun, and is not any more: the log says that its step is undone.
            Err(error) if error.code() == Code::UnknownSaga => return Undo::Done,
            // It may be on its way back, or have ended so.
            Err(error) if error.code() == Code::OrderRefused => error.message().to_owned(),
            Err(_) => return Undo::Unknown,
        };
        let id = format!("{:032x}", child.0);
        match Run::<()>::of(sagas, child).standing().await {
            Ok(Saga::Compensated { .. }) => Undo::Done,
            Ok(Saga::Completed(_)) => Undo::Failed(format!("saga {id} stands: {refusal}")),
            Ok(Saga::Abandoned) => Undo::Failed(format!("saga {id} was abandoned half done")),
            Ok(Saga::Stuck { hint, .. }) => Undo::Failed(format!("saga {id} is stuck: {hint}")),
            Err(_) => Undo::Unknown,
        }
    }

    /// Returns the saga that the step is, the same for all attempts.
    fn child(&self) -> SagaId {
        SagaId::of_step(self.key())
    }
}

/// Judges why a saga was not begun: what cannot be otherwise next time is a refusal.
fn not_begun<T>(key: EffectKey, error: &Error) -> Outcome<T> {
    tracing::debug!(%key, "a step that is a saga was not begun: {error}");
    match (error.code(), error.outcome()) {
        (Code::KeyHeld | Code::TooLarge | Code::InvalidArgument, Applied::NotApplied) => {
            Outcome::Rejected(error.message().to_owned())
        }
        (_, _) => Outcome::Unknown,
    }
}
