//! Who holds which keys, and who waits for them: semantic locks, which keep other sagas from what
//! one has half done (Garcia-Molina and Salem, "Sagas", 1987; Frank and Zahle, 1998).
//!
//! A saga enters the queues of all its keys at once, in the order of the log, and holds them when it
//! is the first in each: sagas that name their keys when they begin never wait for each other in a
//! circle. The steps of a saga that are sagas hold what they name for it, until it has ended; such
//! a one comes later, and if it closed a circle it does not enter.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{barrier::SagaId, mutant::Mutant};
use crate::mutants::Bugs;

/// The queue of each key: the first holds it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Queues {
    queues: BTreeMap<String, VecDeque<SagaId>>,
    keys: BTreeMap<SagaId, BTreeSet<String>>,
    #[serde(skip)]
    bugs: Bugs<Mutant>,
}

impl Queues {
    /// Makes them with known bugs, if any were put back.
    pub(super) fn with_bugs(bugs: Bugs<Mutant>) -> Self {
        Self { bugs, ..Self::default() }
    }

    /// Tells whether nobody holds anything.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns which of these keys others hold or wait for, and who holds it.
    pub(super) fn taken<'a>(&self, saga: SagaId, keys: &'a [String]) -> Option<(&'a str, SagaId)> {
        keys.iter().find_map(|key| {
            let mut ahead = self.ahead(saga, key);
            Some((key.as_str(), ahead.next()?))
        })
    }

    /// Returns a key that it waits for, and who holds it.
    pub(super) fn waits(&self, saga: SagaId) -> Option<(&str, SagaId)> {
        let keys = self.keys.get(&saga)?;
        // Whoever is ahead counts, also where it waits for another key itself (29).
        let counts =
            |other: &SagaId| !self.bugs.has(Mutant::Overtakes) || self.is_first_for_all(*other);
        keys.iter().find_map(|key| Some((key.as_str(), self.ahead(saga, key).find(counts)?)))
    }

    /// Tells whether nobody comes before it for any key.
    fn is_first_for_all(&self, saga: SagaId) -> bool {
        let mut keys = self.keys.get(&saga).into_iter().flatten();
        keys.all(|key| self.ahead(saga, key).next().is_none())
    }

    /// Returns all who come before it for its keys.
    pub(super) fn all_ahead(&self, saga: SagaId) -> BTreeSet<SagaId> {
        let keys = self.keys.get(&saga).into_iter().flatten();
        keys.flat_map(|key| self.ahead(saga, key)).collect()
    }

    /// Returns who comes before it for a key.
    fn ahead(&self, saga: SagaId, key: &str) -> impl Iterator<Item = SagaId> {
        let queue = self.queues.get(key).into_iter().flatten();
        queue.copied().take_while(move |other| *other != saga)
    }

    /// Tells whether it waited for itself if it waited for these keys, too.
    pub(super) fn closes_circle(&self, saga: SagaId, keys: &[String]) -> bool {
        if self.bugs.has(Mutant::CircleUnseen) {
            return false;
        }
        let mut seen = BTreeSet::new();
        let mut next: Vec<SagaId> = keys.iter().flat_map(|key| self.ahead(saga, key)).collect();
        while let Some(other) = next.pop() {
            if other == saga {
                return true;
            }
            if seen.insert(other) {
                let keys = self.keys.get(&other).into_iter().flatten();
                next.extend(keys.flat_map(|key| self.ahead(other, key)));
            }
        }
        false
    }

    /// Adds it to the queues of keys in which it is not yet.
    pub(super) fn enter(&mut self, saga: SagaId, keys: Vec<String>) {
        for key in keys {
            let queue = self.queues.entry(key.clone()).or_default();
            if self.keys.entry(saga).or_default().insert(key) {
                queue.push_back(saga);
            }
        }
    }

    /// Takes it out of all; returns who was behind it.
    pub(super) fn leave(&mut self, saga: SagaId) -> BTreeSet<SagaId> {
        let mut behind = BTreeSet::new();
        for key in self.keys.remove(&saga).unwrap_or_default() {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            behind.extend(queue.iter().copied().skip_while(|other| *other != saga).skip(1));
            queue.retain(|other| *other != saga);
            if queue.is_empty() {
                self.queues.remove(&key);
            }
        }
        behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    // Goal: who comes first for all its keys holds them, and who waits for any of them holds none
    // back that it does not wait for.
    #[test]
    fn keys_are_held_in_the_order_of_arrival() {
        let [a, b, c] = [1, 2, 3].map(SagaId);
        let mut queues = Queues::default();
        queues.enter(a, keys("x y"));
        queues.enter(b, keys("y z"));
        queues.enter(c, keys("z"));
        assert_eq!(queues.waits(a), None);
        assert_eq!(queues.waits(b), Some(("y", a)));
        assert_eq!(queues.waits(c), Some(("z", b)), "nobody overtakes");
        assert_eq!(queues.leave(a), BTreeSet::from([b]));
        assert_eq!(queues.waits(b), None);
        assert_eq!(queues.leave(b), BTreeSet::from([c]));
        assert_eq!(queues.waits(c), None);
        assert_eq!(queues.leave(c), BTreeSet::new());
        assert!(queues.queues.is_empty() && queues.keys.is_empty());
    }

    // Goal: a circle is seen, through any number of others, and none where there is none.
    #[test]
    fn circles_are_seen() {
        let [a, b, c] = [1, 2, 3].map(SagaId);
        let mut queues = Queues::default();
        for (saga, key) in [(a, "x"), (b, "y"), (c, "z")] {
            queues.enter(saga, keys(key));
        }
        for (saga, key) in [(a, "y"), (b, "z")] {
            assert!(!queues.closes_circle(saga, &keys(key)));
            queues.enter(saga, keys(key));
        }
        assert!(queues.closes_circle(c, &keys("x")));
        assert!(queues.closes_circle(c, &keys("y")));
        assert!(!queues.closes_circle(c, &keys("z w")), "what it holds already");
        queues.leave(b);
        assert!(!queues.closes_circle(c, &keys("y")));
    }
}
