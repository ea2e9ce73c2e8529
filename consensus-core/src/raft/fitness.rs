//! Whether a replica is fit to lead: its priority, its disk, and whether it is about to end. None of
//! it is a matter of safety: it decides who campaigns, and when.

use std::{cmp::Ordering, time::Duration};

use super::{
    Raft,
    config::{Config, PRIORITY_DEFAULT},
    state::State,
};
use crate::{
    process::{Effects, Ticket, Token},
    time::Time,
};

/// What speaks against a replica's leading.
#[derive(Clone, Debug, Default)]
pub(super) struct Fitness {
    /// Its process is about to end.
    resigned: bool,
    /// What the disk has been at work on since that was looked at first.
    waiting: Option<Waiting>,
}

/// A record on its way to the disk.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    token: Token,
    looked: Time,
    lasted: Duration,
}

impl State {
    /// Looks how long the disk has been at work on the same record.
    pub(super) fn look_at_disk(&mut self, now: Time) {
        let Some(token) = self.barrier() else {
            self.fitness.waiting = None;
            return;
        };
        let fresh = Waiting { token, looked: now, lasted: Duration::ZERO };
        let durable = self.durable();
        let waiting = self.fitness.waiting.filter(|waiting| waiting.token > durable);
        // A process that stood still has not seen what its disk did meanwhile.
        let longest = self.config.heartbeat();
        self.fitness.waiting = Some(waiting.map_or(fresh, |Waiting { token, looked, lasted }| {
            Waiting { token, looked: now, lasted: lasted + now.since(looked).min(longest) }
        }));
    }

    /// Tells whether the disk has been at work on the same record for an election timeout. A full
    /// disk is no such case: it refuses commands, and serves reads.
    pub fn disk_stalls(&self) -> bool {
        let stalls = |waiting: Waiting| waiting.lasted >= self.config.election_timeout();
        !self.storage_full() && self.fitness.waiting.is_some_and(stalls)
    }

    /// Notes that the process is about to end: this replica campaigns no more.
    pub(super) fn resign(&mut self) {
        self.fitness.resigned = true;
    }

    /// Notes that the process is about to end, where there is no lead to hand over.
    pub(super) fn on_resign(&mut self, ticket: Ticket, out: &mut Effects<Raft>) {
        self.resign();
        out.push(crate::process::Effect::Done { ticket });
    }

    /// Returns the priority with which this replica would lead; `None` while it would not.
    pub(super) fn willingness(&self) -> Option<u8> {
        let unfit = self.fitness.resigned || self.disk_stalls();
        (!unfit).then_some(self.config.priority())
    }
}

impl Config {
    /// Returns the shortest time without a leader after which this replica campaigns, and by how
    /// much it may take longer. See [`Builder::priority`](super::Builder::priority).
    ///
    /// Priorities need the pre-vote. Without it who campaigns in vain raises the term, and if it is
    /// always the first to do so then whoever could win, and is not told, is always a term behind.
    pub(super) fn election_timeouts(&self) -> (Duration, Duration) {
        if !self.pre_vote() {
            return (self.election_timeout(), self.election_timeout());
        }
        stretched(self.election_timeout(), self.priority())
    }
}

/// Returns the shortest time without a leader after which a replica of this priority campaigns, and
/// by how much it may take longer, where those of the usual one draw from `timeout` to twice that.
pub(crate) fn stretched(timeout: Duration, priority: u8) -> (Duration, Duration) {
    let part = |of: u8, all: u8| timeout * u32::from(of) / u32::from(all);
    match priority.cmp(&PRIORITY_DEFAULT) {
        // Whoever else is there has tried more than once by then.
        Ordering::Less if priority == 0 => (timeout * 5, timeout),
        Ordering::Less => (timeout + part(PRIORITY_DEFAULT - priority, PRIORITY_DEFAULT), timeout),
        Ordering::Equal => (timeout, timeout),
        Ordering::Greater => {
            let above = part(priority - PRIORITY_DEFAULT, u8::MAX - PRIORITY_DEFAULT);
            (timeout, timeout - above * 3 / 4)
        }
    }
}
