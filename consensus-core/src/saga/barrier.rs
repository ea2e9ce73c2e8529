//! What a participant remembers, so that each step and each compensation is carried out once and in
//! its order, whatever the network does to requests.

use std::{collections::BTreeMap, fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    event::Op,
    graph::StepId,
    mutant::Mutant,
    record::{Age, Epoch, Place},
};
use crate::mutants::Bugs;

/// Which saga; unique among all of a coordinator, for good.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SagaId(pub u128);

/// What a participant is asked for: the same for all attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectKey {
    /// The saga.
    pub saga: SagaId,
    /// The step.
    pub step: StepId,
    /// Whether it is to be carried out or undone.
    pub op: Op,
    /// Which of several such effects: a step that was refused is asked for anew.
    pub round: u32,
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (saga, step, round) = (self.saga.0, self.step.0, self.round);
        write!(f, "{saga:032x}-{step}-{}-{round}", self.op.name())
    }
}

/// Says that a text is no [`EffectKey`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no key of an effect: it has the form `saga-step-action-round`, or `undo`")]
pub struct NoEffectKey(String);

impl FromStr for EffectKey {
    type Err = NoEffectKey;

    /// Reads what [`Display`](fmt::Display) writes, and nothing else: one effect has one text.
    fn from_str(text: &str) -> Result<Self, NoEffectKey> {
        let key = || {
            let mut parts = text.split('-');
            let saga = SagaId(u128::from_str_radix(parts.next()?, 16).ok()?);
            let step = StepId(parts.next()?.parse().ok()?);
            let op = parts.next()?;
            let op = [Op::Action, Op::Undo].into_iter().find(|it| it.name() == op)?;
            Some(Self { saga, step, op, round: parts.next()?.parse().ok()? })
        };
        key().filter(|key| key.to_string() == text).ok_or_else(|| NoEffectKey(text.to_owned()))
    }
}

/// Which coordinator: a group of executors that succeed one another. Each counts its own epochs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct CoordinatorId(pub u64);

/// Which effect is asked for, and on whose behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The effect; all attempts have the same.
    pub key: EffectKey,
    /// Whose saga it is.
    pub coordinator: CoordinatorId,
    /// The epoch of the coordinator's executor.
    pub epoch: Epoch,
    /// How old the saga is.
    pub age: Age,
}

impl Request {
    /// Returns whose step it concerns.
    fn row(self) -> (CoordinatorId, Place, u16) {
        (self.coordinator, self.age.place, self.key.step.0)
    }
}

/// What a participant answered, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It was carried out.
    Done(Bytes),
    /// It was refused, and has changed nothing.
    Rejected(Bytes),
}

/// What a participant does about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Carry it out, then [`Barrier::finish`] it. A compensation gets what the step brought.
    Run(Option<Bytes>),
    /// Answer this, and do nothing.
    Replay(Answer),
    /// It is being carried out; whoever asks again later finds the answer.
    Busy,
    /// The compensation of the step came before it: refuse it.
    Sealed,
    /// Another executor commands by now: refuse it.
    Stale {
        /// The latest epoch that the participant has heard of.
        epoch: Epoch,
    },
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// It never came, or has changed nothing and may be tried again.
    #[default]
    Absent,
    /// It is being carried out.
    Running,
    /// It was answered.
    Answered(Answer),
}

/// What a participant knows of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Which round of the step it has heard of.
    pub round: u32,
    /// What became of the step in that round.
    pub action: Progress,
    /// Which round of the compensation it has heard of.
    pub undo_round: u32,
    /// What became of the compensation.
    pub undo: Progress,
}

/// What a participant has heard from a coordinator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The latest epoch.
    pub epoch: Epoch,
    /// Before this place all sagas have ended.
    pub oldest: Place,
}

impl Heard {
    /// Takes in what a request says.
    #[must_use]
    pub fn and(self, Request { epoch, age, .. }: Request) -> Self {
        Self { epoch: epoch.max(self.epoch), oldest: age.oldest.max(self.oldest) }
    }
}

/// What a participant that keeps rows in a database reads of them before it decides about a
/// request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// What it has heard from the request's coordinator.
    pub heard: Heard,
    /// What it knows of the step.
    pub row: Row,
}

/// The memory of a participant. What it says must be durable together with the effects that it
/// guards: in the same replicated state, or the same transaction.
///
/// It forgets what sagas have done that ended: each request says before which place all of its
/// coordinator's have, and what comes for those is refused from then on. So it remembers no more
/// than the oldest saga that goes on has seen begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// What two coordinators say tells nothing of one another.
    heard: BTreeMap<CoordinatorId, Heard>,
    /// By the places of the sagas, and the steps.
    rows: BTreeMap<(CoordinatorId, Place, u16), Row>,
    #[serde(skip)]
    bugs: Bugs<Mutant>,
}

impl Barrier {
    /// Puts a known bug back.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(self, mutant: Mutant) -> Self {
        Self { bugs: Bugs::only(mutant), ..self }
    }

    /// Makes one that has known bugs, if any were put back.
    pub(crate) fn with_bugs(bugs: Bugs<Mutant>) -> Self {
        Self { bugs, ..Self::default() }
    }

    /// Makes one that knows what a request's decision rests on, and nothing else: for who keeps the
    /// memory in rows of a database. What it makes of the [`row`](Self::row) is to be written there
    /// in the transaction of the effect.
    pub fn recall(of: Request, Recalled { heard, row }: Recalled) -> Self {
        Self {
            heard: BTreeMap::from([(of.coordinator, heard)]),
            rows: BTreeMap::from([(of.row(), row)]),
            bugs: Bugs::default(),
        }
    }

    /// Returns what it knows of the step of a request.
    pub fn row(&self, of: Request) -> Option<&Row> {
        self.rows.get(&of.row())
    }

    /// Returns what it has heard from a coordinator.
    pub fn heard(&self, coordinator: CoordinatorId) -> Heard {
        self.heard.get(&coordinator).copied().unwrap_or_default()
    }

    /// Decides about a request.
    pub fn admit(&mut self, of: Request) -> Admission {
        let (key, before) = (of.key, self.heard(of.coordinator));
        if of.epoch < before.epoch && !self.bugs.has(Mutant::BarrierIgnoresEpoch) {
            return Admission::Stale { epoch: before.epoch };
        }
        let heard = before.and(of);
        self.heard.insert(of.coordinator, heard);
        if heard.oldest > before.oldest {
            self.forget(of.coordinator, heard.oldest);
        }
        if of.age.place < heard.oldest {
            return Admission::Sealed;
        }
        let unguarded = self.bugs.has(Mutant::NoBarrier);
        let bugs = self.bugs;
        let row = self.rows.entry(of.row()).or_default();
        match key.op {
            Op::Action => {
                if row.undo != Progress::Absent && !bugs.has(Mutant::ActionAfterUndo) && !unguarded
                {
                    return Admission::Sealed;
                }
                if key.round > row.round {
                    (row.round, row.action) = (key.round, Progress::Absent);
                }
                match &row.action {
                    Progress::Answered(answer) if !unguarded => Admission::Replay(answer.clone()),
                    Progress::Running if !unguarded => Admission::Busy,
                    Progress::Absent | Progress::Running | Progress::Answered(_) => {
                        row.action = Progress::Running;
                        Admission::Run(None)
                    }
                }
            }
            Op::Undo => {
                if key.round > row.undo_round {
                    row.undo_round = key.round;
                    if matches!(row.undo, Progress::Answered(Answer::Rejected(_))) {
                        row.undo = Progress::Absent;
                    }
                }
                match &row.undo {
                    Progress::Answered(answer) if !unguarded => {
                        return Admission::Replay(answer.clone());
                    }
                    Progress::Running if !unguarded => return Admission::Busy,
                    Progress::Absent | Progress::Running | Progress::Answered(_) => {}
                }
                match &row.action {
                    // Nobody knows yet what there is to undo.
                    Progress::Running => Admission::Busy,
                    Progress::Answered(Answer::Done(output)) => {
                        row.undo = Progress::Running;
                        Admission::Run(Some(output.clone()))
                    }
                    Progress::Absent | Progress::Answered(Answer::Rejected(_))
                        if bugs.has(Mutant::UndoOfNothing) || unguarded =>
                    {
                        row.undo = Progress::Running;
                        Admission::Run(None)
                    }
                    // There is nothing, and nothing will follow.
                    Progress::Absent | Progress::Answered(Answer::Rejected(_)) => {
                        let nothing = Answer::Done(Bytes::new());
                        row.undo = Progress::Answered(nothing.clone());
                        Admission::Replay(nothing)
                    }
                }
            }
        }
    }

    /// Notes what became of a request that was let through; `None` if it has changed nothing and
    /// may be tried again.
    pub fn finish(&mut self, of: Request, answer: Option<Answer>) {
        let Some(row) = self.rows.get_mut(&of.row()) else { return };
        let progress = match of.key.op {
            Op::Action => &mut row.action,
            Op::Undo => &mut row.undo,
        };
        if *progress == Progress::Running {
            *progress = answer.map_or(Progress::Absent, Progress::Answered);
        }
    }

    /// Forgets what was under way when the participant stopped: none of it was made durable.
    pub fn restart(&mut self) {
        for row in self.rows.values_mut() {
            for progress in [&mut row.action, &mut row.undo] {
                if *progress == Progress::Running {
                    *progress = Progress::Absent;
                }
            }
        }
    }

    /// Forgets what sagas before a place have done, which have ended.
    fn forget(&mut self, coordinator: CoordinatorId, before: Place) {
        let before =
            if self.bugs.has(Mutant::BarrierForgetsOldest) { before.next() } else { before };
        let ended = (coordinator, Place::default(), 0)..(coordinator, before, 0);
        self.rows.extract_if(ended, |_, _| true).for_each(drop);
    }

    /// Returns how many steps it remembers.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Tells whether it remembers nothing.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
