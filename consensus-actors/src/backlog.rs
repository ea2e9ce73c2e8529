//! What is decided and not carried out yet: bounded, since a replica may apply more slowly than its
//! group decides.

use std::collections::VecDeque;

use consensus_core::Decided;

use crate::role::Decision;

/// How many entries may wait before the protocol is to take no more.
const ENTRIES_MAX: usize = 1 << 18;

/// How many bytes of commands may.
const BYTES_MAX: usize = 256 << 20;

/// Decisions in order, and what there is to apply in them.
#[derive(Default)]
pub(crate) struct Backlog {
    decisions: VecDeque<Decision>,
    entries: usize,
    bytes: usize,
    is_behind: bool,
}

impl Backlog {
    /// Tells whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.decisions.is_empty()
    }

    /// Adds what was decided.
    pub(crate) fn extend(&mut self, decisions: Vec<Decision>) {
        for decision in &decisions {
            if let Decision::Apply(decided) = decision {
                self.entries += decided.len();
                self.bytes += decided.as_slice().iter().map(size).sum::<usize>();
            }
        }
        self.decisions.extend(decisions);
    }

    /// Takes the oldest decision.
    pub(crate) fn pop(&mut self) -> Option<Decision> {
        self.decisions.pop_front()
    }

    /// Puts back what is left of the oldest decision.
    pub(crate) fn put_back(&mut self, rest: Decision) {
        self.decisions.push_front(rest);
    }

    /// Notes that an entry is about to be applied.
    pub(crate) fn on_apply(&mut self, entry: &Decided) {
        self.entries -= 1;
        self.bytes -= size(entry);
    }

    /// Tells whether too much waits, when that has changed: until only half of it is left.
    pub(crate) fn turns(&mut self) -> Option<bool> {
        let share = if self.is_behind { 2 } else { 1 };
        let is_behind = self.entries > ENTRIES_MAX / share || self.bytes > BYTES_MAX / share;
        let was_behind = std::mem::replace(&mut self.is_behind, is_behind);
        (was_behind != is_behind).then_some(is_behind)
    }
}

fn size(entry: &Decided) -> usize {
    entry.command.as_ref().map_or(0, bytes::Bytes::len)
}
