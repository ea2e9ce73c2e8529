//! The logs of all sagas: the state that a coordinator replicates.
//!
//! An executor claims an epoch before it appends anything. From then on nothing of an earlier epoch
//! is taken, so that an executor which was replaced, and does not know it, can do no harm.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    barrier::{EffectKey, SagaId},
    mutant::Mutant,
    record::{Entry, Epoch, Place, Record, Seq},
};
use crate::mutants::Bugs;

/// Why a record is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AppendError {
    /// Another executor has claimed a later epoch: stop.
    #[error("another executor has taken over, in epoch {}", .0.0)]
    Stale(Epoch),
    /// It does not stand behind the record before it.
    #[error("the log of the saga goes on at record {}", .0.0)]
    OutOfPlace(Seq),
}

/// The log of a saga, and its place among all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Log {
    place: Place,
    entries: Vec<Entry>,
}

/// The logs of sagas that have not been put away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    epoch: Epoch,
    sagas: BTreeMap<SagaId, Log>,
    /// By their places among all that were ever begun, the last of which is `last`.
    places: BTreeMap<Place, SagaId>,
    last: Place,
    #[serde(skip)]
    bugs: Bugs<Mutant>,
}

impl Ledger {
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

    /// Begins an epoch: all executors of earlier ones are out.
    pub fn claim(&mut self) -> Epoch {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.epoch
    }

    /// Returns the latest epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes a saga in that is to be carried out, by its first record; tells whether it is new. One
    /// that is there stays as it is, so that to ask twice begins it once.
    ///
    /// It takes no executor: a saga that has only begun commands nobody. Whoever executes goes on
    /// with it as with any other, and whoever was replaced cannot.
    pub fn enqueue(
        &mut self,
        saga: SagaId,
        (digest, input): (u128, Bytes),
        parent: Option<EffectKey>,
    ) -> bool {
        let is_new = !self.sagas.contains_key(&saga) || self.bugs.has(Mutant::BegunAnew);
        if is_new {
            let record = Record::Begun { digest, input, parent };
            let (seq, epoch, spent) = (Seq(1), self.epoch, Duration::ZERO);
            self.log_of(saga).push(Entry { seq, epoch, spent, record });
        }
        is_new
    }

    /// Returns the log of a saga, which begins now if there is none.
    fn log_of(&mut self, saga: SagaId) -> &mut Vec<Entry> {
        let (last, places) = (&mut self.last, &mut self.places);
        let log = self.sagas.entry(saga).or_insert_with(|| {
            *last = last.next();
            places.insert(*last, saga);
            Log { place: *last, entries: Vec::new() }
        });
        &mut log.entries
    }

    /// Appends a record to the log of a saga. One that is there already is appended once.
    ///
    /// # Errors
    /// [`AppendError`]; then nothing has changed.
    pub fn append(&mut self, saga: SagaId, entry: Entry) -> Result<(), AppendError> {
        if entry.epoch != self.epoch && !self.bugs.has(Mutant::AppendIgnoresEpoch) {
            return Err(AppendError::Stale(self.epoch));
        }
        let log = self.log(saga);
        let next = log.last().map_or(Seq(1), |last| last.seq.next());
        let misplaces = self.bugs.has(Mutant::AppendIgnoresSeq);
        let place = entry.seq.0.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        if place.and_then(|at| log.get(at)) == Some(&entry) && !misplaces {
            return Ok(());
        }
        if entry.seq != next && !misplaces {
            return Err(AppendError::OutOfPlace(next));
        }
        self.log_of(saga).push(entry);
        Ok(())
    }

    /// Returns the sagas and their logs.
    pub fn sagas(&self) -> impl Iterator<Item = (SagaId, &[Entry])> {
        self.sagas.iter().map(|(id, log)| (*id, log.entries.as_slice()))
    }

    /// Returns the log of a saga; empty where there is none.
    pub fn log(&self, saga: SagaId) -> &[Entry] {
        self.sagas.get(&saga).map(|log| log.entries.as_slice()).unwrap_or_default()
    }

    /// Returns the place of a saga among all that were ever begun.
    pub fn place(&self, saga: SagaId) -> Option<Place> {
        self.sagas.get(&saga).map(|log| log.place)
    }

    /// Returns the sagas behind a place, in the order in which they were begun.
    pub fn behind(&self, place: Place) -> impl Iterator<Item = (Place, SagaId)> {
        self.places.range(place.next()..).map(|(place, saga)| (*place, *saga))
    }

    /// Returns the place of the saga that was begun last.
    pub fn last(&self) -> Place {
        self.last
    }

    /// Puts a saga away that has ended, and returns its log.
    ///
    /// # Errors
    /// [`AppendError::Stale`] for all but the latest executor.
    pub fn put_away(&mut self, saga: SagaId, epoch: Epoch) -> Result<Vec<Entry>, AppendError> {
        if epoch != self.epoch {
            return Err(AppendError::Stale(self.epoch));
        }
        let Some(log) = self.sagas.remove(&saga) else { return Ok(Vec::new()) };
        self.places.remove(&log.place);
        Ok(log.entries)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        saga::{Class, Effect, Graph, Retry, Saga, Step},
        time::Time,
    };

    fn graph() -> Arc<Graph> {
        let step = Step {
            name: "only".to_owned(),
            class: Class::Compensatable,
            after: Vec::new(),
            timeout: Duration::from_secs(1),
            retry: Retry::default(),
        };
        Arc::new(Graph::new(("one", 1), None, vec![step]).unwrap())
    }

    // Goal: a saga that anybody enqueued begins once, goes on in the hands of the executor of any
    // later epoch, and lends no executor an epoch that it lost.
    #[test]
    fn what_is_enqueued_begins_once() {
        let (mut ledger, graph, saga) = (Ledger::default(), graph(), SagaId(7));
        let input = Bytes::from_static(b"input");
        let former = ledger.claim();
        assert!(ledger.enqueue(saga, (graph.digest(), input.clone()), None));
        assert!(!ledger.enqueue(saga, (graph.digest(), Bytes::from_static(b"other")), None));
        assert_eq!(ledger.log(saga).len(), 1);

        let latest = ledger.claim();
        for (epoch, lives) in [(former, false), (latest, true)] {
            let mut out = Vec::new();
            let log = ledger.log(saga);
            let of = (saga, Arc::clone(&graph));
            let resumed = Saga::resume(of, epoch, log, Time::ZERO, &mut out).unwrap();
            assert_eq!(resumed.state().input, input);
            for effect in out {
                let Effect::Append(entry) = effect else { panic!("nobody is asked yet") };
                let appended = ledger.append(saga, entry);
                let refused = Err(AppendError::Stale(latest));
                assert_eq!(appended, if lives { Ok(()) } else { refused });
            }
        }
    }
}
