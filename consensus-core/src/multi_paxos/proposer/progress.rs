//! What a leader has sent to one acceptor, and what that has answered.

use std::collections::VecDeque;

use super::batches::{Batch, Batches};
use crate::{
    log::Index,
    multi_paxos::{Ballot, Config, Message, Role},
    process::{Address, Effect, Effects},
    time::Time,
};

/// For how many heartbeat intervals an Accept may stay unanswered before it is taken for lost.
const PATIENCE: u64 = 2;

/// A leader's view of one acceptor.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    to: Address,
    /// The slot from which on nothing was sent.
    next: Index,
    /// Accepts that it owes an answer to, in the order in which they were sent.
    owed: VecDeque<Owed>,
    owed_bytes: usize,
    /// The last slot that it is known to have accepted.
    accepted: Index,
    /// The latest round of heartbeats that it has answered.
    round: u64,
    /// When it was heard of.
    heard: Option<Time>,
}

#[derive(Clone, Debug)]
struct Owed {
    first: Index,
    last: Index,
    bytes: usize,
    /// The heartbeat interval in which it was sent.
    interval: u64,
}

impl Progress {
    pub(super) fn begin(to: Address, next: Index) -> Self {
        Self {
            to,
            next,
            owed: VecDeque::new(),
            owed_bytes: 0,
            accepted: Index::ZERO,
            round: 0,
            heard: None,
        }
    }

    /// Returns the latest round of heartbeats that it has answered.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// Returns the last slot that it is known to have accepted.
    pub(super) fn accepted(&self) -> Index {
        self.accepted
    }

    /// Returns when it was heard of.
    pub(super) fn heard(&self) -> Option<Time> {
        self.heard
    }

    /// Notes that it was heard of.
    pub(super) fn hear(&mut self, now: Time) {
        self.heard = Some(now);
    }

    /// Notes that it has answered a round of heartbeats.
    pub(super) fn on_round(&mut self, round: u64) {
        self.round = self.round.max(round);
    }

    /// Notes that it has accepted the slots from `first` to `last`.
    pub(super) fn on_accepted(&mut self, first: Index, last: Index) {
        self.accepted = self.accepted.max(last);
        // Mostly it is the oldest, and what follows need not be looked at.
        let at = self.owed.iter().position(|owed| owed.first >= first && owed.last <= last);
        if let Some(owed) = at.and_then(|at| self.owed.remove(at)) {
            self.owed_bytes -= owed.bytes;
        }
    }

    /// Sends what it has not been sent, as far as the window has room.
    pub(super) fn send(
        &mut self,
        (ballot, interval): (Ballot, u64),
        batches: &Batches,
        config: &Config,
        out: &mut Effects<Role>,
    ) {
        // Others have accepted what is chosen: its learner asks for that.
        let from = self.next.max(batches.chosen().next());
        for batch in batches.from(from) {
            if !self.has_room(config) {
                return;
            }
            self.propose((ballot, interval), batch, batches.chosen(), out);
        }
    }

    /// Sends again what has stayed unanswered for too long and is not chosen.
    pub(super) fn send_again(
        &mut self,
        (ballot, interval): (Ballot, u64),
        batches: &Batches,
        config: &Config,
        out: &mut Effects<Role>,
    ) {
        let late = |owed: &mut Owed| owed.interval + PATIENCE <= interval;
        while let Some(owed) = self.owed.pop_front_if(late) {
            self.owed_bytes -= owed.bytes;
            if let Some(batch) = batches.unchosen(owed.first, config.needed_to_choose()) {
                self.propose((ballot, interval), batch, batches.chosen(), out);
            }
        }
    }

    fn propose(
        &mut self,
        (ballot, interval): (Ballot, u64),
        batch: &Batch,
        chosen: Index,
        out: &mut Effects<Role>,
    ) {
        let Batch { first, last, values, bytes, .. } = batch;
        let (first, last, bytes, values) = (*first, *last, *bytes, values.clone());
        self.next = self.next.max(last.next());
        self.owed.push_back(Owed { first, last, bytes, interval });
        self.owed_bytes += bytes;
        let message = Message::Accept { ballot, first, values, chosen };
        out.push(Effect::Send { to: self.to, message, after: None });
    }

    fn has_room(&self, config: &Config) -> bool {
        self.owed.len() < config.accept_window() && self.owed_bytes < config.accept_window_bytes()
    }
}
