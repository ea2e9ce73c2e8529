//! What a proposer is besides its office: its rounds, whom it follows, and what its node knows.

use super::{freshness::Confirmed, timer::Timer, transfer::Transfer};
use crate::{
    error::{RecoverError, SubmitError},
    log::Index,
    members::NodeId,
    membership::Membership,
    multi_paxos::{Ballot, Config, Message, Record, Role, mutant::Mutant},
    paxos::Round,
    process::{Effect, Effects, Ticket, Token},
    time::Time,
};

/// What the offices share.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) config: Config,
    /// The latest round that was heard of.
    seen: Round,
    /// The latest round of its own; it is never used again, whatever befalls the node.
    used: Round,
    persisting: Token,
    durable: Token,
    /// The record of `used`.
    round_token: Token,
    /// Records older than this were given up.
    compacted: Token,

    /// The latest ballot whose leader was heard of.
    heard: Option<Ballot>,
    leader: Option<NodeId>,
    /// What the node's learner knows, and what of it is in a durable snapshot.
    pub(super) known: Index,
    /// The slot of the configuration that holds behind `known`.
    era: Index,
    /// The latest era that an acceptor was heard to take part in.
    later: Index,
    base: Index,
    pub(super) storage_full: bool,
    /// Whether the replica has more to apply than it may.
    pub(super) behind: bool,
    /// Whether the process is about to end.
    pub(super) resigned: bool,

    pub(super) timer: Timer,
    /// The id of the last request for a read index; no life of the node uses it again.
    read_id: u64,
    pub(super) confirmed: Option<Confirmed>,
    pub(super) transfer: Option<Transfer>,
}

impl State {
    pub(super) fn recover(
        config: Config,
        now: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let (mut used, mut first, mut last) = (Round(0), None, Token::default());
        for (token, record) in records {
            let Record::Round(round) = record else {
                let reason = "it is no record of a proposer";
                return Err(RecoverError::Contradiction { token: token.0, reason });
            };
            if round < used {
                let reason = "its round is before one that was used";
                return Err(RecoverError::Contradiction { token: token.0, reason });
            }
            if !config.has_bug(Mutant::RoundForgottenOnRestart) {
                used = round;
            }
            first = first.or(Some(token));
            last = token;
        }
        let (timer, read_id) = (Timer::new(config.seed(), now), config.reads_from());
        let mut state = Self {
            config,
            seen: used,
            used,
            persisting: last,
            durable: last,
            round_token: last,
            compacted: first.unwrap_or_default(),
            heard: None,
            leader: None,
            known: Index::ZERO,
            era: Index::ZERO,
            later: Index::ZERO,
            base: Index::ZERO,
            storage_full: false,
            behind: false,
            resigned: false,
            timer,
            read_id,
            confirmed: None,
            transfer: None,
        };
        // Who is alone need not wait for anybody.
        if !state.config.membership().is_alone(state.config.id()) {
            state.reset_election_timer(now);
        }
        Ok(state)
    }

    // Ballots.

    /// Notes that a round was used by somebody.
    pub(super) fn see(&mut self, round: Round) {
        self.seen = self.seen.max(round);
    }

    /// Returns the ballot that this proposer would begin next.
    pub(super) fn next_ballot(&self) -> Ballot {
        Ballot { era: self.era, round: self.seen.max(self.used).next(), node: self.config.id() }
    }

    /// Begins the next ballot; nobody may hear of it before the returned record is durable.
    pub(super) fn begin_ballot(&mut self, out: &mut Effects<Role>) -> (Ballot, Token) {
        let ballot = self.next_ballot();
        self.used = ballot.round;
        (ballot, self.persist_round(out))
    }

    /// Writes the round anew, so that the journal can give up the older record.
    pub(super) fn make_room(&mut self, out: &mut Effects<Role>) {
        if self.used > Round(0) {
            self.persist_round(out);
        }
    }

    fn persist_round(&mut self, out: &mut Effects<Role>) -> Token {
        self.persisting = self.persisting.next();
        self.round_token = self.persisting;
        let record = Record::Round(self.used);
        out.push(Effect::Persist { token: self.persisting, record });
        self.persisting
    }

    pub(super) fn on_persisted(&mut self, upto: Token, out: &mut Effects<Role>) {
        assert!(upto <= self.persisting, "only what was handed over can become durable");
        self.durable = self.durable.max(upto);
        if self.round_token <= self.durable && self.round_token > self.compacted {
            self.compacted = self.round_token;
            out.push(Effect::Compact { before: self.round_token });
        }
    }

    // What the node's other roles say.

    /// Returns the slot of the configuration that this proposer goes by.
    pub(super) fn era(&self) -> Index {
        self.era
    }

    /// Goes by the configuration of a slot that is known to be chosen; false if that is no news.
    pub(super) fn enter(&mut self, era: Index, membership: Membership) -> bool {
        if era < self.era || era == self.era && *self.config.membership() == membership {
            return false;
        }
        let is_news = era > self.era;
        self.era = era;
        if !(is_news && self.config.has_bug(Mutant::FormerMembersDecide)) {
            self.config.reconfigure(membership);
        }
        is_news
    }

    /// Tells whether acceptors take part in an era that this proposer does not know: all slots of its
    /// own are chosen.
    pub(super) fn is_over(&self) -> bool {
        self.later > self.era
    }

    /// Has the node's learner ask what was chosen before a ballot's era, if that is not known.
    ///
    /// In that ballot none of these slots was proposed in: it began when all were chosen.
    pub(super) fn seek_era(&mut self, ballot: Ballot, out: &mut Effects<Role>) {
        self.later = self.later.max(ballot.era);
        self.seek(ballot, ballot.era, out);
    }

    /// Notes what the node's learner knows.
    pub(super) fn on_known(&mut self, chosen: Index, base: Index, out: &mut Effects<Role>) {
        self.known = self.known.max(chosen);
        if base <= self.base {
            return;
        }
        self.base = base;
        // An old record would keep all that came after it in the journal.
        if self.used > Round(0) && self.round_token <= self.durable {
            self.persist_round(out);
        }
    }

    /// Notes that the leader of `ballot` was heard of; false if a later one was before.
    pub(super) fn hear(&mut self, ballot: Ballot, now: Time, out: &mut Effects<Role>) -> bool {
        if self.heard.is_some_and(|heard| ballot < heard) {
            return false;
        }
        self.see(ballot.round);
        self.reset_election_timer(now);
        self.heard = Some(ballot);
        // It may have been this one, which leads no more.
        let leader = Some(ballot).filter(|ballot| ballot.node != self.config.id());
        self.follow(leader, out);
        true
    }

    /// Returns the latest ballot whose leader was heard of.
    pub(super) fn followed(&self) -> Option<Ballot> {
        self.heard
    }

    /// Returns the leader, as far as this proposer knows.
    pub(super) fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Notes that this proposer leads.
    pub(super) fn take_the_lead(&mut self, ballot: Ballot, out: &mut Effects<Role>) {
        assert!(self.heard < Some(ballot), "whoever hears of a later leader does not lead");
        self.heard = Some(ballot);
        self.follow(Some(ballot), out);
    }

    /// Notes who leads, and sends clients there.
    pub(super) fn follow(&mut self, ballot: Option<Ballot>, out: &mut Effects<Role>) {
        let leader = ballot.map(|ballot| ballot.node);
        if self.leader != leader {
            self.leader = leader;
            out.push(Effect::Route { leader });
        }
        if let Some(ballot) = ballot {
            self.conclude_transfer(ballot, out);
        }
    }

    /// Lets the node's learner know that others know slots up to `chosen`, so that it asks them.
    ///
    /// In `ballot`, which is this proposer's own, none of these slots was or will be proposed in: a
    /// ballot that comes after their choice proposes nothing else, and one before it is never led.
    pub(super) fn seek(&self, ballot: Ballot, chosen: Index, out: &mut Effects<Role>) {
        if chosen > self.known {
            let message = Message::Chosen { ballot, upto: chosen };
            let to = self.config.learner(self.config.id());
            out.push(Effect::Send { to, message, after: None });
        }
    }

    // Refusals.

    /// Refuses whatever the tickets stand for, since this proposer does not lead.
    pub(super) fn refuse(
        &self,
        tickets: impl IntoIterator<Item = Ticket>,
        out: &mut Effects<Role>,
    ) {
        let leader = self.leader.filter(|leader| *leader != self.config.id());
        for ticket in tickets {
            out.push(Effect::Answer { ticket, error: SubmitError::NotLeader { leader } });
        }
    }

    /// Returns an id for a request for a read index that no request has had.
    pub(super) fn next_read_id(&mut self) -> u64 {
        self.read_id += 1;
        self.read_id
    }
}
