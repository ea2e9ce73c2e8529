//! What was let go of, and is dropped little by little.
//!
//! A snapshot lets go of a hundred thousand entries at a time. Dropped at once they would halt their
//! group for tens of milliseconds, and leave so much free memory in so many pieces that whoever asks
//! for some next waits again.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    mem,
};

/// Things that nobody needs any more: no part of the state that they belonged to.
#[derive(Debug)]
pub(crate) struct Remains<T>(VecDeque<T>);

/// How many go while one comes: whatever is let go of is gone before as much has come again.
const PER_NEW: usize = 2;

/// How many go when the clock ticks: while nothing comes, too, they are to be gone within seconds.
const PER_TICK: usize = 1_024;

impl<T> Remains<T> {
    /// Adds things.
    pub(crate) fn add(&mut self, mut things: VecDeque<T>) {
        if self.0.is_empty() {
            self.0 = things;
        } else {
            self.0.append(&mut things);
        }
    }

    /// Drops some, as something new comes to what they belonged to.
    pub(crate) fn shrink(&mut self) {
        if !self.0.is_empty() {
            self.drop_some(PER_NEW);
        }
    }

    /// Drops some, as the clock ticks.
    pub(crate) fn on_tick(&mut self) {
        if !self.0.is_empty() {
            self.drop_some(PER_TICK);
        }
    }

    /// Tells whether there are no more of them than may go at once.
    pub(crate) fn are_few(&self) -> bool {
        self.0.len() <= PER_TICK
    }

    /// Drops all: nothing will come, and no clock tick.
    pub(crate) fn clear(&mut self) {
        mem::take(&mut self.0);
    }

    fn drop_some(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
        if self.0.is_empty() {
            // Their room goes, too.
            mem::take(&mut self.0);
        }
    }
}

impl<T> Default for Remains<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Clone for Remains<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> PartialEq for Remains<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Remains<T> {}

impl<T> Hash for Remains<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    // Goal: what is let go of goes little by little, and is all gone before as much has come again,
    // or soon if nothing comes.
    #[test]
    fn remains_go_little_by_little() {
        let thing = Rc::new(());
        let many = |count| std::iter::repeat_n(Rc::clone(&thing), count).collect::<VecDeque<_>>();
        let mut remains = Remains::default();
        remains.add(many(100));
        remains.shrink();
        assert_eq!(Rc::strong_count(&thing), 1 + 100 - PER_NEW);
        (1..50).for_each(|_| remains.shrink());
        assert_eq!(Rc::strong_count(&thing), 1);

        remains.add(many(1_000));
        remains.add(many(1_000));
        remains.on_tick();
        assert_eq!(Rc::strong_count(&thing), 1 + 2_000 - PER_TICK);
        assert!(remains.are_few());
        remains.on_tick();
        assert_eq!(Rc::strong_count(&thing), 1);

        remains.add(many(PER_TICK + 1));
        assert!(!remains.are_few());
        remains.clear();
        assert_eq!(Rc::strong_count(&thing), 1);
    }
}
