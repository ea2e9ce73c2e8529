//! Tables by numbers of our own making: found at once, and listed in their order alone.

#![expect(clippy::disallowed_types, reason = "nothing outside sees the order of the entries")]

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// A table by numbers that this process draws one after the other, such as calls and tickets.
///
/// They need no hash that withstands an adversary: who cannot choose them cannot make them collide.
#[derive(Clone)]
pub struct Table<K, V>(HashMap<K, V, BuildHasherDefault<Spread>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: fmt::Debug + Copy + Ord + Hash, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keys().iter().map(|key| (key, self.get(*key)))).finish()
    }
}

impl<K: Copy + Ord + Hash, V> Table<K, V> {
    /// Adds a value; returns the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        self.0.remove(&key)
    }

    /// Returns a value.
    pub fn get(&self, key: K) -> Option<&V> {
        self.0.get(&key)
    }

    /// Returns a value, to be changed.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.0.get_mut(&key)
    }

    /// Tells whether there is such a value.
    pub fn contains(&self, key: K) -> bool {
        self.0.contains_key(&key)
    }

    /// Returns how many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all values, in no order that means anything.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values()
    }

    /// Returns all keys, ascending.
    pub fn keys(&self) -> Vec<K> {
        self.keys_where(|_| true)
    }

    /// Returns the keys of some values, ascending.
    pub fn keys_where(&self, is_one: impl Fn(&V) -> bool) -> Vec<K> {
        let ones = self.0.iter().filter(|(_, value)| is_one(value));
        let mut keys: Vec<K> = ones.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// Takes all values out, in the order of their keys.
    pub fn drain(&mut self) -> Vec<(K, V)> {
        let mut all: Vec<_> = self.0.drain().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all
    }
}

/// Spreads consecutive numbers over a table: by the golden ratio (Knuth, volume 3, 6.4).
#[derive(Clone, Copy, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: what was put in is found, and all is listed in the order of the keys.
    #[test]
    fn keys_ascend() {
        let mut table = Table::default();
        for key in [5_u64, 1, 900, 2] {
            assert_eq!(table.insert(key, key * 10), None);
        }
        assert_eq!((table.remove(1), table.get(1), table.len()), (Some(10), None, 3));
        assert_eq!(table.keys(), [2, 5, 900]);
        assert_eq!(table.keys_where(|value| *value > 20), [5, 900]);
        assert_eq!(table.drain(), [(2, 20), (5, 50), (900, 9_000)]);
        assert!(table.is_empty());
    }
}
