//! Which records the log rests on: those without which a restart would not find it.

use std::collections::VecDeque;

use crate::{log::Index, process::Token};

/// The record of the snapshot, and those of the entries that follow it.
#[derive(Clone, Debug, Default)]
pub(super) struct Footing {
    snapshot: Option<Token>,
    /// Records that hold entries of the log, each with the index that they follow: both ascend.
    entries: VecDeque<(Token, Index)>,
}

impl Footing {
    /// Notes a record of entries that follow `after`, and replace what followed it.
    pub(super) fn append(&mut self, token: Token, after: Index) {
        while self.entries.pop_back_if(|(_, former)| *former >= after).is_some() {}
        self.entries.push_back((token, after));
    }

    /// Notes the record of a snapshot up to `index` of a log that ends at `last`.
    pub(super) fn cover(&mut self, token: Token, index: Index, last: Index) {
        self.snapshot = Some(token);
        // The entries of a record end where those of the next begin.
        while self.entries.get(1).is_some_and(|(_, after)| *after <= index) {
            self.entries.pop_front();
        }
        if last <= index {
            self.entries.clear();
        }
    }

    /// Forgets all entries.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Returns the oldest record that the log rests on.
    pub(super) fn oldest(&self) -> Option<Token> {
        let first = self.entries.front().map(|(token, _)| *token);
        [first, self.snapshot].into_iter().flatten().min()
    }

    /// Returns the record that must be durable before those older than [`oldest`](Self::oldest) may
    /// go: what came in their place may be younger than what stays.
    pub(super) fn replacement(&self) -> Option<Token> {
        let first = self.entries.front().map(|(token, _)| *token);
        [first, self.snapshot].into_iter().flatten().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a record is let go when all its entries are replaced, or covered by a snapshot.
    #[test]
    fn a_record_goes_when_its_entries_do() {
        let mut footing = Footing::default();
        for (token, after) in [(1, 0), (2, 3), (3, 5), (4, 4)] {
            footing.append(Token(token), Index(after));
        }
        assert_eq!(footing.oldest(), Some(Token(1)));
        footing.cover(Token(5), Index(3), Index(9));
        assert_eq!((footing.oldest(), footing.replacement()), (Some(Token(2)), Some(Token(5))));
        footing.cover(Token(6), Index(9), Index(9));
        assert_eq!(footing.oldest(), Some(Token(6)));
    }
}
