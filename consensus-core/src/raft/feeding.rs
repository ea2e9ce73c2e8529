//! How far a snapshot has come that a leader sends to a follower.

use bytes::Bytes;

use crate::{
    codec::Encode,
    snapshot::{Manifest, Saved, SnapshotId},
};

/// A snapshot on its way: parts follow each other, a few unanswered at a time.
#[derive(Clone, Debug, Hash)]
pub(super) struct Feeding {
    id: SnapshotId,
    parts: u32,
    /// The first part that the follower lacks, and the first that was not sent.
    stored: u32,
    sent: u32,
    /// How many heartbeat intervals passed since the last progress.
    age: u8,
    /// Whether the follower asked for it, whatever its log holds.
    wanted: bool,
    /// The manifest, where there is nothing else to send: the follower is a witness.
    bare: Option<Bytes>,
}

/// Who answers heartbeats, and for so many intervals has got no other part, has lost those in
/// flight: a part takes longer than an Append, on the wire and to the disk.
const LOST_AFTER: u8 = 5;

impl Feeding {
    pub(super) fn begin(saved: &Saved, wanted: bool) -> Self {
        let (id, parts) = (saved.id, saved.parts);
        Self { id, parts, stored: 0, sent: 0, age: 0, wanted, bare: None }
    }

    /// Begins with a snapshot that has no body.
    pub(super) fn begin_bare(manifest: &Manifest) -> Self {
        let bare = Some(manifest.encoded().into());
        Self { bare, ..Self::begin(&Saved::from(manifest), false) }
    }

    /// Returns the manifest, where there is nothing else to send.
    pub(super) fn bare(&self) -> Option<&Bytes> {
        self.bare.as_ref()
    }

    pub(super) fn id(&self) -> SnapshotId {
        self.id
    }

    /// Tells whether the follower asked for it, whatever its log holds.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Returns the part to send next, if one may be on its way beside the others.
    pub(super) fn next_part(&mut self, window: u32) -> Option<(SnapshotId, u32)> {
        let part = self.sent;
        (part < self.parts && part < self.stored.saturating_add(window)).then(|| {
            self.sent += 1;
            (self.id, part)
        })
    }

    /// Notes that the follower has the parts before `next`, or only these: it was restarted. True
    /// once it has all.
    pub(super) fn on_stored(&mut self, snapshot: SnapshotId, next: u32) -> bool {
        if self.id != snapshot {
            return false;
        }
        let next = next.min(self.parts);
        if next > self.stored {
            self.age = 0;
        }
        self.stored = next;
        next == self.parts
    }

    /// Notes that a heartbeat interval has passed.
    pub(super) fn on_interval(&mut self) {
        self.age = LOST_AFTER.min(self.age + 1);
    }

    /// Notes an answered heartbeat: the follower is there, so what it has not answered for long was
    /// lost.
    pub(super) fn on_heartbeat(&mut self) {
        if self.age >= LOST_AFTER {
            // The last one again where all were sent: its answer was lost.
            (self.sent, self.age) = (self.stored.min(self.parts - 1), 0);
        }
    }
}
