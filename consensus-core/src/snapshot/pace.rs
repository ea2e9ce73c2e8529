//! When the next snapshot is due.

use super::Saved;
use crate::log::Index;

/// The longest snapshot that is taken whatever came since: it takes milliseconds to write.
const SMALL_BYTES: u64 = 1 << 20;

/// After how much a snapshot is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// So many entries.
    pub(crate) entries: u64,
    /// So many bytes of commands.
    pub(crate) bytes: usize,
}

/// What was decided when a snapshot was taken last, and the bytes that were since.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Pace {
    tried: Index,
    fresh_bytes: usize,
}

impl Pace {
    /// Notes that one is taken of all up to `at`: the next is due so much later.
    pub(crate) fn take(&mut self, at: Index) {
        (self.tried, self.fresh_bytes) = (at, 0);
    }

    /// Notes that there is one of all up to `at`, from wherever it came.
    pub(crate) fn cover(&mut self, at: Index) {
        self.tried = self.tried.max(at);
    }

    /// Counts newly decided `bytes`, up to the entry at `upto`, and tells whether a snapshot is due.
    ///
    /// After a `last` one that is not small, it is not before as many bytes of commands have come as
    /// that has, so that no more is written for snapshots than for the log (Ongaro's dissertation,
    /// 5.1.3); where it is very large, four times those that one is due after.
    pub(crate) fn advance(
        &mut self,
        bytes: usize,
        upto: Index,
        due: Due,
        last: Option<&Saved>,
    ) -> bool {
        self.fresh_bytes = self.fresh_bytes.saturating_add(bytes);
        let since = upto.0.saturating_sub(self.tried.0);
        let (length, fresh) = (last.map_or(0, |saved| saved.length), self.fresh_bytes as u64);
        let repays = length <= SMALL_BYTES || fresh >= length.min(4 * due.bytes as u64);
        since > 0 && (since >= due.entries || self.fresh_bytes >= due.bytes) && repays
    }
}
