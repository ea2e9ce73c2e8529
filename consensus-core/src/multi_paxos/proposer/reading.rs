//! How a leader serves reads: its own, and those of followers that ask how far theirs must see.
//!
//! A read sees everything that was chosen when it arrived. So a round of heartbeats that started
//! after its arrival must be answered by so many acceptors that every phase 1 needs one of them: no
//! later ballot can have had anything chosen before. Under a lease they have promised so for a
//! while, counted from when the heartbeat was *sent* (MPX-P07).

use std::time::Duration;

use super::{leading::Leading, state::State};
use crate::{
    error::SubmitError,
    log::Index,
    members::NodeId,
    multi_paxos::{Config, Message, Role, mutant::Mutant},
    process::{Effect, Effects},
    read::{Read, ReadLevel},
    rounds::lease_length,
    time::Time,
};

impl Config {
    /// Returns for how long a leader may rely on an acceptor's loyalty: it is kept for an election
    /// timeout by the acceptor's clock, which may be faster.
    pub(in crate::multi_paxos) fn lease_length(&self) -> Duration {
        let ignores = self.has_bug(Mutant::LeaseIgnoresDrift);
        lease_length(self.election_timeout(), if ignores { 0 } else { self.clock_drift() })
    }

    /// Returns the largest value that enough acceptors have reached for any phase 1 to need one of
    /// them.
    fn reached<T: Ord + Copy + Default>(
        &self,
        off_by_one: Mutant,
        reached: impl FnMut(NodeId) -> T,
    ) -> T {
        let mut values: Vec<T> = self.acceptors().map(reached).collect();
        values.sort_unstable();
        // Those from here on are so many that fewer than a phase 1 needs are left.
        let short_by = usize::from(self.has_bug(off_by_one));
        values
            .get((self.quorums().prepare() - 1 + short_by).min(values.len() - 1))
            .copied()
            .unwrap_or_default()
    }
}

/// Tells whether reads of this level may rest on a lease.
fn trusts_clocks(level: ReadLevel) -> bool {
    match level {
        ReadLevel::Lease => true,
        ReadLevel::Linearizable | ReadLevel::Stale { .. } | ReadLevel::After { .. } => false,
    }
}

impl Leading {
    /// Answers reads from a lease, or has acceptors confirm them.
    pub(super) fn on_read(
        &mut self,
        state: &mut State,
        now: Time,
        reads: Vec<Read>,
        out: &mut Effects<Role>,
    ) {
        let limit = state.config.proposals_max();
        let alone = self.holds_lease(state, now);
        for read in reads {
            let Some(Read { ticket, level }) = state.read_here(now, read, out) else { continue };
            if alone && trusts_clocks(level) {
                out.push(Effect::ReadReady { ticket, at: self.chosen() });
            } else if self.reads.len() >= limit {
                out.push(Effect::Answer { ticket, error: SubmitError::Busy { limit } });
            } else if state.config.has_bug(Mutant::ReadUnconfirmed) && self.knows_all(state) {
                out.push(Effect::ReadReady { ticket, at: self.chosen() });
            } else if state.config.has_bug(Mutant::ReadJoinsRunningRound) {
                self.reads.join(ticket);
            } else {
                self.reads.push(ticket);
            }
        }
        self.advance_reads(state, now, out);
    }

    /// Takes a follower's request for an index that its reads must see.
    pub(super) fn on_read_index(
        &mut self,
        state: &mut State,
        now: Time,
        (follower, id, lease): (NodeId, u64, bool),
        out: &mut Effects<Role>,
    ) {
        if lease && self.holds_lease(state, now) {
            return tell_index(state, follower, (id, self.chosen()), out);
        }
        self.reads.ask(follower, id);
        self.advance_reads(state, now, out);
    }

    pub(super) fn on_heartbeat_reply(
        &mut self,
        state: &mut State,
        now: Time,
        from: NodeId,
        (round, promise, known, base): (u64, Option<Duration>, Index, Index),
        out: &mut Effects<Role>,
    ) {
        if round > self.reads.round() {
            tracing::error!(%from, round, "an acceptor answers a round that was never started");
            return;
        }
        if state.config.membership().is_member(from) {
            self.on_follower(now, from, (known, base));
        }
        let Some(progress) = self.hear(from, now) else { return };
        progress.on_round(round);
        self.on_promise((state, now), (from, round, promise));
        self.advance_reads(state, now, out);
    }

    /// Answers reads that acceptors have confirmed, and starts a round for those that wait.
    pub(super) fn advance_reads(&mut self, state: &mut State, now: Time, out: &mut Effects<Role>) {
        // Behind a configuration that is chosen others may decide, and this round asks none of them.
        if self.reads.is_idle() || !self.knows_all(state) || self.is_over() {
            return;
        }
        let progress = &self.progress;
        let round = state.config.reached(Mutant::ReadQuorumOffByOne, |node| {
            progress.get(&node).map_or(0, |it| it.round())
        });
        if let Some((asked_at, at, reads)) = self.reads.confirmed(round) {
            state.confirm(asked_at, at);
            for ticket in reads.tickets {
                out.push(Effect::ReadReady { ticket, at });
            }
            for (follower, id) in reads.requests {
                tell_index(state, follower, (id, at), out);
            }
        }
        if self.reads.start(now, self.chosen(), false) {
            self.broadcast_heartbeat(state, now, out);
        }
    }

    /// Tells whether this leader knows all that earlier ones may have had chosen.
    fn knows_all(&self, state: &State) -> bool {
        self.chosen() >= self.begins || state.config.has_bug(Mutant::ReadBeforeRecovery)
    }

    /// Takes note of what an acceptor promises that answers the heartbeats of `round`.
    fn on_promise(
        &mut self,
        (state, now): (&State, Time),
        (acceptor, round, promise): (NodeId, u64, Option<Duration>),
    ) {
        let (true, Some(promise)) = (state.config.lease(), promise) else { return };
        let Some(sent) = self.rounds.began(round) else { return };
        let late = state.config.has_bug(Mutant::LeaseTimedAtAnswer);
        let sent = if late { now } else { sent };
        // By the stricter of what the two declare.
        let length = state.config.lease_length().min(promise);
        let until = self.promised.entry(acceptor).or_default();
        *until = (*until).max(sent + length);
    }

    /// Returns until when nobody else can lead, as far as this leader knows; `None` if that is not
    /// known at all. It is long past where acceptors have gone silent.
    pub(super) fn lease_until(&self, state: &State) -> Option<Time> {
        let lasts = state.config.has_bug(Mutant::LeaseThroughTransfer);
        if !state.config.lease()
            || !self.knows_all(state)
            || self.is_lease_void && !lasts
            || self.next.is_some()
        {
            return None;
        }
        let promised = &self.promised;
        Some(state.config.reached(Mutant::LeaseQuorumOffByOne, |node| {
            promised.get(&node).copied().unwrap_or_default()
        }))
    }

    /// Tells whether nobody else can lead by `now`, which is no earlier than what asks.
    fn holds_lease(&self, state: &State, now: Time) -> bool {
        self.lease_until(state).is_some_and(|until| now < until)
    }
}

/// Answers a follower's request: its reads must see everything up to `index`.
fn tell_index(state: &State, follower: NodeId, (id, index): (u64, Index), out: &mut Effects<Role>) {
    let (to, message) = (state.config.proposer(follower), Message::ReadIndexReply { id, index });
    out.push(Effect::Send { to, message, after: None });
}
