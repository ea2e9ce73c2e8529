//! Groups at rest: a leader with nothing to do says so to its followers and sends no more
//! heartbeats.
//!
//! Followers at rest keep no election timer: they take the leader to be there for as long as its
//! node is heard of, which hosts judge once for all groups. Whatever happens to the group wakes it:
//! a command, a read or a request at its leader, a message that is no answer, the silence of the
//! leader's node, and of a follower's, since a leader that may have lost its majority has to find
//! out. Whoever is woken without cause asks the others, which wakes the leader, and its next
//! heartbeats settle it.
//!
//! No safety rule rests on it. A follower at rest has heard of its leader when it fell to rest, and
//! no later, but when another campaigns while the leader's node is there: it is as loyal then as if
//! heartbeats had gone on.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

use super::{
    Control, Raft, follower::Follower, following::Following, leader::Leader, message::Message,
    mutant::Mutant, snapshot_result::SnapshotResult, state::State,
};
use crate::{
    log::Index,
    members::NodeId,
    process::{Effect, Effects, Input},
    quorum::Tally,
    snapshot::Report,
    time::Time,
};

/// Whether a replica is at rest, and whose silence would wake it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    pub(super) is_on: bool,
    /// Nodes of which nothing is heard.
    silent: BTreeSet<NodeId>,
}

impl Rest {
    pub(super) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        let Self { is_on, silent } = self;
        (is_on, silent.iter().copied().map(name).collect::<BTreeSet<_>>()).hash(out);
    }
}

/// A leader's way to rest.
#[derive(Clone, Debug, Default)]
pub(super) struct Repose {
    /// How many heartbeats in a row went out while there was nothing to do.
    idle: u8,
    /// The followers that are at rest.
    agreed: BTreeSet<NodeId>,
    /// Whether the leader was at rest when it looked last.
    rested: bool,
}

/// How many heartbeats go out while there is nothing to do before one says so: groups that are used
/// now and then stay awake.
const IDLE_HEARTBEATS: u8 = 8;

impl Repose {
    pub(super) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        let Self { idle, agreed, rested } = self;
        (idle, agreed.iter().copied().map(name).collect::<BTreeSet<_>>(), rested).hash(out);
    }

    /// Notes that followers get a heartbeat, which wakes those that are at rest.
    pub(super) fn wake(&mut self) {
        self.agreed.clear();
    }

    /// Begins anew: there is something to do.
    pub(super) fn disturb(&mut self) {
        self.idle = 0;
        self.agreed.clear();
    }
}

impl State {
    /// Tells whether the group is at rest, as far as this replica knows: nothing but a wake-up
    /// concerns it.
    pub fn is_at_rest(&self) -> bool {
        self.rest.is_on
    }

    fn note_presence(&mut self, input: &Input<Raft>) {
        match input {
            Input::Control(Control::Silent(node)) => {
                self.rest.silent.insert(*node);
            }
            Input::Control(Control::Alive(node)) => {
                self.rest.silent.remove(node);
            }
            _ => {}
        }
    }

    /// Tells whether anything is heard of a node.
    pub(super) fn is_present(&self, node: NodeId) -> bool {
        !self.rest.silent.contains(&node)
    }

    /// Falls to rest. Nothing will be heard of a clock, so nothing is left that would wait for it.
    fn lie_down(&mut self) {
        self.rest.is_on = true;
        self.log.tidy();
    }

    /// Wakes this replica if it is at rest.
    pub(super) fn get_up(&mut self, now: Time) {
        if std::mem::take(&mut self.rest.is_on) {
            self.reset_election_timer(now);
        }
    }

    /// Takes note of who is present, and wakes this replica if it is at rest and the input concerns
    /// the group.
    pub(super) fn stir(&mut self, now: Time, input: &Input<Raft>) {
        self.note_presence(input);
        if !self.rest.is_on {
            return;
        }
        let leads = self.leader() == Some(self.id());
        match input {
            Input::Tick | Input::Persisted { .. } => {}
            // Who has no state must have another's.
            Input::Snapshot(report) => {
                if matches!(report, Report::Lost) {
                    self.get_up(now);
                }
            }
            Input::Control(Control::Silent(node)) if self.leader() == Some(*node) => {
                self.rest.is_on = false;
                // It was silent for about a timeout when that was judged.
                self.hurry_election_timer(now);
            }
            // What concerns the node is the leader's business.
            Input::Control(
                Control::Silent(_)
                | Control::Alive(_)
                | Control::StorageFull(_)
                | Control::Behind(_),
            ) => self.rest.is_on &= !leads,
            // A follower may answer on its own.
            Input::Control(Control::Read(_)) => self.rest.is_on &= !leads,
            Input::Submit(_) | Input::Control(_) => self.get_up(now),
            Input::Receive { from, message } => {
                let wants = matches!(
                    message,
                    Message::SnapshotReply { result: SnapshotResult::Wanted { .. }, .. }
                );
                if message.is_reply() && !wants || !self.admits(*from, message) {
                    return;
                }
                self.rest.is_on = false;
                if self.leader() == Some(*from) {
                    self.reset_election_timer(now);
                } else if !leads {
                    // Its node is there, so it counts as heard of until now.
                    self.hear_of_leader(now);
                }
            }
        }
    }
}

impl Follower {
    /// The leader has nothing to say for now.
    pub(super) fn on_rest(
        &mut self,
        state: &mut State,
        leader: NodeId,
        commit: Index,
        out: &mut Effects<Raft>,
    ) {
        let term = state.term();
        state.commit_to(commit.min(state.log.last_index()), |_| None, out);
        // Of a leader that is silent this is an old word; and whoever has something to do, or lacks
        // something, goes on.
        let agrees = state.config.rests() && state.is_present(leader);
        let has_all = state.committed() >= commit && !state.is_lost();
        let takes_more = !state.storage_full() && !state.behind;
        let is_idle =
            self.asking.is_empty() && state.transfers_to().is_none() && state.log.is_tidy();
        if !agrees || !has_all || !takes_more || !is_idle {
            state.reply_heartbeat(leader, 0, out);
            state.ask_for_snapshot_if_lost(leader, out);
            return;
        }
        state.lie_down();
        state.reply(leader, Message::RestReply { term, commit }, out);
    }
}

impl Leader {
    /// Tells whether nothing is to be done: all is committed, and all followers that can be heard,
    /// with this leader a majority, have it.
    fn is_idle(&self, state: &State) -> bool {
        let last = state.log.last_index();
        let settled = state.committed() == last && state.stable() == last && last >= self.noop;
        let free = self.reads.len() == 0 && !state.storage_full() && !state.behind;
        let stays = state.transfers_to().is_none()
            && !state.may_be_succeeded()
            && !self.awaits_superior(state)
            && self.changes.is_at_rest();
        settled && free && stays && state.log.is_tidy() && self.all_present(state, last)
    }

    fn all_present(&self, state: &State, last: Index) -> bool {
        let mut tally = Tally::default();
        tally.count(state.id(), true);
        let mut present = self.progress.iter().filter(|(peer, _)| state.is_present(**peer));
        present.all(|(peer, progress)| {
            tally.count(*peer, true);
            progress.matched() == last && progress.fed().is_none()
        }) && state.membership().verdict(&tally) == crate::quorum::Verdict::Won
    }

    /// Says that nothing is to be done, if that is so and has been for a while; false if a heartbeat
    /// is to go out instead.
    pub(super) fn offers_rest(&mut self, state: &State, out: &mut Effects<Raft>) -> bool {
        if !state.config.rests() || !self.is_idle(state) {
            self.repose.disturb();
            return false;
        }
        if self.repose.idle < IDLE_HEARTBEATS {
            self.repose.idle += 1;
            return false;
        }
        let (term, commit) = (state.term(), state.committed());
        for (peer, progress) in &self.progress {
            // Who is silent and lacks something may commit no more than it is known to have.
            let unbounded = state.has_bug(Mutant::HeartbeatCommitUnbounded);
            let message = if progress.matched() == commit || unbounded {
                Message::Rest { term, commit }
            } else {
                self.heartbeat(state, progress)
            };
            out.push(Effect::Send { to: state.config.peer(*peer), message, after: None });
        }
        true
    }

    /// A follower is at rest; when all are that can be heard, so is the leader.
    pub(super) fn on_rest_reply(&mut self, state: &mut State, from: NodeId, commit: Index) {
        if self.repose.idle < IDLE_HEARTBEATS || commit != state.log.last_index() {
            return;
        }
        self.repose.agreed.insert(from);
        let mut present = self.progress.keys().filter(|peer| state.is_present(**peer));
        let agreed = present.all(|peer| self.repose.agreed.contains(peer));
        if agreed && self.is_idle(state) {
            state.lie_down();
            self.repose.rested = true;
        }
    }

    /// Begins anew if the leader was woken: it counts its majority from now on, and whoever was
    /// there all the time is as fit to lead as before.
    pub(super) fn get_up(&mut self, state: &State, now: Time) {
        if !self.repose.rested || state.is_at_rest() {
            return;
        }
        self.repose = Repose::default();
        self.following = Following::begin(now, state.config.election_timeout());
        self.vouch_for_heirs(state, now);
    }
}
