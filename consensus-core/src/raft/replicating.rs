//! What a leader sends to its followers (5.3): entries, and word that it leads.

use super::{
    Raft,
    leader::Leader,
    log::TermAt,
    message::{Entry, Message},
    mutant::Mutant,
    progress::Progress,
    state::State,
};
use crate::{
    log::Index,
    members::NodeId,
    process::{Effect, Effects},
    snapshot::Order,
    time::Time,
};

impl Leader {
    /// Returns the last index at which a follower's log is known to agree.
    pub(super) fn matched(&self, follower: NodeId) -> Index {
        self.progress.get(&follower).map_or(Index::ZERO, Progress::matched)
    }

    /// Begins to replicate to members that the configuration brought.
    pub(super) fn enlist(&mut self, state: &State, out: &mut Effects<Raft>) {
        let last = state.log.last_index();
        for peer in state.peers() {
            let progress = self.progress.entry(peer).or_insert_with(|| Progress::new(last));
            replicate(state, peer, progress, out);
        }
    }

    /// Ceases to replicate to whoever is no member any more.
    pub(super) fn dismiss(&mut self, state: &mut State) {
        let (_, membership) = state.configurations.latest();
        state.lease.dismiss(|peer| membership.is_member(peer));
        self.progress.retain(|peer, _| state.membership().is_member(*peer));
    }

    pub(super) fn replicate_all(&mut self, state: &State, out: &mut Effects<Raft>) {
        for (peer, progress) in &mut self.progress {
            replicate(state, *peer, progress, out);
        }
    }

    /// Sends learners what has become committed.
    pub(super) fn replicate_to_learners(&mut self, state: &State, out: &mut Effects<Raft>) {
        for learner in state.membership().learners() {
            if let Some(progress) = self.progress.get_mut(&learner) {
                replicate(state, learner, progress, out);
            }
        }
    }

    /// A peer can be reached no more, or again.
    pub(super) fn on_reach(
        &mut self,
        state: &State,
        peer: NodeId,
        reached: bool,
        out: &mut Effects<Raft>,
    ) {
        let Some(progress) = self.progress.get_mut(&peer) else { return };
        if reached {
            progress.on_alive();
            replicate(state, peer, progress, out);
        } else {
            progress.on_silent();
        }
    }

    pub(super) fn broadcast_heartbeat(
        &mut self,
        state: &mut State,
        now: Time,
        out: &mut Effects<Raft>,
    ) {
        self.date_heartbeats(state, now);
        self.heartbeat_due = now + state.config.heartbeat();
        self.repose.wake();
        for (peer, progress) in &self.progress {
            let message = self.heartbeat(state, progress);
            out.push(Effect::Send { to: state.config.peer(*peer), message, after: None });
        }
    }

    /// Makes the heartbeat for a follower of that progress.
    pub(super) fn heartbeat(&self, state: &State, progress: &Progress) -> Message {
        let known = state.committed().min(progress.matched());
        let unbounded = state.has_bug(Mutant::HeartbeatCommitUnbounded);
        Message::Heartbeat {
            term: state.term(),
            commit: if unbounded { state.committed() } else { known },
            round: self.reads.round(),
        }
    }
}

impl State {
    /// Returns the last index that `peer` is sent.
    ///
    /// Who does not vote gets what is committed. Else it might come to hold what a leader that is
    /// lost had told nobody else: it would refuse its vote to all the others once one of them counts
    /// on it, since in that one's log it votes, and could not campaign itself, since in its own it
    /// does not.
    fn last_for(&self, peer: NodeId) -> Index {
        let is_spared = self.membership().is_learner(peer) && !self.has_bug(Mutant::LearnerAhead);
        if is_spared { self.committed() } else { self.log.last_index() }
    }
}

/// Sends `peer` what it lacks, as far as its window has room.
pub(super) fn replicate(
    state: &State,
    peer: NodeId,
    progress: &mut Progress,
    out: &mut Effects<Raft>,
) {
    let (last, window) = (state.last_for(peer), state.config.window());
    let (strips, membership) = (state.strips_for(peer), state.membership());
    // A learner that is to be a witness, which is not decided yet, is spared what it will not keep.
    if membership.is_learner(peer) && membership.is_witness(peer) && !strips {
        return;
    }
    let is_spared = strips || state.has_bug(Mutant::BodyWithheld);
    // Who has become a witness meanwhile needs no more of a body.
    if is_spared && progress.fed().is_some() && progress.bare().is_none() {
        state.begin_bare(progress);
    }
    while progress.may_send(last, window) {
        let prev_index = progress.next().previous();
        let TermAt::Known(prev_term) = state.log.term_at(prev_index) else {
            // What comes next was let go: a snapshot goes in its place (7).
            if is_spared {
                state.begin_bare(progress);
            } else if let Some(saved) = state.snapshots.sendable() {
                progress.begin_snapshot(saved, false);
            }
            break;
        };
        let batch = state.log.batch(progress.next(), state.config.append_bytes_max());
        let batch = batch.iter().take(last.0.saturating_sub(prev_index.0) as usize);
        let entries: Vec<Entry> = match strips {
            true => batch.map(Entry::stripped).collect(),
            false => batch.cloned().collect(),
        };
        let sent = Index(prev_index.0 + entries.len() as u64);
        progress.on_sent(sent, entries.iter().map(|entry| entry.payload.size()).sum());
        if state.has_bug(Mutant::SentCountsAsMatched) {
            progress.on_matched(sent);
        }
        let message = Message::Append {
            term: state.term(),
            prev_index,
            prev_term,
            entries,
            commit: state.committed(),
        };
        out.push(Effect::Send { to: state.config.peer(peer), message, after: None });
    }
    while let Some((snapshot, part)) = progress.next_part(state.config.snapshot_window()) {
        let Some(bytes) = progress.bare().cloned() else {
            out.push(Effect::Snapshot(Order::Fetch { to: peer, snapshot, part }));
            continue;
        };
        let message = Message::InstallSnapshot { term: state.term(), snapshot, part, bytes };
        out.push(Effect::Send { to: state.config.peer(peer), message, after: None });
    }
}
