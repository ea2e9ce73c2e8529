//! The logs of sagas that have ended, for who looks at one.
//!
//! They are part of the state, and of each snapshot, so there are few: what has ended is done with.
//! Those that completed do not push out those that did not, which are the ones that are looked at.

use std::collections::{BTreeMap, VecDeque};

use consensus_core::saga::{Entry, SagaId};
use serde::{Deserialize, Serialize};

use super::said::{Ending, weight};

/// How many logs are kept of sagas that completed, and as many of others.
const LOGS_MAX: usize = 1_024;
/// How many bytes the logs of either may take.
const LOG_BYTES_MAX: usize = 4 << 20;

/// The logs that are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Past {
    completed: Logs,
    undone: Logs,
}

/// Logs, the oldest of which make room for new ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Logs {
    logs: BTreeMap<SagaId, Vec<Entry>>,
    /// The oldest first.
    order: VecDeque<SagaId>,
    bytes: usize,
}

impl Past {
    /// Keeps the log of a saga that has ended so.
    pub(super) fn keep(&mut self, saga: SagaId, log: Vec<Entry>, ending: &Ending) {
        match ending {
            Ending::Completed(_) => self.completed.keep(saga, log),
            Ending::Compensated { .. } | Ending::Abandoned => self.undone.keep(saga, log),
        }
    }

    /// Returns the log of a saga; empty where none is kept.
    pub(super) fn log(&self, saga: SagaId) -> &[Entry] {
        let found = self.completed.logs.get(&saga).or_else(|| self.undone.logs.get(&saga));
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// Drops the log of a saga that is forgotten.
    pub(super) fn forget(&mut self, saga: SagaId) {
        self.completed.forget(saga);
        self.undone.forget(saga);
    }
}

impl Logs {
    fn keep(&mut self, saga: SagaId, log: Vec<Entry>) {
        let bytes = bytes(&log);
        // One that never began has none, and one that leaves no room is not worth all others.
        if log.is_empty() || bytes > LOG_BYTES_MAX {
            return;
        }
        self.bytes += bytes;
        self.logs.insert(saga, log);
        self.order.push_back(saga);
        while self.order.len() > LOGS_MAX || self.bytes > LOG_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.drop_log(oldest);
        }
    }

    fn forget(&mut self, saga: SagaId) {
        if self.logs.contains_key(&saga) {
            self.order.retain(|kept| *kept != saga);
            self.drop_log(saga);
        }
    }

    fn drop_log(&mut self, saga: SagaId) {
        let bytes = self.logs.remove(&saga).map_or(0, |log| bytes(&log));
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

fn bytes(log: &[Entry]) -> usize {
    log.iter().map(weight).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use consensus_core::saga::{Epoch, Record, Seq, StepId};

    use super::*;

    fn log(bytes: usize) -> Vec<Entry> {
        let output = Bytes::from(vec![0; bytes]);
        let record = Record::Done { step: StepId(0), output, attempts: 1 };
        vec![Entry { seq: Seq(1), epoch: Epoch(1), spent: Duration::ZERO, record }]
    }

    fn completed() -> Ending {
        Ending::Completed(Bytes::new())
    }

    // Goal: of sagas that ended the last logs are kept and no more, by their number and by their
    // bytes; those that completed leave those alone that did not.
    #[test]
    fn the_last_logs_are_kept() {
        let (mut past, undone) = (Past::default(), SagaId(u128::MAX));
        past.keep(undone, log(10), &Ending::Abandoned);
        let count = LOGS_MAX as u128;
        for number in 0..=count {
            past.keep(SagaId(number), log(10), &completed());
        }
        let kept = |past: &Past, saga: SagaId| !past.log(saga).is_empty();
        assert_eq!(past.completed.logs.len(), LOGS_MAX);
        assert!(!kept(&past, SagaId(0)) && kept(&past, SagaId(1)) && kept(&past, SagaId(count)));
        assert!(kept(&past, undone));

        let large = SagaId(count + 1);
        past.keep(large, log(LOG_BYTES_MAX - 1_000), &completed());
        assert!(kept(&past, large) && kept(&past, SagaId(count)) && !kept(&past, SagaId(1)));
        assert!(past.completed.bytes <= LOG_BYTES_MAX);
        past.keep(SagaId(count + 2), log(LOG_BYTES_MAX), &completed());
        assert!(kept(&past, large) && !kept(&past, SagaId(count + 2)), "it leaves no room");
    }

    // Goal: what is forgotten takes no room any more.
    #[test]
    fn a_log_that_is_forgotten_takes_no_room() {
        let mut past = Past::default();
        for (saga, ending) in [(SagaId(1), completed()), (SagaId(2), Ending::Abandoned)] {
            past.keep(saga, log(10), &ending);
            past.forget(saga);
            assert_eq!(past.log(saga), []);
        }
        for logs in [&past.completed, &past.undone] {
            assert_eq!((logs.logs.len(), logs.order.len(), logs.bytes), (0, 0, 0));
        }
    }
}
