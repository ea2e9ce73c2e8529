//! Sagas that wait for what others hold, and sagas that are steps of others: when they begin, and
//! when they are over.
//!
//! A saga and those that are steps of it, of any depth, are a family. What any of them holds it holds
//! for the one that all come down from, until the last of them is over. One that is a step is kept
//! with its log when it has ended, until the one whose step it is has: it may have to be undone.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    barrier::{EffectKey, SagaId},
    event::Op,
    ledger::{AppendError, Ledger},
    mutant::Mutant,
    queues::Queues,
    record::{Entry, Epoch, Order, Record},
};
use crate::mutants::Bugs;

impl SagaId {
    /// Returns the saga that a step is, the same for all attempts and all executors.
    ///
    /// A compensation names the saga that its step was: what can be undone is asked for in one round
    /// only.
    pub fn of_step(key: EffectKey) -> Self {
        let action = match key.op {
            Op::Action => key,
            Op::Undo => EffectKey { op: Op::Action, round: 0, ..key },
        };
        Self(twox_hash::XxHash3_128::oneshot(action.to_string().as_bytes()))
    }
}

/// The step that a saga is, and the epoch of the executor that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The step.
    pub step: EffectKey,
    /// The epoch.
    pub epoch: Epoch,
}

/// A saga that is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its definition's fingerprint.
    pub digest: u128,
    /// What it is started with.
    pub input: Bytes,
    /// The keys that it holds while it is under way.
    pub keys: Vec<String>,
    /// Whether it is refused where it would have to wait for one of them.
    pub refuses: bool,
    /// The step that it is, if it is one.
    pub parent: Option<Parent>,
}

/// Why a saga is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum StartError {
    /// A saga holds this key, or waits for it.
    #[error("saga {:032x} holds {key:?}", holder.0)]
    Held {
        /// The key.
        key: String,
        /// The saga that holds it.
        holder: SagaId,
    },
    /// A saga that it would wait for waits for it.
    #[error("a saga that this one would wait for waits for it")]
    Circle,
    /// The saga whose step it is asks for that step no more.
    #[error("the saga whose step this is asks for that step no more")]
    Late,
}

/// A saga that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    /// The saga whose step it is.
    parent: Option<SagaId>,
    /// The one that it comes down from.
    root: SagaId,
    /// Whether it has ended, and is kept because the one whose step it is may turn back.
    rests: bool,
}

/// A saga that waits for what others hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    digest: u128,
    input: Bytes,
    parent: Option<EffectKey>,
}

/// Which sagas are steps of which, who holds which keys, and who waits for them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Families {
    members: BTreeMap<SagaId, Member>,
    /// The sagas that are steps of one.
    children: BTreeMap<SagaId, BTreeSet<SagaId>>,
    /// How many there are of each family, by the saga that all come down from.
    sizes: BTreeMap<SagaId, u64>,
    queues: Queues,
    /// By the saga that they come down from, which holds the keys.
    waiting: BTreeMap<(SagaId, SagaId), Waiting>,
    /// Steps of a saga that were refused: an earlier attempt that comes later is told the same.
    refused: BTreeMap<SagaId, BTreeMap<SagaId, StartError>>,
    #[serde(skip)]
    bugs: Bugs<Mutant>,
}

impl Families {
    /// Puts a known bug back.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(self, mutant: Mutant) -> Self {
        let bugs = Bugs::only(mutant);
        Self { queues: Queues::with_bugs(bugs), bugs, ..self }
    }

    /// Makes them with known bugs, if any were put back.
    pub(crate) fn with_bugs(bugs: Bugs<Mutant>) -> Self {
        Self { queues: Queues::with_bugs(bugs), bugs, ..Self::default() }
    }

    /// Takes a saga in, which begins as soon as nobody comes before it for the keys that it names.
    /// One that is there stays as it is, so that to ask twice begins it once.
    ///
    /// # Errors
    /// [`StartError`]; then nothing has changed.
    pub fn start(
        &mut self,
        ledger: &mut Ledger,
        saga: SagaId,
        start: Start,
    ) -> Result<(), StartError> {
        if self.members.contains_key(&saga) && !self.bugs.has(Mutant::BegunAnew) {
            return Ok(());
        }
        let Start { digest, input, keys, refuses, parent } = start;
        if parent.is_some_and(|parent| !self.is_asked_for(ledger, parent)) {
            return Err(StartError::Late);
        }
        let step = parent.map(|parent| parent.step);
        let parent = step.map(|step| step.saga);
        let root = parent.map_or(saga, |parent| self.root(parent));
        if let Err(error) = self.may_enter((saga, root), &keys, (refuses, parent)) {
            if let Some(parent) = parent {
                self.refused.entry(parent).or_default().insert(saga, error.clone());
            }
            return Err(error);
        }
        self.queues.enter(root, keys);
        if self.members.insert(saga, Member { parent, root, rests: false }).is_none() {
            *self.sizes.entry(root).or_default() += 1;
        }
        if let Some(parent) = parent {
            self.children.entry(parent).or_default().insert(saga);
        }
        self.waiting.insert((root, saga), Waiting { digest, input, parent: step });
        self.let_begin(ledger, root);
        Ok(())
    }

    /// Says why a saga is not to wait for keys, if it is not.
    fn may_enter(
        &self,
        (saga, root): (SagaId, SagaId),
        keys: &[String],
        (refuses, parent): (bool, Option<SagaId>),
    ) -> Result<(), StartError> {
        let before = parent.and_then(|parent| self.refused.get(&parent)?.get(&saga));
        if let Some(error) = before.filter(|_| !self.bugs.has(Mutant::RefusalIsForgotten)) {
            return Err(error.clone());
        }
        if refuses && let Some((key, holder)) = self.queues.taken(root, keys) {
            return Err(StartError::Held { key: key.to_owned(), holder });
        }
        // Only what comes later than its saga has begun can close one.
        if parent.is_some() && self.queues.closes_circle(root, keys) {
            return Err(StartError::Circle);
        }
        Ok(())
    }

    /// Begins all of a family that wait, if nobody holds what they wait for.
    fn let_begin(&mut self, ledger: &mut Ledger, root: SagaId) {
        if self.queues.waits(root).is_some() {
            return;
        }
        let all = (root, SagaId(0))..=(root, SagaId(u128::MAX));
        let waiting: Vec<_> = self.waiting.extract_if(all, |_, _| true).collect();
        for ((_, saga), Waiting { digest, input, parent }) in waiting {
            ledger.enqueue(saga, (digest, input), parent);
        }
    }

    /// Tells whether an executor asks for a step that is a saga, by what is in the log: a request
    /// that comes when the step is being undone, or for an executor that was replaced, begins none.
    fn is_asked_for(&self, ledger: &Ledger, Parent { step: key, epoch }: Parent) -> bool {
        if self.bugs.has(Mutant::BegunLate) {
            return !ledger.log(key.saga).is_empty();
        }
        if epoch != ledger.epoch() {
            return false;
        }
        let (mut asked, mut turned, mut round) = (false, false, 0);
        for entry in ledger.log(key.saga) {
            match &entry.record {
                Record::Intended(step) if *step == key.step => asked = true,
                Record::Done { step, .. } | Record::Unresolved { step, .. }
                    if *step == key.step =>
                {
                    asked = false;
                }
                // Whoever asks for it anew does so in another round.
                Record::Rejected { step, .. } if *step == key.step => round += 1,
                Record::Undone { step, .. } => {
                    turned = true;
                    asked &= *step != key.step;
                }
                Record::UndoFailed { .. } => turned = true,
                Record::Ordered { order: Order::Skip(step), .. } if *step == key.step => {
                    asked = false;
                }
                // On the way back an operator has compensations tried again, no steps.
                Record::Ordered { order: Order::Retry(step), .. }
                    if step.is_none_or(|step| step == key.step) =>
                {
                    asked = !turned;
                }
                Record::Begun { .. }
                | Record::Intended(_)
                | Record::Done { .. }
                | Record::Rejected { .. }
                | Record::Unresolved { .. }
                | Record::Turned(_)
                | Record::Resumed
                | Record::Ordered { .. } => {}
            }
        }
        asked && round == key.round
    }

    /// Appends a record to the log of a saga, and takes note of what it says.
    ///
    /// # Errors
    /// As [`Ledger::append`]; then nothing has changed.
    pub fn append(
        &mut self,
        ledger: &mut Ledger,
        saga: SagaId,
        entry: Entry,
    ) -> Result<(), AppendError> {
        let revokes = matches!(entry.record, Record::Ordered { order: Order::Revoke, .. });
        let undoes = matches!(entry.record, Record::Undone { .. });
        let before = ledger.log(saga).len();
        ledger.append(saga, entry)?;
        // One that was there says nothing new.
        if ledger.log(saga).len() == before {
            return Ok(());
        }
        // It is undone though it had ended, as the one turns back whose step it is.
        if let Some(member) = self.members.get_mut(&saga).filter(|_| revokes) {
            member.rests = false;
        }
        if undoes && self.bugs.has(Mutant::KeysFreedOnTheWayBack) {
            self.free(ledger, self.root(saga));
        }
        Ok(())
    }

    /// Takes note that a saga has ended, or that one which waits is not to begin. Returns those that
    /// are over with it, itself first, with their logs: nothing of them is kept here. None are, if it is a step of another
    /// that may turn back.
    ///
    /// # Errors
    /// [`AppendError::Stale`] for all but the latest executor.
    pub fn end(
        &mut self,
        ledger: &mut Ledger,
        saga: SagaId,
        epoch: Epoch,
    ) -> Result<Vec<(SagaId, Vec<Entry>)>, AppendError> {
        if epoch != ledger.epoch() {
            return Err(AppendError::Stale(ledger.epoch()));
        }
        let mut over = Vec::new();
        let Some(Member { parent, root, .. }) = self.members.get(&saga).cloned() else {
            return Ok(over);
        };
        if !self.bugs.has(Mutant::CancelledBegins) {
            self.waiting.remove(&(root, saga));
        }
        let is_kept = parent.is_some_and(|parent| self.members.contains_key(&parent));
        if is_kept && !self.bugs.has(Mutant::EndedIsForgotten) {
            if let Some(member) = self.members.get_mut(&saga) {
                member.rests = true;
            }
            if self.bugs.has(Mutant::KeysFreedByStep) {
                self.free(ledger, root);
            }
            return Ok(over);
        }
        self.bury(ledger, (saga, epoch), &mut over)?;
        if !self.sizes.contains_key(&root)
            || (saga == root && self.bugs.has(Mutant::KeysFreedByAbandoning))
        {
            self.free(ledger, root);
        }
        Ok(over)
    }

    /// Keeps nothing of a saga, nor of its steps that were sagas.
    fn bury(
        &mut self,
        ledger: &mut Ledger,
        (saga, epoch): (SagaId, Epoch),
        over: &mut Vec<(SagaId, Vec<Entry>)>,
    ) -> Result<(), AppendError> {
        let log = ledger.put_away(saga, epoch)?;
        let Some(Member { root, .. }) = self.members.remove(&saga) else { return Ok(()) };
        over.push((saga, log));
        self.waiting.remove(&(root, saga));
        self.refused.remove(&saga);
        if let Some(size) = self.sizes.get_mut(&root) {
            *size -= 1;
            if *size == 0 {
                self.sizes.remove(&root);
            }
        }
        for child in self.children.remove(&saga).unwrap_or_default() {
            let waits = self.waiting.contains_key(&(root, child));
            match self.members.get_mut(&child) {
                Some(member) if member.rests || waits => self.bury(ledger, (child, epoch), over)?,
                // An operator gave its saga up: it goes on by itself.
                Some(member) => member.parent = None,
                None => {}
            }
        }
        Ok(())
    }

    /// Lets go of what a family holds, for those that wait.
    fn free(&mut self, ledger: &mut Ledger, root: SagaId) {
        for freed in self.queues.leave(root) {
            self.let_begin(ledger, freed);
        }
    }

    /// Returns the saga that holds the keys of this one.
    fn root(&self, saga: SagaId) -> SagaId {
        self.members.get(&saga).map_or(saga, |member| member.root)
    }

    /// Tells whether a saga waits and has not begun.
    pub fn is_waiting(&self, saga: SagaId) -> bool {
        self.waiting.contains_key(&(self.root(saga), saga))
    }

    /// Returns the key that a saga waits for before it begins, and who holds it.
    pub fn waits(&self, saga: SagaId) -> Option<(&str, SagaId)> {
        self.queues.waits(self.root(saga)).filter(|_| self.is_waiting(saga))
    }

    /// Tells whether a saga has been taken in and is not over.
    pub fn contains(&self, saga: SagaId) -> bool {
        self.members.contains_key(&saga)
    }

    /// Tells whether a saga has ended, and is kept because the one whose step it is may turn back.
    pub fn rests(&self, saga: SagaId) -> bool {
        self.members.get(&saga).is_some_and(|member| member.rests)
    }

    /// Returns of each saga that waits the ones that come before it, all by those that hold their
    /// keys.
    pub(crate) fn ahead(&self) -> BTreeMap<SagaId, BTreeSet<SagaId>> {
        self.waiting.keys().map(|(root, _)| (*root, self.queues.all_ahead(*root))).collect()
    }

    /// Tells whether all are over: nobody waits, and all keys are free.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
            && self.children.is_empty()
            && self.sizes.is_empty()
            && self.waiting.is_empty()
            && self.refused.is_empty()
            && self.queues.is_empty()
    }
}
