//! The configurations that a log holds (dissertation 4.1).
//!
//! A configuration takes effect when its entry is appended, committed or not, and ceases to when
//! the entry is dropped.

use super::{Raft, mutant::Mutant, state::State};
use crate::{log::Index, members::NodeId, membership::Membership, process::Effects, time::Time};

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

    /// Returns the one before the latest; the latest where there is no other.
    fn previous(&self) -> &Membership {
        let before = self.list.len().checked_sub(2).and_then(|place| self.list.get(place));
        before.map_or_else(|| self.latest().1, |(_, membership)| membership)
    }

    /// Returns the one that stood at `index`.
    pub(super) fn at(&self, index: Index) -> &Membership {
        let known = self.list.iter().rev().find(|(at, _)| *at <= index);
        known.map_or_else(|| self.latest().1, |(_, membership)| membership)
    }

    /// Returns those that stood up to `index`.
    fn upto(&self, index: Index) -> impl Iterator<Item = &Membership> {
        self.list.iter().take_while(move |(at, _)| *at <= index).map(|(_, membership)| membership)
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

    /// Goes by `membership` at `index`, which a snapshot covers, and by what comes after it.
    pub(super) fn cover(&mut self, index: Index, membership: Membership) {
        self.list.retain(|(at, _)| *at > index);
        self.list.insert(0, (index, membership));
    }

    /// Forgets those that stood before `index`, up to which the log is let go.
    pub(super) fn compact(&mut self, index: Index) {
        let gone = self.list.iter().filter(|(at, _)| *at <= index).count().saturating_sub(1);
        self.list.drain(..gone);
    }
}

impl State {
    /// Returns the latest configuration in the log, committed or not: it is the one in effect
    /// (dissertation 4.1).
    pub fn membership(&self) -> &Membership {
        if self.has_bug(Mutant::ConfiguredOnCommit) {
            return self.membership_at(self.committed());
        }
        self.configurations.latest().1
    }

    /// Returns the configuration that stands at `index` of the log.
    pub fn membership_at(&self, index: Index) -> &Membership {
        self.configurations.at(index)
    }

    /// Returns where the latest configuration stands in the log.
    pub(super) fn configured_at(&self) -> Index {
        self.configurations.latest().0
    }

    /// Tells whether `node` gets commands without their bytes: once that is committed, so that no
    /// other leader takes it for one that has them.
    pub(super) fn strips_for(&self, node: NodeId) -> bool {
        self.membership_at(self.committed()).is_witness(node)
    }

    /// Tells whether this replica stores no commands, or did not at some time, so that it neither
    /// applies nor leads.
    pub fn is_witness(&self) -> bool {
        let mut decided = self.configurations.upto(self.committed());
        self.is_blind || decided.any(|it| it.is_witness(self.id()))
    }

    /// Tells whether this replica may campaign: it votes, as far as it knows, and has what it would
    /// lead with (RAFT-P23).
    ///
    /// Who votes no more does so until that is committed: nobody else may have the entry that says
    /// so, and those that do not have it cannot be elected without its vote (dissertation 4.2.2,
    /// figure 4.6).
    pub(super) fn may_campaign(&self) -> bool {
        let (membership, id) = (self.membership(), self.id());
        let is_witness = membership.is_witness(id) || self.is_witness();
        let is_open = self.configured_at() > self.committed();
        let is_needed = is_open && self.configurations.previous().is_voter(id);
        let gives_up = self.has_bug(Mutant::RemovedNeverCampaigns);
        (membership.is_voter(id) || is_needed && !gives_up)
            && (!is_witness || self.has_bug(Mutant::WitnessLeads))
            // Nor has who lost its state to its disk, and waits for a snapshot of another's.
            && !self.is_lost()
    }

    /// Tells whether this replica asks a majority before it campaigns (dissertation 9.6): who is one
    /// alone has nobody to ask.
    pub(super) fn asks_first(&self) -> bool {
        self.config.pre_vote() && !self.membership().is_alone(self.id())
    }

    /// Returns all members but this replica.
    pub(super) fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let id = self.id();
        self.membership().members().filter(move |node| *node != id)
    }

    /// Returns all whose votes count but this replica.
    pub(super) fn other_voters(&self) -> impl Iterator<Item = NodeId> + use<> {
        let membership = self.membership().clone();
        self.peers().filter(move |node| membership.is_voter(*node))
    }

    /// Forgets a leader that is heard of no more, where this replica may do no more about it than
    /// to ask everybody for the state that it lost, which wakes them if they are at rest.
    pub(super) fn lose_leader(&mut self, now: Time, out: &mut Effects<Raft>) {
        if self.is_overdue(now) && !self.may_campaign() {
            self.follow(None, out);
            self.reset_election_timer(now);
            self.peers().for_each(|peer| self.ask_for_snapshot_if_lost(peer, out));
        }
    }
}
