//! When a learner has a snapshot taken, what its node lets go of behind one, and how one takes the
//! place of what it knew.
//!
//! A snapshot is durable first. Then a record says so, and when that is durable the node's acceptor
//! forgets the slots before it. A crash between any two finds the snapshot, and its host tells of it
//! again: then the rest is done.

use std::collections::BTreeMap;

use super::Learner;
use crate::{
    log::Index,
    members::NodeId,
    membership::Membership,
    multi_paxos::{Message, Role, mutant::Mutant, record::Record},
    process::{Effect, Effects, Token},
    snapshot::{Cut, Order, Pace, Saved, SnapshotId},
    time::Time,
};

/// The leadership clock of points of a log before any configuration was chosen. A slot has one value,
/// whichever ballots choose it, so the clock counts eras: to it is added the slot of the configuration
/// that holds behind the point.
const TERM: u64 = 1;

/// A snapshot that another learner fetches.
#[derive(Clone, Copy, Debug)]
struct Serving {
    snapshot: SnapshotId,
    /// How many parts it has, if that is known.
    parts: Option<u32>,
    /// When the other asked last.
    asked: Time,
}

/// What a learner knows of its snapshots.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    /// The point that the log rests on, by a record.
    cut: Option<Cut>,
    /// The same, once that record is durable.
    settled: Index,
    /// The newest durable one, which others are sent.
    sendable: Option<Saved>,
    /// The one that is being taken.
    taking: Option<Index>,
    /// The record that must be durable before what it replaces goes.
    resting: Option<(Token, Cut, SnapshotId)>,
    pace: Pace,
    /// Those that others fetch.
    serving: BTreeMap<NodeId, Serving>,
    /// Whether the one that the log rests on is damaged: the replica has no state.
    lost: bool,
}

impl Snapshots {
    /// Returns the point that the log rests on.
    pub(super) fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Returns the last slot that the snapshot covers which the log rests on.
    pub(super) fn covered(&self) -> Index {
        self.cut.as_ref().map_or(Index::ZERO, |cut| cut.index)
    }

    /// Returns who takes part behind that slot, and the slot that says so.
    pub(super) fn configuration(&self) -> Option<(Index, Membership)> {
        self.cut.as_ref().map(configuration_of)
    }

    /// Returns the same once that is durable.
    pub(super) fn settled(&self) -> Index {
        self.settled
    }

    /// Notes that the log rests on a snapshot of `cut`.
    pub(super) fn rest_on(&mut self, cut: Cut) {
        self.settled = cut.index;
        self.pace.cover(cut.index);
        self.cut = Some(cut);
    }

    pub(super) fn sendable(&self) -> Option<&Saved> {
        self.sendable.as_ref()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    pub(super) fn fail(&mut self) {
        self.taking = None;
    }

    pub(super) fn lose(&mut self) {
        (self.lost, self.sendable) = (true, None);
    }

    /// Notes that a snapshot is not there, or damaged.
    pub(super) fn miss(&mut self, snapshot: SnapshotId) {
        self.sendable.take_if(|saved| saved.id == snapshot);
    }

    /// Notes that somebody fetches a snapshot, or may; returns how many parts it has, if that is
    /// known: of the newest, and of one that was the newest when it was offered.
    pub(super) fn serve(&mut self, to: NodeId, snapshot: SnapshotId, now: Time) -> Option<u32> {
        let newest = self.sendable.as_ref().filter(|saved| saved.id == snapshot);
        let offered = self.serving.get(&to).filter(|serving| serving.snapshot == snapshot);
        let parts = newest.map(|saved| saved.parts).or_else(|| offered?.parts);
        self.serving.insert(to, Serving { snapshot, parts, asked: now });
        parts
    }
}

/// Returns who takes part behind a point, and the slot that says so.
fn configuration_of(cut: &Cut) -> (Index, Membership) {
    (Index(cut.term.saturating_sub(TERM)), cut.membership.clone())
}

impl Learner {
    /// Counts newly chosen `bytes`, and has a snapshot taken when enough has come together.
    pub(super) fn take_snapshot_if_due(&mut self, bytes: usize, out: &mut Effects<Role>) {
        let due = self.config.snapshot_due();
        let Snapshots { pace, sendable, .. } = &mut self.snapshots;
        if pace.advance(bytes, self.chosen, due, sendable.as_ref()) {
            self.take_snapshot(out);
        }
    }

    /// Has a snapshot taken since somebody asks for it, or says that there is none to take.
    pub(super) fn take_asked_snapshot(&mut self, out: &mut Effects<Role>) {
        self.take_snapshot(out);
        if self.snapshots.taking.is_none() {
            out.push(Effect::Snapshot(Order::Decline));
        }
    }

    /// Has a snapshot of all that is known to be chosen taken, unless one is on its way.
    pub(super) fn take_snapshot(&mut self, out: &mut Effects<Role>) {
        let snapshots = &mut self.snapshots;
        // Who joins and has not come to the slot that says who takes part cannot say so in one.
        let is_blind = self.chosen == Index::ZERO || self.membership.is_empty();
        if snapshots.taking.is_some() || is_blind || snapshots.lost {
            return;
        }
        snapshots.taking = Some(self.chosen);
        snapshots.pace.take(self.chosen);
        let (membership, term) = (self.membership.clone(), TERM + self.era.0);
        let cut = Cut { index: self.chosen, term, membership };
        out.push(Effect::Snapshot(Order::Take(cut)));
    }

    /// Lets what this rests on stand in younger records, so that the journal can give up the older
    /// ones.
    pub(super) fn make_room(&mut self, out: &mut Effects<Role>) {
        if self.chosen > self.snapshots.covered() {
            return self.take_snapshot(out);
        }
        let saved = self.snapshots.sendable.clone();
        if let Some(saved) = saved.filter(|saved| saved.cut.index == self.chosen) {
            self.rest_on(&saved, out);
        }
    }

    /// Rests on a durable snapshot: its own, or another's that reaches further.
    pub(super) fn adopt(&mut self, now: Time, saved: &Saved, out: &mut Effects<Role>) {
        let index = saved.cut.index;
        let snapshots = &mut self.snapshots;
        if snapshots.taking.is_some_and(|taking| taking <= index) {
            snapshots.taking = None;
        }
        if self.fetching.as_ref().is_some_and(|it| it.is_covered_by(index)) {
            self.fetching = None;
        }
        if index < self.snapshots.covered() {
            return;
        }
        self.snapshots.sendable = Some(saved.clone());
        let replaces = index > self.chosen || self.snapshots.lost && index >= self.chosen;
        if index > self.snapshots.covered() {
            self.rest_on(saved, out);
        }
        if replaces {
            self.snapshots.lost = false;
            if !self.config.has_bug(Mutant::ConfigurationNotInSnapshot) {
                (self.era, self.membership) = configuration_of(&saved.cut);
            }
            self.begin_behind(index, out);
            self.snapshots.pace.cover(index);
            self.chase.progress(index, now);
            out.push(Effect::Snapshot(Order::Restore(saved.id)));
            self.advance(now, out);
        }
        self.let_go();
    }

    /// Writes that the log rests on a snapshot.
    fn rest_on(&mut self, saved: &Saved, out: &mut Effects<Role>) {
        let token = self.persist(Record::Snapshot(saved.cut.clone()), out);
        self.snapshots.cut = Some(saved.cut.clone());
        self.snapshots.resting = Some((token, saved.cut.clone(), saved.id));
        if self.config.has_bug(Mutant::ForgetsBeforeSnapshotRests) {
            self.forget(saved.cut.index, out);
        }
    }

    /// Lets go of what the snapshot covers, once nothing on the disk needs it.
    pub(super) fn on_persisted(&mut self, now: Time, upto: Token, out: &mut Effects<Role>) {
        let due = self.snapshots.resting.take_if(|(token, ..)| *token <= upto);
        let Some((token, cut, snapshot)) = due else { return };
        self.snapshots.settled = self.snapshots.settled.max(cut.index);
        self.forget(cut.index, out);
        self.tell_proposer(out);
        out.push(Effect::Compact { before: token });
        // Others may be in the midst of an older one.
        let patience = self.config.election_timeout() * 2;
        self.snapshots.serving.retain(|_, serving| now < serving.asked + patience);
        let serving = self.snapshots.serving.values().map(|serving| serving.snapshot);
        let used = serving.chain([snapshot]).collect();
        out.push(Effect::Snapshot(Order::Prune { used }));
    }

    fn forget(&self, upto: Index, out: &mut Effects<Role>) {
        let to = self.config.acceptor(self.config.id());
        out.push(Effect::Send { to, message: Message::Forget { upto }, after: None });
    }

    /// Lets go of values in memory behind the snapshot, but for a tail for those who are a little
    /// behind.
    fn let_go(&mut self) {
        let covered = self.snapshots.covered();
        let oldest = covered.0.saturating_sub(self.config.tail_entries());
        let (mut upto, mut bytes) = (covered, 0);
        let runs: Vec<_> = self.slots.from(Index(oldest).next()).collect();
        for run in runs.iter().rev() {
            for (slot, value) in (run.first.0..=run.last().0).rev().zip(run.values().iter().rev()) {
                if slot > covered.0 {
                    continue;
                }
                if bytes >= self.config.tail_bytes() {
                    return self.slots.forget(upto);
                }
                bytes += value.size();
                upto = Index(slot).previous();
            }
        }
        self.slots.forget(upto.max(Index(oldest)));
    }
}
