//! Fetching a snapshot from another learner, part by part, by its name: whoever has the same one can
//! go on with it.

use bytes::Bytes;

use super::Learner;
use crate::{
    log::Index,
    members::NodeId,
    multi_paxos::{Message, Role},
    process::{Effect, Effects},
    snapshot::{Order, SnapshotId},
    time::Time,
};

/// A snapshot that is being fetched.
#[derive(Clone, Debug)]
pub(super) struct Fetching {
    from: NodeId,
    snapshot: SnapshotId,
    /// The first part that was not asked for.
    asked: u32,
    /// When something of it came last.
    moved: Time,
}

impl Fetching {
    /// Tells whether it reaches no further than `index`.
    pub(super) fn is_covered_by(&self, index: Index) -> bool {
        self.snapshot.index <= index
    }
}

impl Learner {
    /// Tells whether a snapshot is on its way; one that has stood still for an election timeout is
    /// given up.
    pub(super) fn is_fetching(&mut self, now: Time) -> bool {
        let patience = self.config.election_timeout();
        self.fetching.take_if(|fetching| now >= fetching.moved + patience);
        self.fetching.is_some()
    }

    /// Offers the newest snapshot; where there is none that would do, one is taken.
    pub(super) fn offer(&mut self, now: Time, to: NodeId, first: Index, out: &mut Effects<Role>) {
        match self.snapshots.sendable().map(|saved| saved.id) {
            Some(snapshot) if snapshot.index.next() >= first => {
                self.snapshots.serve(to, snapshot, now);
                let message = Message::Offer { snapshot };
                out.push(Effect::Send { to: self.config.learner(to), message, after: None });
            }
            Some(_) | None => self.take_snapshot(out),
        }
    }

    /// Begins to fetch a snapshot that reaches further than this learner.
    pub(super) fn on_offer(
        &mut self,
        now: Time,
        from: NodeId,
        snapshot: SnapshotId,
        out: &mut Effects<Role>,
    ) {
        let helps = snapshot.index > self.chosen
            || self.snapshots.is_lost() && snapshot.index >= self.chosen;
        if !helps || self.is_fetching(now) || snapshot.index.0 == u64::MAX {
            return;
        }
        self.fetching = Some(Fetching { from, snapshot, asked: 0, moved: now });
        self.fetch(0, out);
    }

    /// Asks for the parts from `next` on, as many as may be on their way.
    fn fetch(&mut self, next: u32, out: &mut Effects<Role>) {
        let Some(fetching) = &mut self.fetching else { return };
        let upto = next.saturating_add(self.config.snapshot_window());
        let (to, snapshot) = (self.config.learner(fetching.from), fetching.snapshot);
        for part in fetching.asked.max(next)..upto {
            let message = Message::Fetch { snapshot, part };
            out.push(Effect::Send { to, message, after: None });
        }
        fetching.asked = fetching.asked.max(upto);
    }

    /// Has a part read for another learner.
    pub(super) fn on_fetch(
        &mut self,
        now: Time,
        from: NodeId,
        (snapshot, part): (SnapshotId, u32),
        out: &mut Effects<Role>,
    ) {
        let parts = self.snapshots.serve(from, snapshot, now);
        if parts.is_some_and(|parts| part >= parts) {
            // It does not know how many there are, and asks beyond the last.
            return;
        }
        out.push(Effect::Snapshot(Order::Fetch { to: from, snapshot, part }));
    }

    /// Sends a part that was read.
    pub(super) fn on_fetched(
        &mut self,
        to: NodeId,
        (snapshot, part): (SnapshotId, u32),
        bytes: Option<Bytes>,
        out: &mut Effects<Role>,
    ) {
        if bytes.is_none() {
            self.snapshots.miss(snapshot);
        }
        let message = Message::Part { snapshot, part, bytes };
        out.push(Effect::Send { to: self.config.learner(to), message, after: None });
    }

    /// Keeps a part that came, or gives the snapshot up where it is gone.
    pub(super) fn on_part(
        &mut self,
        from: NodeId,
        (snapshot, part): (SnapshotId, u32),
        bytes: Option<Bytes>,
        out: &mut Effects<Role>,
    ) {
        let awaited = |it: &Fetching| (it.from, it.snapshot) == (from, snapshot);
        if !self.fetching.as_ref().is_some_and(awaited) {
            return;
        }
        match bytes {
            Some(bytes) => {
                out.push(Effect::Snapshot(Order::Store { from, snapshot, part, bytes }));
            }
            None => self.fetching = None,
        }
    }

    /// Goes on with what is missing.
    pub(super) fn on_stored(
        &mut self,
        now: Time,
        (from, snapshot): (NodeId, SnapshotId),
        next: u32,
        out: &mut Effects<Role>,
    ) {
        let Some(fetching) = &mut self.fetching else { return };
        if (fetching.from, fetching.snapshot) != (from, snapshot) {
            return;
        }
        fetching.moved = now;
        if next < fetching.asked.saturating_sub(self.config.snapshot_window()) {
            // What was there turned out to be damaged: it begins anew.
            fetching.asked = next;
        }
        self.fetch(next, out);
    }
}
