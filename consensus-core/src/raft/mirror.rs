//! What an observer remembers of one replica: its log, and what of it is durable.

use std::collections::VecDeque;

use super::{
    Raft,
    footing::Footing,
    message::{Entry, Payload, Term},
    record::Record,
};
use crate::{
    codec::Encode,
    log::Index,
    members::NodeId,
    membership::Membership,
    process::{Effect, Token},
};

/// An entry as an observer remembers it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) term: Term,
    /// A digest of this entry and all before it, but for the bytes of commands.
    pub(super) prefix: u64,
    /// A digest of those bytes; `None` where some were left out for a witness.
    commands: Option<u64>,
}

/// Two logs with equal links at an index are equal up to there, as far as both have commands.
impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        let both = self.commands.zip(other.commands);
        (self.term, self.prefix) == (other.term, other.prefix)
            && both.is_none_or(|(mine, theirs)| mine == theirs)
    }
}

impl Link {
    /// What stands before the first entry.
    const FIRST: Self = Self { term: Term(0), prefix: 0, commands: Some(0) };

    fn after(before: Self, entry: &Entry) -> Self {
        let digest = |before: u64, tag: u64, bytes: &[u8]| {
            let seed = before.rotate_left(7) ^ entry.term.0 << 2 ^ tag;
            twox_hash::XxHash3_64::oneshot_with_seed(seed, bytes)
        };
        let Self { prefix, commands, .. } = before;
        let (prefix, commands) = match &entry.payload {
            Payload::NoOp => (digest(prefix, 0, &[]), commands),
            Payload::Command(command) => {
                let commands = commands.map(|commands| digest(commands, 1, command));
                (digest(prefix, 1, &[]), commands)
            }
            Payload::Stripped => (digest(prefix, 1, &[]), None),
            Payload::Membership(membership) => (digest(prefix, 2, &membership.encoded()), commands),
        };
        Self { term: entry.term, prefix, commands }
    }
}

/// A log as an observer remembers it.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain(Vec<Link>);

impl Chain {
    /// Makes the log that begins with `start` and goes on with `entries`.
    fn of(mut start: Self, entries: &[Entry]) -> Self {
        start.write(start.last(), entries);
        start
    }

    /// Returns the part up to `index`.
    fn upto(&self, index: Index) -> Self {
        Self(self.0.iter().take(index.0 as usize).copied().collect())
    }

    pub(super) fn last(&self) -> Index {
        Index(self.0.len() as u64)
    }

    /// Returns the entry at `index`; the one at zero stands for the empty log.
    pub(super) fn at(&self, index: Index) -> Option<Link> {
        match (index.0 as usize).checked_sub(1) {
            Some(place) => self.0.get(place).copied(),
            None => Some(Link::FIRST),
        }
    }

    /// Drops what follows `after` and appends `entries`.
    fn write(&mut self, after: Index, entries: &[Entry]) {
        self.0.truncate(after.0 as usize);
        for entry in entries {
            let before = self.0.last().copied().unwrap_or(Link::FIRST);
            self.0.push(Link::after(before, entry));
        }
    }

    fn splice(&mut self, after: Index, links: &[Link]) {
        self.0.truncate(after.0 as usize);
        self.0.extend_from_slice(links);
    }

    pub(super) fn push(&mut self, link: Link) {
        self.0.push(link);
    }
}

/// What was committed, and the configurations in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed {
    pub(super) chain: Chain,
    /// The first configuration of the group.
    pub(super) first: Membership,
    pub(super) configurations: Vec<(Index, Membership)>,
}

impl Committed {
    /// Returns the part up to `index`, its configurations from the first on.
    fn upto(&self, index: Index) -> Self {
        let first = self.first.clone();
        let known = self.configurations.iter().filter(|(at, _)| *at <= index).cloned();
        let configurations = [(Index::ZERO, first.clone())].into_iter().chain(known).collect();
        Self { chain: self.chain.upto(index), first, configurations }
    }

    fn latest(&self) -> Option<&Membership> {
        self.configurations.last().map(|(_, membership)| membership)
    }

    /// Adds the next entry of a log.
    pub(super) fn push(&mut self, at: Index, link: Link, mirror: &Mirror) {
        self.chain.push(link);
        let configured = mirror.configurations.iter().filter(|(index, _)| *index == at);
        self.configurations.extend(configured.cloned());
    }
}

/// A record as it will be durable.
#[derive(Clone, Debug)]
enum Fact {
    Vote(Term, Option<NodeId>),
    Entries(Index, Vec<Link>),
    /// The log rests on a snapshot, and is this one if that replaced it.
    Snapshot(Index, Option<Chain>),
}

/// What is known to be durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    pub(super) term: Term,
    pub(super) voted_for: Option<NodeId>,
    pub(super) log: Chain,
    /// The record of the vote, and those that the log rests on.
    vote_token: Token,
    footing: Footing,
}

impl Durable {
    fn take(&mut self, token: Token, fact: &Fact) {
        match fact {
            Fact::Vote(term, voted_for) => {
                (self.term, self.voted_for, self.vote_token) = (*term, *voted_for, token);
            }
            Fact::Entries(after, links) => {
                self.log.splice(*after, links);
                self.footing.append(token, *after);
            }
            Fact::Snapshot(index, replacement) => {
                if let Some(replacement) = replacement {
                    self.log = replacement.clone();
                    self.footing.clear();
                }
                self.footing.cover(token, *index, self.log.last());
            }
        }
    }

    fn is(&self, other: &Self) -> bool {
        let (log, theirs) = (&self.log, &other.log);
        (self.term, self.voted_for) == (other.term, other.voted_for)
            && log.last() == theirs.last()
            && log.at(log.last()) == theirs.at(theirs.last())
    }
}

/// What was seen of a replica last.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    pub(super) term: Term,
    pub(super) committed: Index,
    pub(super) stable: Index,
    pub(super) leads: bool,
    pub(super) log: Chain,
    /// The configurations in the log; the first stood before its first entry.
    configurations: Vec<(Index, Membership)>,
    /// The first of the group, as this replica was told.
    first: Membership,
    pub(super) durable: Durable,
    waiting: VecDeque<(Token, Fact)>,
}

impl Mirror {
    /// Makes the mirror of a replica that was rebuilt from its disk: all that it has is durable.
    /// What its snapshot covers is of what was `committed`.
    pub(super) fn of(replica: &Raft, committed: &Committed) -> Self {
        let state = replica.state();
        let (base, first) = (state.log().base(), state.config().membership());
        let mut start = committed.upto(base);
        if base == Index::ZERO {
            // Who joins has not heard of the group's first.
            start.configurations = vec![(base, first.clone())];
        }
        let log = Chain::of(start.chain, state.log().from(base.next()));
        let (term, voted_for) = (state.term(), state.voted_for());
        // It has just been rebuilt, and knows from which records.
        let (vote_token, footing) = state.rests_on();
        let footing = footing.clone();
        let mut mirror = Self {
            term,
            committed: state.committed(),
            stable: log.last(),
            leads: false,
            configurations: start.configurations,
            first: first.clone(),
            durable: Durable { term, voted_for, log: log.clone(), vote_token, footing },
            log,
            waiting: VecDeque::new(),
        };
        mirror.configure(base, state.log().from(base.next()));
        mirror
    }

    /// Follows the configurations: those after `after` give way to those of `entries`.
    fn configure(&mut self, after: Index, entries: &[Entry]) {
        self.configurations.retain(|(at, _)| *at <= after);
        for (at, entry) in (after.0 + 1..).map(Index).zip(entries) {
            if let Payload::Membership(membership) = &entry.payload {
                self.configurations.push((at, membership.clone()));
            }
        }
    }

    /// Returns the configuration that the entry at `index` holds, if it holds one.
    pub(super) fn configured_at(&self, index: Index) -> Option<Membership> {
        let found = self.configurations.iter().rev().find(|(at, _)| *at == index);
        found.map(|(_, membership)| membership.clone())
    }

    /// Returns the configurations of entries after `index`.
    pub(super) fn configured_after(&self, index: Index) -> impl Iterator<Item = Membership> + '_ {
        let later = self.configurations.iter().filter(move |(at, _)| *at > index);
        later.map(|(_, membership)| membership.clone())
    }

    /// Returns the latest configuration in the log.
    pub(super) fn membership(&self) -> &Membership {
        self.configurations.last().map_or(&self.first, |(_, membership)| membership)
    }

    /// Tells whether `recovered` is what this replica's disk may hold after a crash: all that is
    /// durable, and of what waits a part from the oldest on.
    pub(super) fn may_become(&self, recovered: &Self) -> bool {
        let mut durable = self.durable.clone();
        let mut waiting = self.waiting.iter();
        while !durable.is(&recovered.durable) {
            let Some((token, fact)) = waiting.next() else { return false };
            durable.take(*token, fact);
        }
        true
    }

    /// Tells whether all records before `before` may be given up.
    pub(super) fn may_compact(&self, before: Token) -> bool {
        let durable = &self.durable;
        let log = durable.footing.oldest();
        before <= durable.vote_token && log.is_none_or(|log| before <= log)
    }

    /// Follows what a step wrote; returns the lowest index after which the log was rewritten, if it
    /// was. What a snapshot covers is of what was `committed`.
    ///
    /// # Errors
    /// The point that a snapshot covers, if nothing was committed there, or another entry.
    pub(super) fn follow(
        &mut self,
        effects: &[Effect<Raft>],
        committed: &Committed,
    ) -> Result<Option<Index>, Index> {
        let mut lowest = None::<Index>;
        for effect in effects {
            let Effect::Persist { token, record } = effect else { continue };
            let fact = match record {
                Record::Vote { term, voted_for } => Fact::Vote(*term, *voted_for),
                Record::Append { after, entries } => {
                    self.log.write(*after, entries);
                    self.configure(*after, entries);
                    lowest = Some(lowest.map_or(*after, |known| known.min(*after)));
                    let links = self.log.0.get(after.0 as usize..).unwrap_or_default();
                    Fact::Entries(*after, links.to_vec())
                }
                Record::Snapshot { cut, replaces } => {
                    let known = committed.chain.at(cut.index);
                    if known.is_none_or(|link| link.term.0 != cut.term) {
                        return Err(cut.index);
                    }
                    let start = committed.upto(cut.index);
                    // What comes with a snapshot is the configuration there (S8).
                    if start.latest() != Some(&cut.membership) {
                        return Err(cut.index);
                    }
                    let replacement = replaces.then(|| start.chain.clone());
                    if *replaces {
                        (self.log, self.configurations) = (start.chain, start.configurations);
                        lowest = Some(Index::ZERO);
                    }
                    Fact::Snapshot(cut.index, replacement)
                }
            };
            self.waiting.push_back((*token, fact));
        }
        Ok(lowest)
    }

    /// Makes the records up to `upto` durable.
    pub(super) fn persist(&mut self, upto: Token) {
        while let Some((token, fact)) = self.waiting.pop_front_if(|(token, _)| *token <= upto) {
            self.durable.take(token, &fact);
        }
    }
}
