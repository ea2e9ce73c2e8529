//! What a leader knows of one follower's log.

use std::collections::VecDeque;

use bytes::Bytes;

use super::feeding::Feeding;
use crate::{
    log::Index,
    snapshot::{Manifest, Saved, SnapshotId},
};

/// A follower's progress. `matched` < `next` always.
///
/// ```text
///             Matched                Conflict, no progress, or silence
///   Probe ----------------> Replicate -------------------------------> Probe
///   Probe, Replicate -----------------> Snapshot --------------------> Probe
///             what comes next was let go         all is there, or silence
/// ```
#[derive(Clone, Debug, Hash)]
pub struct Progress {
    /// The last index at which the follower's log is known to agree, durably.
    matched: Index,
    /// The next index to send.
    next: Index,
    pace: Pace,
    /// How many heartbeat intervals passed since the follower said how far it is, while it owed an
    /// answer; counted up to [`LOST_AFTER`].
    age: u8,
    /// The latest read round that the follower answered.
    round: u64,
}

#[derive(Clone, Debug, Hash)]
enum Pace {
    /// One Append at a time, to find where the logs agree.
    Probe {
        /// Whether that one is on its way.
        sent: bool,
    },
    /// Appends follow each other without waiting.
    Replicate {
        /// The last index and the bytes of each Append that is not answered yet.
        in_flight: VecDeque<(Index, usize)>,
        bytes: usize,
    },
    /// A snapshot is sent in the place of entries that the leader has let go.
    Snapshot(Feeding),
}

/// How much a follower may owe an answer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Appends.
    pub(super) appends: usize,
    /// Bytes of commands in them; the last Append may exceed them.
    pub(super) bytes: usize,
}

/// Who answers heartbeats, and for so many intervals no Append, has not got what is in flight: a
/// heartbeat that left after it was answered.
const LOST_AFTER: u8 = 2;

impl Progress {
    /// Starts to probe a follower of whom nothing is known but that it may hold all up to `last`.
    pub(super) fn new(last: Index) -> Self {
        Self {
            matched: Index::ZERO,
            next: last.next(),
            pace: Pace::Probe { sent: false },
            age: 0,
            round: 0,
        }
    }

    /// Takes the logs to agree up to `last` without a word of the follower's, as a known bug does.
    pub(super) fn assume(&mut self, last: Index) {
        self.matched = last;
    }

    /// Returns the last index at which the follower's log is known to agree.
    pub fn matched(&self) -> Index {
        self.matched
    }

    /// Returns the next index to send.
    pub fn next(&self) -> Index {
        self.next
    }

    /// Returns the latest read round that the follower answered.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// Tells whether an Append may go out while the log ends at `last` and `window` may be in
    /// flight.
    pub(super) fn may_send(&self, last: Index, window: Window) -> bool {
        match &self.pace {
            Pace::Probe { sent } => !sent,
            Pace::Replicate { in_flight, bytes } => {
                self.next <= last && in_flight.len() < window.appends && *bytes < window.bytes
            }
            Pace::Snapshot(_) => false,
        }
    }

    /// Notes that an Append up to `last` went out, with so many bytes of commands.
    pub(super) fn on_sent(&mut self, last: Index, size: usize) {
        if !self.owes() {
            self.age = 0;
        }
        match &mut self.pace {
            Pace::Probe { sent } => *sent = true,
            Pace::Replicate { in_flight, bytes } => {
                in_flight.push_back((last, size));
                *bytes += size;
                self.next = last.next();
            }
            Pace::Snapshot(_) => {}
        }
    }

    /// Tells whether the follower owes an answer to an Append.
    fn owes(&self) -> bool {
        match &self.pace {
            Pace::Probe { sent } => *sent,
            Pace::Replicate { in_flight, .. } => !in_flight.is_empty(),
            Pace::Snapshot(_) => false,
        }
    }

    /// Notes that the follower's log agrees up to `index`.
    pub(super) fn on_matched(&mut self, index: Index) {
        if index > self.matched {
            self.matched = index;
        }
        self.age = 0;
        match &mut self.pace {
            Pace::Probe { .. } => {
                self.next = self.matched.next();
                self.pace = Pace::Replicate { in_flight: VecDeque::new(), bytes: 0 };
            }
            Pace::Replicate { in_flight, bytes } => {
                self.next = self.next.max(self.matched.next());
                in_flight.retain(|(last, _)| *last > index);
                *bytes = in_flight.iter().map(|(_, size)| size).sum();
            }
            Pace::Snapshot(_) => self.next = self.next.max(self.matched.next()),
        }
        assert!(self.matched < self.next, "what is matched needs no sending (RAFT-P30)");
    }

    /// Tells whether a refusal of the Append after `refused` says something new.
    pub(super) fn is_news(&self, refused: Index) -> bool {
        match self.pace {
            Pace::Probe { .. } => refused == self.next.previous(),
            Pace::Replicate { .. } => refused > self.matched,
            // It answers what was sent before.
            Pace::Snapshot(_) => false,
        }
    }

    /// Goes back to where the logs may agree and probes from there.
    pub(super) fn on_conflict(&mut self, agree: Index) {
        self.next = agree.max(self.matched).next();
        self.pace = Pace::Probe { sent: false };
        self.age = 0;
    }

    /// Notes that a heartbeat interval has passed.
    pub(super) fn on_interval(&mut self) {
        if let Pace::Snapshot(feeding) = &mut self.pace {
            feeding.on_interval();
        }
        if self.owes() {
            self.age = LOST_AFTER.min(self.age + 1);
        }
    }

    /// Notes an answered heartbeat: the follower is there, so what it has not answered for long was
    /// lost.
    pub(super) fn on_heartbeat(&mut self, round: u64) {
        self.round = self.round.max(round);
        match &mut self.pace {
            Pace::Probe { sent } if self.age > 0 => *sent = false,
            Pace::Replicate { .. } if self.age >= LOST_AFTER => self.on_conflict(self.matched),
            Pace::Probe { .. } | Pace::Replicate { .. } => {}
            Pace::Snapshot(feeding) => feeding.on_heartbeat(),
        }
    }

    /// Notes that nothing reaches the follower: what is in flight is lost, and nothing more goes
    /// out until it answers a heartbeat.
    pub(super) fn on_silent(&mut self) {
        self.on_conflict(self.matched);
        self.pace = Pace::Probe { sent: true };
    }

    /// Notes that the follower can be reached again.
    pub(super) fn on_alive(&mut self) {
        if let Pace::Probe { sent } = &mut self.pace {
            *sent = false;
        }
    }

    // Snapshots.

    /// Returns the snapshot that is being sent.
    pub(super) fn fed(&self) -> Option<SnapshotId> {
        match &self.pace {
            Pace::Snapshot(feeding) => Some(feeding.id()),
            Pace::Probe { .. } | Pace::Replicate { .. } => None,
        }
    }

    /// Begins to send a snapshot, which the follower may have `wanted`.
    pub(super) fn begin_snapshot(&mut self, saved: &Saved, wanted: bool) {
        self.pace = Pace::Snapshot(Feeding::begin(saved, wanted));
    }

    /// Begins to send a snapshot that has no body.
    pub(super) fn begin_bare(&mut self, manifest: &Manifest) {
        self.pace = Pace::Snapshot(Feeding::begin_bare(manifest));
    }

    /// Returns the manifest of the snapshot that is being sent, if it has no body.
    pub(super) fn bare(&self) -> Option<&Bytes> {
        match &self.pace {
            Pace::Snapshot(feeding) => feeding.bare(),
            Pace::Probe { .. } | Pace::Replicate { .. } => None,
        }
    }

    /// Gives up sending a snapshot.
    pub(super) fn end_snapshot(&mut self) {
        self.pace = Pace::Probe { sent: true };
    }

    /// Returns the part of a snapshot to send next, if one may be on its way beside the others.
    pub(super) fn next_part(&mut self, window: u32) -> Option<(SnapshotId, u32)> {
        match &mut self.pace {
            Pace::Snapshot(feeding) => feeding.next_part(window),
            Pace::Probe { .. } | Pace::Replicate { .. } => None,
        }
    }

    /// Notes that the follower has the parts of a snapshot before `next`: once it has all, entries
    /// follow.
    pub(super) fn on_stored(&mut self, snapshot: SnapshotId, next: u32) {
        if let Pace::Snapshot(feeding) = &mut self.pace
            && feeding.on_stored(snapshot, next)
        {
            self.next = self.matched.max(snapshot.index).next();
            self.pace = Pace::Probe { sent: false };
        }
    }

    /// Goes back to entries where the follower has come to hold what the snapshot covers, or all up
    /// to `base`, from where on the leader has them.
    pub(super) fn leave_snapshot(&mut self, base: Index) {
        if let Pace::Snapshot(feeding) = &self.pace
            && !feeding.is_wanted()
            && self.matched >= base.min(feeding.id().index)
        {
            self.next = self.matched.next();
            self.pace = Pace::Probe { sent: false };
        }
    }
}
