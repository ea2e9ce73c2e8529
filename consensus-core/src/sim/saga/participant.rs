//! A service that steps change something at, behind its barrier.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;

use super::graphs::happens;
use crate::saga::{Answer, Barrier, EffectKey, Epoch, Op, Request, SagaId, StepId};

/// What has come about of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) done: u32,
    pub(super) undone: u32,
}

impl Effect {
    /// Tells whether what was done stands.
    pub(super) fn stands(self) -> bool {
        self.done > self.undone
    }
}

/// A service. What it has done and what it remembers become durable as one.
#[derive(Clone, Debug, Default)]
pub(super) struct Participant {
    pub(super) barrier: Barrier,
    pub(super) effects: BTreeMap<(SagaId, StepId), Effect>,
    /// How often it was started: what a former life was about breaks off.
    pub(super) life: u64,
    /// The latest epoch that has asked for anything.
    pub(super) heard: Epoch,
}

impl Participant {
    /// Returns what has come about of a step.
    pub(super) fn effect(&self, key: EffectKey) -> Effect {
        self.effects.get(&(key.saga, key.step)).copied().unwrap_or_default()
    }

    /// Carries out what was let through, or refuses it, or breaks off; returns what it answers.
    pub(super) fn carry_out(
        &mut self,
        of: Request,
        (calm, refuses): (bool, bool),
        draw: &mut ChaCha8Rng,
    ) -> Option<Answer> {
        let key = of.key;
        let breaks_off = !calm && happens(draw, 60);
        let refuses = match key.op {
            Op::Action => refuses && happens(draw, 70),
            Op::Undo => !calm && happens(draw, 30),
        };
        let answer = if breaks_off {
            None
        } else if refuses {
            Some(Answer::Rejected(Bytes::from_static(b"no")))
        } else {
            let effect = self.effects.entry((key.saga, key.step)).or_default();
            match key.op {
                Op::Action => effect.done += 1,
                Op::Undo => effect.undone += 1,
            }
            Some(Answer::Done(Bytes::from(key.to_string())))
        };
        self.barrier.finish(of, answer.clone());
        answer
    }
}
