//! When a replica takes a snapshot, what it lets go of behind one, and how it puts one in the place
//! of its log (7; dissertation 5).
//!
//! A snapshot is durable first. Then a record says so, and when that is durable the records before
//! it go; in memory a tail of the log stays, for followers that are a little behind. A crash between
//! any two finds the snapshot, and its host tells of it again: then the rest is done.

use super::{
    Raft,
    configurations::Configurations,
    log::TermAt,
    message::{AppendResult, Message, Term},
    mutant::Mutant,
    record::Record,
    snapshot_result::{ALL_PARTS, SnapshotResult},
    state::State,
};
use crate::{
    log::Index,
    members::NodeId,
    process::{Effect, Effects, Token},
    snapshot::{Cut, Order, Pace, Report, Saved, SnapshotId},
    time::Time,
};

/// What a replica knows of its snapshots.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Snapshots {
    /// The point that the log rests on, by a record.
    cut: Option<Cut>,
    /// The newest durable one, which others are sent.
    sendable: Option<Saved>,
    /// The one that is being taken.
    taking: Option<Index>,
    /// The record that must be durable before older ones are removed, but for those in use.
    pruning: Option<(Token, Vec<SnapshotId>)>,
    pace: Pace,
    /// Whether the snapshot that the log rests on is damaged: the replica has no state.
    lost: bool,
}

impl Snapshots {
    /// Returns the last index that the snapshot covers which the log rests on.
    pub(super) fn covered(&self) -> Index {
        self.cut.as_ref().map_or(Index::ZERO, |cut| cut.index)
    }

    /// Returns the point that the log rests on.
    pub(super) fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Returns the newest durable snapshot.
    pub(super) fn sendable(&self) -> Option<&Saved> {
        self.sendable.as_ref()
    }

    /// Tells whether the replica has lost its state to its disk.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Notes that the replica has lost no state, or needs none.
    pub(super) fn find(&mut self) {
        self.lost = false;
    }

    /// Notes that one is taken of all up to `at`: the next is due so much later.
    pub(super) fn note_try(&mut self, at: Index) {
        self.pace.take(at);
    }

    /// Notes that the log rests on a snapshot of `cut` from now on.
    pub(super) fn cover(&mut self, cut: Cut) {
        self.pace.cover(cut.index);
        self.cut = Some(cut);
    }
}

impl State {
    /// Returns the point of the log that the snapshot covers which the log rests on.
    pub fn snapshot(&self) -> Option<&Cut> {
        self.snapshots.cut()
    }

    /// Tells whether the replica has lost its state to its disk, and waits for a snapshot.
    pub fn is_lost(&self) -> bool {
        self.snapshots.is_lost()
    }

    /// Adopts the term of a snapshot that is later than the replica's own; tells whether it was.
    ///
    /// A snapshot is made durable beside the records: a crash may take the record of its term and
    /// leave the snapshot. What it covers is committed, so the term was there, and whatever this
    /// replica promised in it was never heard of, since the record of that would have come later.
    pub(super) fn catch_up_with(
        &mut self,
        report: &Report,
        now: Time,
        out: &mut Effects<Raft>,
    ) -> bool {
        let (Report::Saved(saved) | Report::Stored { whole: Some(saved), .. }) = report else {
            return false;
        };
        let term = Term(saved.cut.term);
        let is_later = term > self.term && !self.has_bug(Mutant::SnapshotAheadOfTerm);
        if is_later {
            self.adopt_term(term, now, out);
        }
        is_later
    }

    /// Hears what has come of snapshots.
    pub(super) fn on_report(&mut self, report: Report, out: &mut Effects<Raft>) {
        match report {
            Report::Saved(saved) => self.adopt(&saved, &[], out),
            Report::Failed => self.snapshots.taking = None,
            Report::Lost => {
                self.snapshots.lost = true;
                self.snapshots.sendable = None;
            }
            Report::Stored { from, snapshot, next, whole } => {
                self.on_snapshot_stored((from, snapshot, next), whole.as_ref(), out);
            }
            // For a peer of a tenure that is over.
            Report::Fetched { .. } => {}
        }
    }

    /// Counts newly committed `bytes`, and has a snapshot taken when enough has come together.
    pub(super) fn take_snapshot_if_due(&mut self, bytes: usize, out: &mut Effects<Raft>) {
        let due = self.config.snapshot_due();
        let Snapshots { pace, sendable, .. } = &mut self.snapshots;
        if pace.advance(bytes, self.committed, due, sendable.as_ref()) {
            self.take_snapshot(out);
        }
    }

    /// Has a snapshot taken since somebody asks for it, or says that there is none to take.
    pub(super) fn take_asked_snapshot(&mut self, out: &mut Effects<Raft>) {
        self.take_snapshot(out);
        if self.snapshots.taking.is_none() {
            out.push(Effect::Snapshot(Order::Decline));
        }
    }

    /// Has a snapshot of all that is committed taken, unless one is on its way. A witness has
    /// nothing to take one of, and lets its log go without.
    pub(super) fn take_snapshot(&mut self, out: &mut Effects<Raft>) {
        if self.is_witness() {
            return self.let_go_as_witness(out);
        }
        let TermAt::Known(term) = self.log.term_at(self.committed) else { return };
        if self.snapshots.taking.is_some() || self.committed == Index::ZERO || self.is_lost() {
            return;
        }
        let membership = self.membership_at(self.committed).clone();
        // Who joins has not heard who takes part until it has the entry that lets it in.
        if membership.is_empty() && !self.has_bug(Mutant::SnapshotOfUnknownMembership) {
            return;
        }
        self.snapshots.taking = Some(self.committed);
        self.snapshots.note_try(self.committed);
        let cut = Cut { index: self.committed, term: term.0, membership };
        if self.has_bug(Mutant::CompactsBeforeSnapshot) && cut.index > self.snapshots.covered() {
            self.rest_on(cut.clone(), false, out);
        }
        out.push(Effect::Snapshot(Order::Take(cut)));
    }

    /// Lets what the log rests on stand in younger records, so that the journal can give up the older
    /// ones: this group may be asked for little, and hold up the space of others.
    pub(super) fn make_room(&mut self, out: &mut Effects<Raft>) {
        if self.committed > self.snapshots.covered() {
            return self.take_snapshot(out);
        }
        match self.snapshots.cut().cloned() {
            Some(cut) => self.rest_on(cut, false, out),
            None => {
                self.persist_vote(out);
            }
        }
    }

    /// A snapshot that peers are sent is damaged or gone: another one is taken.
    pub(super) fn on_snapshot_missing(&mut self, snapshot: SnapshotId, out: &mut Effects<Raft>) {
        let is_newest = |saved: &Saved| saved.id == snapshot;
        if self.snapshots.sendable.as_ref().is_some_and(is_newest) {
            self.snapshots.sendable = None;
        }
        if self.snapshots.sendable.is_none() {
            self.take_snapshot(out);
        }
    }

    /// Lets the log rest on a durable snapshot: its own, or one that was sent. `used` are being sent
    /// to others.
    ///
    /// What is covered is committed, so this holds in any term and role.
    pub(super) fn adopt(&mut self, saved: &Saved, used: &[SnapshotId], out: &mut Effects<Raft>) {
        let Cut { index, term, .. } = saved.cut;
        let (covered, committed) = (self.snapshots.covered(), self.committed);
        if self.snapshots.taking.is_some_and(|taking| taking <= index) {
            self.snapshots.taking = None;
        }
        let holds = self.log.term_at(index) == TermAt::Known(Term(term));
        // What is committed never changes: whoever says otherwise is wrong (S7).
        let leads = self.leader == Some(self.id());
        if index < covered || !holds && (leads || index <= committed) {
            if index >= self.log.base() && !holds {
                tracing::error!(%index, term, "a snapshot is of another log than this");
            }
            return;
        }
        self.snapshots.sendable = Some(saved.clone());
        if index > covered {
            let wipes = self.has_bug(Mutant::MatchingSuffixWiped) && index > committed;
            let replaces = !holds || wipes;
            self.rest_on(saved.cut.clone(), replaces, out);
            if replaces {
                self.replace_log(saved, out);
            }
        }
        if self.is_lost() && index >= committed {
            self.snapshots.lost = false;
            self.committed = index;
            out.push(Effect::Snapshot(Order::Restore(saved.id)));
        } else if index > self.committed {
            self.commit_to(index, |_| None, out);
        }
        self.let_go(used);
        // Until the record is durable a restart looks for the former one; and for this one after
        // that, until the next one's is, however many are taken meanwhile.
        let mut used = used.to_vec();
        if !self.has_bug(Mutant::PrunedWhileNeeded) {
            used.push(saved.id);
        }
        self.snapshots.pruning = Some((self.persisting, used));
    }

    /// Has older snapshots removed, once nothing on the disk rests on them.
    pub(super) fn prune_snapshots(&mut self, durable: Token, out: &mut Effects<Raft>) {
        let due = self.snapshots.pruning.take_if(|(token, _)| *token <= durable);
        if let Some((_, used)) = due {
            out.push(Effect::Snapshot(Order::Prune { used }));
        }
    }

    /// Puts a snapshot in the place of a log that ends before it, or is another one there.
    fn replace_log(&mut self, saved: &Saved, out: &mut Effects<Raft>) {
        let Cut { index, term, .. } = saved.cut;
        let term = if self.has_bug(Mutant::SnapshotOfPresentTerm) { self.term } else { Term(term) };
        let keeps = self.has_bug(Mutant::ConflictingTailKept);
        let tail = if keeps { self.log.from(index.next()).to_vec() } else { Vec::new() };
        self.start_log(&saved.cut, term);
        tail.into_iter().for_each(|entry| self.push(entry));
        self.committed = index;
        self.snapshots.lost = false;
        // A witness has no state to put another's in the place of.
        if !self.is_witness() {
            out.push(Effect::Snapshot(Order::Restore(saved.id)));
        }
    }

    /// Persists that the log rests on a snapshot of `cut`, and with it the vote, where that would
    /// keep older records.
    pub(super) fn rest_on(&mut self, cut: Cut, replaces: bool, out: &mut Effects<Raft>) {
        let index = cut.index;
        let record = Record::Snapshot { cut: cut.clone(), replaces };
        if self.has_bug(Mutant::InstallNotRecorded) && replaces {
            return self.snapshots.cover(cut);
        }
        let token = self.persist(record, out);
        self.snapshots.cover(cut);
        let last = if replaces { index } else { self.log.last_index() };
        if replaces {
            // What lies on the disk agrees up to what is committed, until the record is durable.
            let agreed = self.committed;
            self.stable = self.stable.min(agreed);
            self.unsynced.iter_mut().for_each(|(_, last)| *last = (*last).min(agreed));
            self.unsynced.push_back((token, index));
            self.footing.clear();
        }
        self.footing.cover(token, index, last);
        self.persist_vote(out);
    }

    /// Lets go of the log in memory behind the snapshot, but for a tail for those who are a little
    /// behind, or are being sent an older snapshot.
    fn let_go(&mut self, used: &[SnapshotId]) {
        let covered = self.snapshots.covered();
        let (entries, bytes) = (self.config.tail_entries(), self.config.tail_bytes());
        let tail = self.log.tail(covered, entries, bytes);
        let fed = used.iter().map(|id| id.index).min().filter(|fed| *fed < tail).map(|fed| {
            self.log.tail(covered, covered.0 - fed.0.min(covered.0), self.config.fed_bytes())
        });
        self.compact_log(fed.map_or(tail, |fed| fed.min(tail)));
    }

    /// Lets the log begin behind `cut`, which is of `term`, under the configuration there.
    pub(super) fn start_log(&mut self, cut: &Cut, term: Term) {
        self.log.reset(cut.index, term);
        let keeps = self.has_bug(Mutant::MembershipNotRestored);
        if !keeps {
            self.configurations = Configurations::new(cut.index, cut.membership.clone());
        }
    }

    /// Lets go of the log in memory up to `index`.
    pub(super) fn compact_log(&mut self, index: Index) {
        self.log.compact(index);
        self.configurations.compact(index);
    }

    /// Answers a part of a snapshot: what the log holds already needs none of it.
    pub(super) fn on_install_snapshot(
        &mut self,
        leader: NodeId,
        (snapshot, part): (SnapshotId, u32),
        bytes: bytes::Bytes,
        out: &mut Effects<Raft>,
    ) {
        let SnapshotId { index, term, .. } = snapshot;
        if self.is_lost() && index < self.snapshots.covered() {
            return self.ask_for_snapshot_if_lost(leader, out);
        }
        if !self.is_lost() {
            if index > self.committed && self.log.matches(index, Term(term)) {
                self.commit_to(index, |_| None, out);
            }
            if index <= self.committed {
                // Its answer to the last part may have been lost.
                let result = SnapshotResult::Stored { snapshot, next: ALL_PARTS };
                self.reply(leader, Message::SnapshotReply { term: self.term, result }, out);
                return self.acknowledge(leader, self.committed, out);
            }
        }
        if self.install_bare(leader, (snapshot, part), &bytes, out) {
            return;
        }
        if self.has_bug(Mutant::SnapshotAcknowledgedEarly) {
            self.acknowledge(leader, index, out);
        }
        out.push(Effect::Snapshot(Order::Store { from: leader, snapshot, part, bytes }));
    }

    /// Tells the sender how far its snapshot has come, and installs it once it is whole.
    pub(super) fn on_snapshot_stored(
        &mut self,
        (from, snapshot, next): (NodeId, SnapshotId, u32),
        whole: Option<&Saved>,
        out: &mut Effects<Raft>,
    ) {
        if let Some(saved) = whole {
            self.adopt(saved, &[], out);
        }
        let result = SnapshotResult::Stored { snapshot, next };
        self.reply(from, Message::SnapshotReply { term: self.term, result }, out);
        if whole.is_some() && snapshot.index <= self.committed {
            self.acknowledge(from, self.committed, out);
        }
    }

    /// Asks for a snapshot in the place of the replica's own, if that is damaged.
    pub(super) fn ask_for_snapshot_if_lost(&self, leader: NodeId, out: &mut Effects<Raft>) {
        if self.is_lost() {
            let result = SnapshotResult::Wanted { index: self.snapshots.covered() };
            self.reply(leader, Message::SnapshotReply { term: self.term, result }, out);
        }
    }

    pub(super) fn acknowledge(&self, leader: NodeId, index: Index, out: &mut Effects<Raft>) {
        let result = AppendResult::Matched(index);
        self.reply(leader, Message::AppendReply { term: self.term, result }, out);
    }
}
