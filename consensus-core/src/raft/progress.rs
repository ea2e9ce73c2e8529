//! What a leader knows of one follower's log.

use std::collections::VecDeque;

use crate::log::Index;

/// A follower's progress. `matched` < `next` always.
///
/// ```text
///             Matched                        Conflict, or no progress
///   Probe ----------------> Replicate ------------------------------> Probe
/// ```
#[derive(Clone, Debug, Hash)]
pub struct Progress {
    /// The last index at which the follower's log is known to agree, durably.
    matched: Index,
    /// The next index to send.
    next: Index,
    pace: Pace,
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
        /// The last index of each Append that is not answered yet.
        in_flight: VecDeque<Index>,
        /// How many heartbeats were answered since the last progress.
        idle_heartbeats: u8,
    },
}

/// After so many answered heartbeats without an answered Append, what is in flight counts as lost.
const IDLE_HEARTBEATS_MAX: u8 = 2;

impl Progress {
    /// Starts to probe a follower of whom nothing is known but that it may hold all up to `last`.
    pub(super) fn new(last: Index) -> Self {
        Self {
            matched: Index::ZERO,
            next: last.next(),
            pace: Pace::Probe { sent: false },
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
    pub(super) fn may_send(&self, last: Index, window: usize) -> bool {
        match &self.pace {
            Pace::Probe { sent } => !sent,
            Pace::Replicate { in_flight, .. } => self.next <= last && in_flight.len() < window,
        }
    }

    /// Notes that an Append up to `last` went out.
    pub(super) fn on_sent(&mut self, last: Index) {
        match &mut self.pace {
            Pace::Probe { sent } => *sent = true,
            Pace::Replicate { in_flight, .. } => {
                in_flight.push_back(last);
                self.next = last.next();
            }
        }
    }

    /// Notes that the follower's log agrees up to `index`.
    pub(super) fn on_matched(&mut self, index: Index) {
        if index > self.matched {
            self.matched = index;
        }
        match &mut self.pace {
            Pace::Probe { .. } => {
                self.next = self.matched.next();
                self.pace = Pace::Replicate { in_flight: VecDeque::new(), idle_heartbeats: 0 };
            }
            Pace::Replicate { in_flight, idle_heartbeats } => {
                self.next = self.next.max(self.matched.next());
                in_flight.retain(|last| *last > index);
                *idle_heartbeats = 0;
            }
        }
        assert!(self.matched < self.next, "what is matched needs no sending (RAFT-P30)");
    }

    /// Tells whether a refusal of the Append after `refused` says something new.
    pub(super) fn is_news(&self, refused: Index) -> bool {
        match self.pace {
            Pace::Probe { .. } => refused == self.next.previous(),
            Pace::Replicate { .. } => refused > self.matched,
        }
    }

    /// Goes back to where the logs may agree and probes from there.
    pub(super) fn on_conflict(&mut self, agree: Index) {
        self.next = agree.max(self.matched).next();
        self.pace = Pace::Probe { sent: false };
    }

    /// Notes an answered heartbeat: the follower is there, so what it has not answered for long was
    /// lost.
    pub(super) fn on_heartbeat(&mut self, round: u64) {
        self.round = self.round.max(round);
        match &mut self.pace {
            Pace::Probe { sent } => *sent = false,
            Pace::Replicate { in_flight, idle_heartbeats } => {
                if in_flight.is_empty() {
                    return;
                }
                *idle_heartbeats += 1;
                if *idle_heartbeats >= IDLE_HEARTBEATS_MAX {
                    self.on_conflict(self.matched);
                }
            }
        }
    }
}
