//! Snapshots without a body, for witnesses (dissertation 11.7.2).
//!
//! Who stores no commands has no state to save. What it needs of a snapshot is a point of the log:
//! index, term and membership. That stands in the record by which a log rests on a snapshot, so a
//! witness lets its log go by that record alone, and has no files. To one that lacks entries which
//! are gone, the leader sends such a point, as a manifest that names no chunks; of any other
//! snapshot, too, the manifest is all that a witness takes.
//!
//! That there is no state behind a point is told by the membership there: it says that the replica
//! is a witness. So a witness lets go of nothing before that is committed, and a replica takes no
//! snapshot without a body that does not say so.

use bytes::Bytes;

use super::{
    Raft,
    log::TermAt,
    message::{Message, Term},
    mutant::Mutant,
    progress::Progress,
    snapshot_result::{ALL_PARTS, SnapshotResult},
    state::State,
};
use crate::{
    codec::Decode,
    error::SubmitError,
    log::Index,
    members::NodeId,
    process::{Effect, Effects},
    read::Read,
    snapshot::{Cut, Manifest, SnapshotId},
};

impl State {
    /// Lets go of all that is committed, as a witness does.
    pub(super) fn let_go_as_witness(&mut self, out: &mut Effects<Raft>) {
        let hasty = self.has_bug(Mutant::WitnessLetsGoEarly);
        let upto = if hasty { self.log.last_index() } else { self.committed };
        let Some(cut) = self.cut_at(upto) else { return };
        let is_marked =
            cut.membership.is_witness(self.id()) || self.has_bug(Mutant::PointNotMarked);
        if upto > self.snapshots.covered() && is_marked && !self.is_lost() {
            self.snapshots.note_try(upto);
            self.rest_on(cut, false, out);
            // It never sends what it has to anybody.
            self.compact_log(upto);
        }
    }

    /// Tells whether nothing can be read here: a witness has no state, nor will have whoever is about
    /// to become one. Who has not heard yet that it takes part may be one.
    pub(super) fn has_no_state(&self) -> bool {
        let (membership, id) = (self.membership(), self.id());
        self.is_witness() || membership.is_witness(id) || !membership.is_member(id)
    }

    /// Refuses reads, since there is no state: whoever asks turns to the leader.
    pub(super) fn refuse_reads(&self, reads: &[Read], out: &mut Effects<Raft>) {
        let leader = self.leader();
        for Read { ticket, .. } in reads {
            let error = SubmitError::NoState { leader };
            out.push(Effect::Answer { ticket: *ticket, error });
        }
    }

    /// Returns the point of the log at `index`, unless that is gone.
    fn cut_at(&self, index: Index) -> Option<Cut> {
        let TermAt::Known(term) = self.log.term_at(index) else { return None };
        let membership = self.membership_at(index).clone();
        (index > Index::ZERO).then_some(Cut { index, term: term.0, membership })
    }

    /// Begins to send a witness the point up to which all is committed.
    ///
    /// The membership there says that it is one, or it would be sent a state.
    pub(super) fn begin_bare(&self, progress: &mut Progress) {
        if let Some(cut) = self.cut_at(self.committed) {
            progress.begin_bare(&Manifest::without_body(self.config.group(), cut));
        }
    }

    /// Takes a part of a snapshot as a witness does: the manifest says all that it needs to know.
    /// False if it has to be kept, and the others with it.
    pub(super) fn install_bare(
        &mut self,
        leader: NodeId,
        (snapshot, part): (SnapshotId, u32),
        bytes: &Bytes,
        out: &mut Effects<Raft>,
    ) -> bool {
        if part > 0 {
            return false;
        }
        let manifest = Manifest::decode_all(bytes.clone()).ok();
        let group = self.config.group();
        let is_named = |it: &Manifest| it.group == group && it.id() == snapshot;
        let Some(manifest) = manifest.filter(is_named) else { return false };
        let is_marked = manifest.cut.membership.is_witness(self.id());
        let is_credulous = !manifest.has_body() && self.has_bug(Mutant::BodyWithheld);
        if !is_marked && !is_credulous {
            // Who stores commands could not go on from a point alone.
            return !manifest.has_body();
        }
        let (index, term) = (manifest.cut.index, Term(manifest.cut.term));
        if index > self.snapshots.covered() {
            let holds = self.log.term_at(index) == TermAt::Known(term);
            self.rest_on(manifest.cut.clone(), !holds, out);
            match holds {
                true => self.compact_log(index),
                false => self.start_log(&manifest.cut, term),
            }
        }
        self.snapshots.find();
        self.committed = self.committed.max(index);
        let result = SnapshotResult::Stored { snapshot, next: ALL_PARTS };
        self.reply(leader, Message::SnapshotReply { term: self.term, result }, out);
        self.acknowledge(leader, self.committed, out);
        true
    }
}
