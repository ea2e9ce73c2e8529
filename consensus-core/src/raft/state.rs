//! What the roles share: the persistent state of figure 2, and what of it is durable.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
};

use super::{
    Raft,
    config::Config,
    configurations::Configurations,
    fitness::Fitness,
    footing::Footing,
    freshness::Confirmed,
    lease::Lease,
    log::Log,
    message::{Entry, Payload, Term},
    mutant::Mutant,
    record::Record,
    rest::Rest,
    snapshots::Snapshots,
    timer::Timer,
    transfer::Handover,
};
use crate::{
    log::{Decided, Index},
    members::NodeId,
    process::{Effect, Effects, Ticket, Token},
    time::Time,
};

/// What a replica is besides its role.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) config: Config,
    pub(super) log: Log,
    pub(super) configurations: Configurations,
    pub(super) term: Term,
    pub(super) voted_for: Option<NodeId>,
    pub(super) committed: Index,
    pub(super) leader: Option<NodeId>,
    storage_full: bool,
    pub(super) snapshots: Snapshots,
    /// The log has commands without their bytes.
    pub(super) is_blind: bool,
    /// Whether the replica has more to apply than it may.
    pub(super) behind: bool,

    /// The youngest record handed to the host, and the youngest that is durable.
    pub(super) persisting: Token,
    pub(super) durable: Token,
    /// The record of the present vote, and those that the log rests on.
    pub(super) vote_token: Token,
    pub(super) footing: Footing,
    /// Records older than this were given up.
    compacted: Token,
    /// Entries on their way to the disk: a record, and the last index that its durability vouches
    /// for.
    pub(super) unsynced: VecDeque<(Token, Index)>,
    pub(super) stable: Index,

    pub(super) timer: Timer,
    /// The id of the last request for a read index; no life of the replica uses it again.
    pub(super) read_id: u64,
    pub(super) confirmed: Option<Confirmed>,
    pub(super) handover: Handover,
    pub(super) rest: Rest,
    pub(super) fitness: Fitness,
    pub(super) lease: Lease,
}

impl State {
    /// Makes the state of a replica that has nothing.
    pub(super) fn blank(config: Config, now: Time) -> Self {
        let timer = Timer::new(config.seed(), now);
        let restarts = config.has_bug(Mutant::ReadIdsRestart);
        let read_id = if restarts { 0 } else { config.reads_from() };
        let first = config.membership().clone();
        Self {
            config,
            log: Log::default(),
            configurations: Configurations::new(Index::ZERO, first),
            term: Term::default(),
            voted_for: None,
            committed: Index::ZERO,
            leader: None,
            storage_full: false,
            snapshots: Snapshots::default(),
            is_blind: false,
            behind: false,
            persisting: Token::default(),
            durable: Token::default(),
            vote_token: Token::default(),
            footing: Footing::default(),
            compacted: Token::default(),
            unsynced: VecDeque::new(),
            stable: Index::ZERO,
            timer,
            read_id,
            confirmed: None,
            handover: Handover::default(),
            rest: Rest::default(),
            fitness: Fitness::default(),
            lease: Lease::default(),
        }
    }

    /// Returns the record of the vote, and those that the log rests on.
    pub(super) fn rests_on(&self) -> (Token, &Footing) {
        (self.vote_token, &self.footing)
    }

    /// Returns the current term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Returns who has this replica's vote in the current term.
    pub fn voted_for(&self) -> Option<NodeId> {
        self.voted_for
    }

    /// Returns the leader of the current term, as far as this replica knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Returns the commit index.
    pub fn committed(&self) -> Index {
        self.committed
    }

    /// Returns the log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Returns the last index up to which the log is durable.
    pub fn stable(&self) -> Index {
        self.stable
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn id(&self) -> NodeId {
        self.config.id()
    }

    /// Feeds what [`Raft::fingerprint`] promises to `out`.
    pub(super) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        // The configuration never changes but by the log, and the timer decides nothing but when;
        // so do when a leader was heard of, but with check-quorum, and how long leases last.
        #[rustfmt::skip]
        let Self {
            config: _, log, configurations: _, term, voted_for, committed, leader, storage_full,
            snapshots, is_blind: _, behind, persisting, durable, vote_token, footing, compacted,
            unsynced, stable, timer: _, read_id, confirmed, handover, rest, fitness: _, lease: _,
        } = self;
        handover.fingerprint(name, out);
        rest.fingerprint(name, out);
        // Tokens are only compared: behind the durable one by distance, before it by rank.
        let log_token = footing.oldest();
        let old = [*vote_token, log_token.unwrap_or_default(), *compacted];
        let rank = |token: Token| match token.0.checked_sub(durable.0) {
            Some(ahead @ 1..) => (ahead, 0),
            Some(0) | None => (0, old.iter().filter(|it| token < **it && *it <= durable).count()),
        };
        let unsynced: Vec<_> = unsynced.iter().map(|(token, last)| (rank(*token), last)).collect();
        (log, term, voted_for.map(name), committed, leader.map(name)).hash(out);
        (storage_full, behind).hash(out);
        (rank(*persisting), rank(*vote_token), log_token.map(rank), rank(*compacted)).hash(out);
        (unsynced, stable, snapshots, read_id, confirmed.map(|it| it.index)).hash(out);
    }

    pub(super) fn storage_full(&self) -> bool {
        self.storage_full
    }

    pub(super) fn set_storage_full(&mut self, full: bool) {
        self.storage_full = full;
    }

    // Terms and votes.

    /// Adopts a later term, without a vote or a leader in it (5.1).
    ///
    /// A leader kept no election timer of a follower's kind: it gets a fresh one, others keep
    /// theirs.
    pub(super) fn adopt_term(&mut self, term: Term, now: Time, out: &mut Effects<Raft>) {
        assert!(term > self.term, "terms only increase");
        if self.leader == Some(self.id()) {
            self.reset_election_timer(now);
        }
        self.term = term;
        self.voted_for = None;
        self.follow(None, out);
        if !self.has_bug(Mutant::TermNotDurable) {
            self.persist_vote(out);
        }
    }

    /// Starts the next term with a vote for oneself; the vote counts when the returned record is
    /// durable.
    pub(super) fn start_term(&mut self, out: &mut Effects<Raft>) -> Token {
        let led = self.voted_for == Some(self.id()) && self.log.last_term() == self.term;
        if !(led && self.has_bug(Mutant::TermLedTwice)) {
            self.term = self.term.next();
        }
        self.voted_for = Some(self.id());
        self.follow(None, out);
        self.persist_vote(out)
    }

    /// Tells whether the vote of this term is `candidate`'s, or nobody's yet (5.2).
    pub(super) fn is_free_for(&self, candidate: NodeId) -> bool {
        self.voted_for.is_none_or(|voted_for| voted_for == candidate)
    }

    /// Gives the vote of this term to `candidate`.
    pub(super) fn vote_for(&mut self, candidate: NodeId, out: &mut Effects<Raft>) {
        assert!(
            self.is_free_for(candidate) || self.has_bug(Mutant::VotesTwice),
            "a replica votes once a term"
        );
        if self.voted_for != Some(candidate) {
            self.voted_for = Some(candidate);
            self.persist_vote(out);
        }
    }

    /// Tells whether a log that ends with `last_index` of `last_term` is at least as up to date as
    /// ours (5.4.1).
    pub(super) fn is_up_to_date(&self, last_index: Index, last_term: Term) -> bool {
        if self.has_bug(Mutant::UpToDateByLength) {
            return (last_index, last_term) >= (self.log.last_index(), self.log.last_term());
        }
        (last_term, last_index) >= (self.log.last_term(), self.log.last_index())
    }

    /// Loses a vote that was given, as a known bug does.
    pub(super) fn forget_vote(&mut self) {
        self.voted_for = None;
    }

    /// Notes who leads this term, and sends clients there.
    pub(super) fn follow(&mut self, leader: Option<NodeId>, out: &mut Effects<Raft>) {
        if self.leader != leader {
            self.leader = leader;
            self.rest.is_on = false;
            out.push(Effect::Route { leader });
        }
        if let Some(leader) = leader {
            self.conclude_transfer(leader, out);
        }
    }

    // Durability.

    pub(super) fn persist(&mut self, record: Record, out: &mut Effects<Raft>) -> Token {
        self.persisting = self.persisting.next();
        out.push(Effect::Persist { token: self.persisting, record });
        self.persisting
    }

    pub(super) fn persist_vote(&mut self, out: &mut Effects<Raft>) -> Token {
        let record = Record::Vote { term: self.term, voted_for: self.voted_for };
        self.vote_token = self.persist(record, out);
        self.vote_token
    }

    /// Drops what follows `after`, appends `entries` and persists both as one.
    pub(super) fn append(&mut self, after: Index, entries: Vec<Entry>, out: &mut Effects<Raft>) {
        assert!(!entries.is_empty(), "an append appends");
        self.replace(after, entries, out);
    }

    /// Drops what follows `after` by a record of its own, as a known bug does.
    pub(super) fn delete(&mut self, after: Index, out: &mut Effects<Raft>) {
        self.replace(after, Vec::new(), out);
    }

    fn replace(&mut self, after: Index, entries: Vec<Entry>, out: &mut Effects<Raft>) {
        assert!(after >= self.committed, "what is committed is never overwritten");
        let token = self.persist(Record::Append { after, entries: entries.clone() }, out);
        self.write(token, after, entries);
        self.unsynced.push_back((token, self.log.last_index()));
    }

    pub(super) fn write(&mut self, token: Token, after: Index, entries: Vec<Entry>) {
        self.log.truncate_after(after);
        if !self.has_bug(Mutant::ConfigurationNotRolledBack) {
            self.configurations.truncate_after(after);
        }
        // An older record, durable or not, vouches for nothing that has been rewritten since
        // (RAFT-P27).
        if !self.has_bug(Mutant::StableNotClamped) {
            self.stable = self.stable.min(after);
        }
        if !self.has_bug(Mutant::UnsyncedNotClamped) {
            self.unsynced.iter_mut().for_each(|(_, last)| *last = (*last).min(after));
        }
        self.footing.append(token, after);
        entries.into_iter().for_each(|entry| self.push(entry));
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let membership = match &entry.payload {
            Payload::Membership(membership) => Some(membership.clone()),
            Payload::NoOp | Payload::Command(_) | Payload::Stripped => None,
        };
        self.is_blind |= entry.payload == Payload::Stripped;
        let index = self.log.push(entry);
        // It takes effect at once, committed or not (dissertation 4.1).
        if let Some(membership) = membership {
            self.configurations.push(index, membership);
        }
    }

    /// Returns the youngest durable record.
    pub(super) fn durable(&self) -> Token {
        self.durable
    }

    /// Returns the record that must be durable before a peer may hear of the present term, vote or
    /// log.
    pub(super) fn barrier(&self) -> Option<Token> {
        (self.persisting > self.durable).then_some(self.persisting)
    }

    /// Returns the record that must be durable before a peer may hear of the present term.
    pub(super) fn term_barrier(&self) -> Option<Token> {
        (self.vote_token > self.durable).then_some(self.vote_token)
    }

    /// Notes that everything up to `upto` is durable, and gives up records that nothing needs.
    pub(super) fn on_persisted(&mut self, upto: Token, out: &mut Effects<Raft>) {
        assert!(upto <= self.persisting, "only what was handed over can become durable");
        if upto <= self.durable {
            return;
        }
        self.durable = upto;
        while let Some((token, last)) = self.unsynced.front().copied()
            && token <= upto
        {
            self.unsynced.pop_front();
            self.stable = self.stable.max(last);
        }
        self.prune_snapshots(upto, out);
        let log = self.footing.oldest().unwrap_or(self.vote_token);
        let replacement = self.footing.replacement().unwrap_or(self.vote_token);
        let forgets_log = self.has_bug(Mutant::CompactsLogWithVote);
        let needed = if forgets_log { self.vote_token } else { log.min(self.vote_token) };
        // Older records go only when all that replace them are durable: a crash must not find
        // neither.
        let early = needed <= upto && self.has_bug(Mutant::CompactsBeforeDurable);
        if (replacement.max(self.vote_token) <= upto || early) && needed > self.compacted {
            self.compacted = needed;
            out.push(Effect::Compact { before: needed });
        }
    }

    // Commitment.

    /// Moves the commit index to `index` and hands what lies between to the replica.
    pub(super) fn commit_to(
        &mut self,
        index: Index,
        mut ticket_of: impl FnMut(Index) -> Option<Ticket>,
        out: &mut Effects<Raft>,
    ) {
        assert!(index <= self.log.last_index(), "only what is in the log is committed");
        if index <= self.committed || self.snapshots.is_lost() {
            return;
        }
        let mut at = self.committed;
        let newly = self.log.from(at.next());
        let count = (index.0 - at.0) as usize;
        let (mut decided, mut bytes) = (Vec::with_capacity(count), 0);
        for entry in newly.iter().take(count) {
            at = at.next();
            bytes += entry.payload.size();
            let command = match &entry.payload {
                Payload::NoOp | Payload::Stripped | Payload::Membership(_) => None,
                Payload::Command(command) => Some(command.clone()),
            };
            decided.push(Decided { index: at, command, ticket: ticket_of(at) });
        }
        self.committed = index;
        // A witness has nothing to apply, and its replica stays as it is.
        if !self.is_witness() {
            out.push(Effect::Apply(decided));
        }
        self.take_snapshot_if_due(bytes, out);
    }
}
