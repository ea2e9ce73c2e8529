//! Which records are still needed, and so which segments are.
//!
//! Segments go from the oldest on, so that what is left is always an unbroken end of what was
//! written: each group's records stay consecutive, whichever of them are gone.

use std::collections::{BTreeMap, VecDeque};

use crate::process::{GroupId, Token};

/// How far a group has come; all tokens are those of the first record beyond.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Appended, durable or not.
    appended: Token,
    durable: Token,
    /// Released in so far as it may be acted upon.
    released: Token,
    /// Released by a record that may not be durable yet.
    asked: Token,
}

impl Progress {
    /// Lets a release take effect unless the record that it names, which replaces the older ones,
    /// may yet be lost.
    fn settle(&mut self) -> bool {
        let named_is_staged = self.durable <= self.asked && self.asked < self.appended;
        let settles = !named_is_staged && self.released < self.asked;
        if settles {
            self.released = self.asked;
        }
        settles
    }
}

/// A segment that nothing is written to any more.
#[derive(Debug)]
struct Closed {
    number: u64,
    /// How far each group had come when it was closed.
    ends: Vec<(GroupId, Token)>,
}

/// The progress of all groups, and the segments before the present one.
#[derive(Debug, Default)]
pub(super) struct Retention {
    groups: BTreeMap<GroupId, Progress>,
    closed: VecDeque<Closed>,
    /// Whether a release took effect since the segments were last looked at.
    changed: bool,
}

impl Retention {
    /// Returns the token that the next record of `group` must have; `None` if any will do.
    pub(super) fn expected(&self, group: GroupId) -> Option<Token> {
        self.groups.get(&group).map(|progress| progress.appended)
    }

    /// Notes that a record is staged.
    pub(super) fn append(&mut self, group: GroupId, token: Token) {
        let next = after(token);
        let fresh = Progress { appended: next, durable: token, released: token, asked: token };
        self.groups.entry(group).or_insert(fresh).appended = next;
    }

    /// Notes that a record is durable.
    pub(super) fn persist(&mut self, group: GroupId, token: Token) {
        if let Some(progress) = self.groups.get_mut(&group) {
            progress.durable = after(token);
            self.changed |= progress.settle();
        }
    }

    /// Notes that the records of `group` before `before` are not needed any more.
    pub(super) fn release(&mut self, group: GroupId, before: Token) {
        if let Some(progress) = self.groups.get_mut(&group) {
            progress.asked = progress.asked.max(before.min(progress.appended));
            self.changed |= progress.settle();
        }
    }

    /// Notes that segment `number` is complete, and holds nothing beyond what is durable now.
    pub(super) fn close(&mut self, number: u64) {
        let ends = self.groups.iter().map(|(group, progress)| (*group, progress.durable)).collect();
        self.closed.push_back(Closed { number, ends });
        self.changed = true;
    }

    /// Removes and returns the oldest closed segment if none of its records is needed.
    pub(super) fn pop_released(&mut self) -> Option<u64> {
        if !self.changed {
            return None;
        }
        let is_released = |(group, end): &(GroupId, Token)| {
            self.groups.get(group).is_none_or(|progress| *end <= progress.released)
        };
        let oldest = self.closed.front().filter(|oldest| oldest.ends.iter().all(is_released));
        let number = oldest.map(|oldest| oldest.number);
        match number {
            Some(_) => drop(self.closed.pop_front()),
            None => self.changed = false,
        }
        number
    }

    /// Returns the oldest closed segment, and the groups that need it.
    pub(super) fn holders(&self) -> Option<(u64, Vec<GroupId>)> {
        let oldest = self.closed.front()?;
        let needs = |(group, end): &(GroupId, Token)| {
            self.groups.get(group).is_some_and(|progress| *end > progress.released)
        };
        let holders = oldest.ends.iter().copied().filter(needs).map(|(group, _)| group);
        Some((oldest.number, holders.collect()))
    }

    /// Returns how many segments there are besides the present one.
    pub(super) fn closed(&self) -> usize {
        self.closed.len()
    }
}

/// Returns the token after `token`, which saturates: damaged bytes may name any token.
fn after(token: Token) -> Token {
    Token(token.0.saturating_add(1))
}
