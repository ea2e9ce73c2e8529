//! What a leader does with snapshots: it sends them to followers that need entries which it has let
//! go (7).

use bytes::Bytes;

use super::{
    Raft, follower::Follower, leader::Leader, message::Message, progress::Progress,
    replicating::replicate, snapshot_result::SnapshotResult, state::State,
};
use crate::{
    members::NodeId,
    process::{Effect, Effects},
    role::Next,
    snapshot::{Report, SnapshotId},
};

impl Leader {
    /// Goes on with a snapshot where the follower is, or begins with one that it asks for.
    pub(super) fn on_snapshot_reply(
        &mut self,
        state: &mut State,
        from: NodeId,
        result: SnapshotResult,
        out: &mut Effects<Raft>,
    ) {
        let Some(progress) = self.progress.get_mut(&from) else { return };
        match result {
            SnapshotResult::Stored { snapshot, next } => progress.on_stored(snapshot, next),
            SnapshotResult::Wanted { .. } if progress.fed().is_some() => {}
            SnapshotResult::Wanted { .. } if state.strips_for(from) => state.begin_bare(progress),
            SnapshotResult::Wanted { index } => match state.snapshots.sendable() {
                Some(saved) if saved.id.index >= index => progress.begin_snapshot(saved, true),
                Some(_) | None => state.take_snapshot(out),
            },
        }
        replicate(state, from, progress, out);
    }

    /// Hears of a snapshot that was taken here, or of a part that is to be sent.
    pub(super) fn on_report(
        &mut self,
        state: &mut State,
        report: Report,
        out: &mut Effects<Raft>,
    ) -> Next<Raft> {
        match report {
            Report::Saved(saved) => {
                let used: Vec<_> = self.progress.values().filter_map(Progress::fed).collect();
                state.adopt(&saved, &used, out);
            }
            Report::Fetched { to, snapshot, part, bytes } => {
                self.on_fetched(state, to, (snapshot, part), bytes, out);
            }
            Report::Lost => {
                // Who has no state serves nobody.
                state.on_report(report, out);
                state.follow(None, out);
                return Next::Become(Follower::new().into());
            }
            Report::Failed | Report::Stored { .. } => state.on_report(report, out),
        }
        Next::Stay
    }

    fn on_fetched(
        &mut self,
        state: &mut State,
        to: NodeId,
        (snapshot, part): (SnapshotId, u32),
        bytes: Option<Bytes>,
        out: &mut Effects<Raft>,
    ) {
        let fed = self.progress.get_mut(&to).filter(|progress| progress.fed() == Some(snapshot));
        let Some(progress) = fed else { return };
        let Some(bytes) = bytes else {
            progress.end_snapshot();
            return state.on_snapshot_missing(snapshot, out);
        };
        let message = Message::InstallSnapshot { term: state.term(), snapshot, part, bytes };
        out.push(Effect::Send { to: state.config.peer(to), message, after: None });
    }
}
