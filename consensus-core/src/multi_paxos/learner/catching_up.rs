//! Catching up: a learner that has missed what is chosen asks others, who answer with values, or
//! with a snapshot where they have let go of them.

use super::Learner;
use crate::{
    log::Index,
    members::NodeId,
    multi_paxos::{Message, Role, Value, Values},
    process::{Effect, Effects},
    time::Time,
};

/// What a learner lacks, and whom it asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Chase {
    /// The last slot that is known to be chosen.
    wanted: Index,
    /// When to ask next; `None` while nothing is missing, as far as is known.
    ask_at: Option<Time>,
    /// How often in a row nothing came of it.
    fruitless: usize,
}

impl Chase {
    /// Notes that slots up to here are chosen.
    pub(super) fn want(&mut self, upto: Index) {
        self.wanted = self.wanted.max(upto);
    }

    /// Notes that slots up to `chosen` are known.
    pub(super) fn progress(&mut self, chosen: Index, now: Time) {
        self.fruitless = 0;
        self.ask_at = self.ask_at.filter(|_| chosen < self.wanted).map(|at| at.max(now));
    }
}

impl Learner {
    /// Asks others for what is missing, after a short wait: it may be on its way.
    pub(super) fn catch_up(&mut self, now: Time, out: &mut Effects<Role>) {
        let lacks = self.chase.wanted > self.chosen || self.snapshots.is_lost();
        let lacks = lacks || self.is_forsaken(now);
        if !lacks || self.behind {
            self.chase.ask_at = None;
            return;
        }
        if self.is_fetching(now) {
            return;
        }
        let pause = self.config.heartbeat();
        let due = *self.chase.ask_at.get_or_insert(now + pause / 2);
        if now < due {
            return;
        }
        self.chase.ask_at = Some(now + pause);
        if let Some(other) = self.next_to_ask() {
            self.ask(other, out);
        }
        self.chase.fruitless += 1;
    }

    /// Tells whether this node does not vote and hears of no leader: it may have become a voter without
    /// having heard so, and the only one, so that nobody else can campaign and tell it.
    fn is_forsaken(&self, now: Time) -> bool {
        !self.membership.is_voter(self.config.id())
            && now.since(self.heard) >= 2 * self.config.election_timeout()
    }

    /// Returns whom to ask: the leader that knows most first, then the others in turn.
    fn next_to_ask(&self) -> Option<NodeId> {
        let own = self.config.id();
        let knows = self.marks.farthest();
        let leader = knows.map(|(ballot, _)| ballot.node).filter(|node| *node != own);
        // Nobody else may be left of those that this node knows of.
        let others: Vec<NodeId> =
            self.membership.members().chain(leader).filter(|node| *node != own).collect();
        match leader.filter(|_| self.chase.fruitless == 0) {
            Some(leader) => Some(leader),
            None => others.get(self.chase.fruitless % others.len().max(1)).copied(),
        }
    }

    fn ask(&self, other: NodeId, out: &mut Effects<Role>) {
        let (first, state) = (self.chosen.next(), self.snapshots.is_lost());
        let message = Message::Learn { first, state };
        out.push(Effect::Send { to: self.config.learner(other), message, after: None });
    }

    /// Tells another learner what is chosen from `first` on, or offers a snapshot.
    pub(super) fn on_learn(
        &mut self,
        now: Time,
        from: NodeId,
        (first, state): (Index, bool),
        out: &mut Effects<Role>,
    ) {
        if self.snapshots.is_lost() {
            return;
        }
        if state || first <= self.slots.base() {
            return self.offer(now, from, first, out);
        }
        let values = self.values_from(first);
        let message = Message::Learned { first, values, chosen: self.chosen };
        out.push(Effect::Send { to: self.config.learner(from), message, after: None });
    }

    /// Returns the values that are chosen from `first` on, as far as they fill a message.
    fn values_from(&self, first: Index) -> Values {
        let (mut values, mut bytes) = (Vec::new(), 0);
        let bytes_max = self.config.accept_bytes_max();
        for run in self.slots.from(first) {
            for (slot, value) in (run.first.0..).zip(run.values()) {
                if slot > self.chosen.0 || bytes >= bytes_max {
                    return values.into();
                }
                bytes += value.size() + Value::BESIDES_COMMAND;
                values.push(value.clone());
            }
        }
        values.into()
    }

    /// Takes what another learner knows, and asks on where there is more.
    pub(super) fn on_learned(
        &mut self,
        now: Time,
        from: NodeId,
        (first, values): (Index, Values),
        chosen: Index,
        out: &mut Effects<Role>,
    ) {
        if self.behind || self.snapshots.is_lost() {
            return;
        }
        let before = self.chosen;
        self.learn(now, first, values, out);
        // It knows the slots that it tells, and says that it knows others.
        if chosen.0 < u64::MAX {
            self.chase.want(chosen);
        }
        if self.chosen > before {
            if chosen > self.chosen && from != self.config.id() {
                self.chase.ask_at = Some(now + self.config.heartbeat());
                self.ask(from, out);
            } else {
                self.tell_proposer(out);
            }
        }
    }
}
