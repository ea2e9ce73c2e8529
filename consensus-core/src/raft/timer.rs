//! The election timer (5.2), and loyalty to a leader that is heard of (dissertation 4.2.3).

use std::time::Duration;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{
    message::{Message, Term},
    mutant::Mutant,
    state::State,
};
use crate::time::Time;

/// Proof that the election timer ran out.
#[derive(Clone, Debug)]
pub(super) struct TimedOut(());

/// When a replica gives its leader up.
#[derive(Clone, Debug)]
pub(super) struct Timer {
    deadline: Time,
    /// When a leader was heard of last; a restart forgets it.
    heard: Option<Time>,
    draw: ChaCha8Rng,
}

impl Timer {
    /// Makes a timer that has run out.
    pub(super) fn new(seed: u64, now: Time) -> Self {
        Self { deadline: now, heard: None, draw: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl State {
    /// Draws a new timeout, from T to 2T for a replica of the usual priority (5.2).
    pub(super) fn reset_election_timer(&mut self, now: Time) {
        let (shortest, spread) = self.config.election_timeouts();
        self.draw_timeout(now + shortest, spread);
    }

    /// Draws a new timeout from nothing to T, for who has waited for T already.
    pub(super) fn hurry_election_timer(&mut self, now: Time) {
        let (shortest, spread) = self.config.election_timeouts();
        let waited = self.config.election_timeout();
        self.draw_timeout(now + shortest.saturating_sub(waited), spread);
    }

    fn draw_timeout(&mut self, earliest: Time, spread: Duration) {
        let spread = spread.as_nanos() as u64;
        let jitter = Duration::from_nanos(self.timer.draw.next_u64() % spread.max(1));
        self.timer.deadline = earliest + jitter;
    }

    /// Notes that the leader of the present term was heard of.
    pub(super) fn hear_of_leader(&mut self, now: Time) {
        self.timer.heard = Some(now);
        self.reset_election_timer(now);
    }

    /// Tells whether others that campaign are refused: this replica leads, or has heard of a leader
    /// within the shortest election timeout (dissertation 4.2.3). Whatever has become of that leader
    /// since, as far as this replica knows: a lease may rest on it.
    pub(super) fn is_loyal(&self, now: Time) -> bool {
        let forgets = self.has_bug(Mutant::LoyaltyForgotten) && self.leader().is_none();
        let leads = self.leader() == Some(self.id());
        self.config.check_quorum() && (leads || self.has_heard(now) && !forgets)
    }

    /// Tells whether a leader was heard of within the shortest election timeout.
    fn has_heard(&self, now: Time) -> bool {
        self.timer.heard.is_some_and(|heard| now < heard + self.config.election_timeout())
    }

    /// Takes a leader to have been heard of until the process before this one ended, for which it
    /// may have promised its loyalty (RAFT-P20).
    pub(super) fn stay_loyal(&mut self, now: Time) {
        // Who was a candidate in the present term has heard of no other leader in it; and alone it
        // need not wait.
        let (alone, own) = (self.membership().is_alone(self.id()), Some(self.id()));
        let has_promised = self.term() > Term::default() && !(alone && self.voted_for() == own);
        if has_promised && !self.has_bug(Mutant::PromiseForgottenOnRestart) {
            self.timer.heard = Some(now);
        }
    }

    /// Tells whether a campaign is ignored out of loyalty: but for one that the leader itself asked
    /// for, and that this replica has no other reason to refuse (dissertation 4.2.3).
    pub(super) fn is_loyal_against(&self, campaign: &Message, now: Time) -> bool {
        let Message::Vote { last_index, last_term, transfer, .. } = campaign else { return false };
        let electable = self.is_up_to_date(*last_index, *last_term)
            || self.has_bug(Mutant::TransferVoteUnchecked);
        let entitled = *transfer && electable;
        !entitled && self.is_loyal(now)
    }

    /// Tells whether the election timer ran out.
    pub(super) fn is_overdue(&self, now: Time) -> bool {
        now >= self.timer.deadline
    }

    /// Proves that the election timer ran out, if it did and the replica may campaign. Who is not
    /// fit to lead waits for others.
    pub(super) fn timed_out(&self, now: Time) -> Option<TimedOut> {
        let campaigns = self.is_overdue(now) && self.may_campaign() && self.willingness().is_some();
        // Its own vote is bound as it is against others: the timer may have been hurried.
        let bound = self.config.check_quorum()
            && self.has_heard(now)
            && !self.has_bug(Mutant::OwnVoteUnbound);
        (campaigns && !bound).then_some(TimedOut(()))
    }
}
