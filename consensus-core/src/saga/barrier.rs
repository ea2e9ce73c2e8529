//! What a participant remembers, so that each step and each compensation is carried out once and in
//! its order, whatever the network does to requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{event::Op, graph::StepId, mutant::Mutant, record::Epoch};
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

/// What a participant that keeps rows in a database reads of them before it decides about a
/// request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// The latest epoch of the request's coordinator that it has heard of.
    pub epoch: Epoch,
    /// Whether it was told to forget the saga.
    pub ended: bool,
    /// What it knows of the step.
    pub row: Row,
}

/// The memory of a participant. What it says must be durable together with the effects that it
/// guards: in the same replicated state, or the same transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// The latest of each coordinator: those of two tell nothing of one another.
    epochs: BTreeMap<CoordinatorId, Epoch>,
    rows: BTreeMap<(SagaId, u16), Row>,
    /// Sagas that have ended: of those nothing but their ids is kept.
    ended: BTreeSet<SagaId>,
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
    pub fn recall(Request { key, coordinator, .. }: Request, known: Recalled) -> Self {
        let Recalled { epoch, ended, row } = known;
        Self {
            epochs: BTreeMap::from([(coordinator, epoch)]),
            rows: BTreeMap::from([((key.saga, key.step.0), row)]),
            ended: ended.then_some(key.saga).into_iter().collect(),
            bugs: Bugs::default(),
        }
    }

    /// Returns what it knows of a step.
    pub fn row(&self, saga: SagaId, step: StepId) -> Option<&Row> {
        self.rows.get(&(saga, step.0))
    }

    /// Decides about a request.
    pub fn admit(&mut self, Request { key, coordinator, epoch }: Request) -> Admission {
        let latest = self.epochs.entry(coordinator).or_default();
        if epoch < *latest && !self.bugs.has(Mutant::BarrierIgnoresEpoch) {
            return Admission::Stale { epoch: *latest };
        }
        *latest = epoch.max(*latest);
        if self.ended.contains(&key.saga) {
            return Admission::Sealed;
        }
        let unguarded = self.bugs.has(Mutant::NoBarrier);
        let bugs = self.bugs;
        let row = self.rows.entry((key.saga, key.step.0)).or_default();
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
    pub fn finish(&mut self, key: EffectKey, answer: Option<Answer>) {
        let Some(row) = self.rows.get_mut(&(key.saga, key.step.0)) else { return };
        let progress = match key.op {
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

    /// Forgets what it knows of a saga that has ended, but that it has: whatever still comes for it
    /// is refused.
    pub fn forget(&mut self, saga: SagaId) {
        self.ended.insert(saga);
        let rows = self.rows.range((saga, 0)..=(saga, u16::MAX)).map(|(row, _)| *row);
        for row in rows.collect::<Vec<_>>() {
            self.rows.remove(&row);
        }
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
