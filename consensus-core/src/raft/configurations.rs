//! The configurations that a log holds (dissertation 4.1).
//!
//! A configuration takes effect when its entry is appended, committed or not, and ceases to when the
//! entry is dropped.

use crate::{log::Index, membership::Membership};

/// The configuration that the log starts from, and those of its entries, in their order.
#[derive(Clone, Debug)]
pub(super) struct Configurations {
    /// Never empty: the first is that which stood before the log's first entry.
    list: Vec<(Index, Membership)>,
}

impl Configurations {
    /// Starts from the configuration that stood at `index`, before the first entry of the log.
    pub(super) fn new(index: Index, membership: Membership) -> Self {
        Self { list: vec![(index, membership)] }
    }

    /// Returns the latest one, and where it stands in the log.
    pub(super) fn latest(&self) -> (Index, &Membership) {
        let (index, membership) = self.list.last().expect("the first one is never dropped");
        (*index, membership)
    }

    /// Returns the one that stood at `index`.
    pub(super) fn at(&self, index: Index) -> &Membership {
        let known = self.list.iter().rev().find(|(at, _)| *at <= index);
        known.map_or_else(|| self.latest().1, |(_, membership)| membership)
    }

    /// Notes that the entry at `index` holds `membership`.
    pub(super) fn push(&mut self, index: Index, membership: Membership) {
        self.list.push((index, membership));
    }

    /// Drops those of entries after `index`.
    pub(super) fn truncate_after(&mut self, index: Index) {
        let kept = self.list.iter().take_while(|(at, _)| *at <= index).count();
        self.list.truncate(kept.max(1));
    }
}
