//! A replica's log in memory.

use super::message::{Entry, Term};
use crate::{log::Index, remains::Remains};

/// The entries of a replica, contiguous from `base` + 1.
///
/// `base` is zero until snapshots compact the log; then it is the last index that was let go, no
/// later than the snapshot's, and `base_term` its term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    base: Index,
    base_term: Term,
    entries: Vec<Entry>,
    /// The bytes of all payloads.
    bytes: usize,
    remains: Remains<Entry>,
}

/// What a log knows of the term at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermAt {
    /// The entry is there, or is the last one of the snapshot.
    Known(Term),
    /// The entry was compacted: it is committed, hence equal on every replica.
    Compacted,
    /// The log ends before.
    Absent,
}

impl Log {
    /// Returns the index before the first entry.
    pub fn base(&self) -> Index {
        self.base
    }

    /// Returns the bytes of all commands in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the last index, [`Index::ZERO`] while the log is empty.
    pub fn last_index(&self) -> Index {
        Index(self.base.0 + self.entries.len() as u64)
    }

    /// Returns the term of the last entry.
    pub fn last_term(&self) -> Term {
        self.entries.last().map_or(self.base_term, |entry| entry.term)
    }

    /// Tells the term of the entry at `index`; index zero has term zero.
    pub fn term_at(&self, index: Index) -> TermAt {
        if index < self.base {
            return TermAt::Compacted;
        }
        if index == self.base {
            return TermAt::Known(self.base_term);
        }
        self.get(index).map_or(TermAt::Absent, |entry| TermAt::Known(entry.term))
    }

    /// Tells whether the entry at `index` is known to be of `term`.
    pub fn matches(&self, index: Index, term: Term) -> bool {
        match self.term_at(index) {
            TermAt::Known(known) => known == term,
            // What was compacted is committed, and so is whatever a leader of a later term holds
            // there.
            TermAt::Compacted => true,
            TermAt::Absent => false,
        }
    }

    /// Returns the entry at `index`.
    pub fn get(&self, index: Index) -> Option<&Entry> {
        let offset = index.0.checked_sub(self.base.0 + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// Returns the entries from `first` on: at least one if there is one, and no more than fill
    /// `bytes_max`.
    pub fn batch(&self, first: Index, bytes_max: usize) -> &[Entry] {
        let rest = self.from(first);
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|entry| {
            let fits = bytes < bytes_max;
            bytes += entry.payload.size();
            fits
        });
        let count = fitting.count();
        rest.get(..count).unwrap_or_default()
    }

    /// Returns all entries from `first` on.
    pub fn from(&self, first: Index) -> &[Entry] {
        let offset = first.0.saturating_sub(self.base.0 + 1);
        usize::try_from(offset).ok().and_then(|at| self.entries.get(at..)).unwrap_or_default()
    }

    /// Returns the bytes of the commands after `index`.
    pub(super) fn bytes_after(&self, index: Index) -> usize {
        self.from(index.next()).iter().map(|entry| entry.payload.size()).sum()
    }

    /// Returns the largest index up to `limit` whose entry is of `term` or an earlier one, and its
    /// term.
    pub fn last_not_after(&self, term: Term, limit: Index) -> (Index, Term) {
        let mut index = limit.min(self.last_index());
        while let TermAt::Known(known) = self.term_at(index) {
            if known <= term || index == self.base {
                return (index, known);
            }
            index = index.previous();
        }
        (self.base, self.base_term)
    }

    /// Returns the largest index at which a log whose entry at `hint` is of `hint_term` may agree
    /// with this one. It lies before the first entry where that is not known to be (S9).
    pub fn may_agree(&self, hint: Index, hint_term: Term) -> Index {
        let (index, term) = self.last_not_after(hint_term, hint);
        if term > hint_term { index.previous().min(hint) } else { index.min(hint) }
    }

    /// Appends an entry and returns its index.
    pub(super) fn push(&mut self, entry: Entry) -> Index {
        self.bytes += entry.payload.size();
        self.entries.push(entry);
        self.remains.shrink();
        self.last_index()
    }

    /// Drops every entry after `index`.
    pub(super) fn truncate_after(&mut self, index: Index) {
        assert!(index >= self.base, "what was compacted is committed and never truncated");
        let dropped = self.entries.drain((index.0 - self.base.0) as usize..);
        self.bytes -= dropped.map(|entry| entry.payload.size()).sum::<usize>();
    }

    /// Lets go of every entry up to `index`, which must be in the log.
    pub(super) fn compact(&mut self, index: Index) {
        let TermAt::Known(term) = self.term_at(index) else { return };
        // As many will come again.
        let mut kept = Vec::with_capacity(self.entries.len());
        kept.extend(self.entries.drain((index.0 - self.base.0) as usize..));
        self.replace(kept);
        (self.base, self.base_term) = (index, term);
    }

    /// Drops everything: what comes next follows `index` of `term`.
    pub(super) fn reset(&mut self, index: Index, term: Term) {
        self.replace(Vec::new());
        (self.base, self.base_term) = (index, term);
    }

    /// Keeps no more than these.
    fn replace(&mut self, kept: Vec<Entry>) {
        self.bytes = kept.iter().map(|entry| entry.payload.size()).sum();
        self.remains.add(std::mem::replace(&mut self.entries, kept).into());
    }

    /// Drops some of what was let go of.
    pub(super) fn on_tick(&mut self) {
        self.remains.on_tick();
    }

    /// Tells whether what was let go of is gone, or may go at once.
    pub(super) fn is_tidy(&self) -> bool {
        self.remains.are_few()
    }

    /// Drops all that was let go of.
    pub(super) fn tidy(&mut self) {
        self.remains.clear();
    }

    /// Returns the lowest index after which at most `entries_max` entries, and about `bytes_max`,
    /// lie up to `index`.
    pub(super) fn tail(&self, index: Index, entries_max: u64, bytes_max: usize) -> Index {
        let (mut at, mut bytes) = (index, 0);
        while at > self.base && index.0 - at.0 < entries_max && bytes < bytes_max {
            bytes += self.get(at).map_or(0, |entry| entry.payload.size());
            at = at.previous();
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::message::Payload;

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for term in terms {
            log.push(Entry {
                term: Term(*term),
                payload: Payload::Command(Bytes::from_static(b"12345678")),
            });
        }
        log
    }

    // Goal: the term is known at zero and inside, and absent behind the end.
    #[test]
    fn term_is_known_up_to_the_last_index() {
        let log = log(&[1, 1, 3]);
        assert_eq!(log.term_at(Index::ZERO), TermAt::Known(Term(0)));
        assert_eq!(log.term_at(Index(3)), TermAt::Known(Term(3)));
        assert_eq!(log.term_at(Index(4)), TermAt::Absent);
    }

    // Goal: a batch holds one entry however large, and stops when it is full.
    #[test]
    fn batch_is_bounded_and_never_empty() {
        let log = log(&[1, 1, 1, 1]);
        assert_eq!(log.batch(Index(1), 1).len(), 1);
        assert_eq!(log.batch(Index(2), 9).len(), 2);
        assert_eq!(log.batch(Index(1), 1_000).len(), 4);
        assert_eq!(log.batch(Index(5), 1_000).len(), 0);
    }

    // Goal: what is compacted is known to be, the last of it by its term, and the rest stays.
    #[test]
    fn compaction_keeps_what_follows() {
        let mut log = log(&[1, 2, 2, 5]);
        log.compact(Index(2));
        assert_eq!((log.base(), log.last_index(), log.bytes()), (Index(2), Index(4), 16));
        assert_eq!(log.term_at(Index(1)), TermAt::Compacted);
        assert_eq!(log.term_at(Index(2)), TermAt::Known(Term(2)));
        log.truncate_after(Index(2));
        assert_eq!((log.last_term(), log.bytes()), (Term(2), 0));
        log.reset(Index(9), Term(7));
        assert_eq!((log.last_index(), log.last_term()), (Index(9), Term(7)));
    }

    // Goal: a tail is bounded by its count and by its bytes, and ends with the log.
    #[test]
    fn tail_is_bounded() {
        let log = log(&[1, 1, 1, 1]);
        assert_eq!(log.tail(Index(4), 2, 1_000), Index(2));
        assert_eq!(log.tail(Index(4), 100, 9), Index(2));
        assert_eq!(log.tail(Index(3), 100, 1_000), Index::ZERO);
        assert_eq!(log.tail(Index(3), 0, 1_000), Index(3));
    }

    // Goal: a log that lacks what was let go here, or has another entry at its end, is known to
    // need a snapshot (S9).
    #[test]
    fn agreement_may_lie_before_the_first_entry() {
        let mut log = log(&[1, 3, 3, 4]);
        log.compact(Index(2));
        assert_eq!(log.may_agree(Index(3), Term(3)), Index(3));
        assert_eq!(log.may_agree(Index(2), Term(3)), Index(2));
        assert_eq!(log.may_agree(Index(2), Term(1)), Index(1));
        assert_eq!(log.may_agree(Index(1), Term(1)), Index(1));
        assert_eq!(log.may_agree(Index::ZERO, Term(0)), Index::ZERO);
    }

    // Goal: the hint skips whole terms that the leader cannot have (5.3).
    #[test]
    fn hint_skips_later_terms() {
        let log = log(&[1, 2, 2, 5, 5]);
        assert_eq!(log.last_not_after(Term(3), Index(9)), (Index(3), Term(2)));
        assert_eq!(log.last_not_after(Term(1), Index(5)), (Index(1), Term(1)));
        assert_eq!(log.last_not_after(Term(0), Index(5)), (Index::ZERO, Term(0)));
    }
}
