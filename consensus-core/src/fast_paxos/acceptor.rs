//! The Acceptor: promises itself to ballots, votes once in a round, and remembers both (2.2, 3.1).

use std::hash::{Hash, Hasher};

use bytes::Bytes;

use super::{
    Control,
    config::Config,
    message::Message,
    mutant::Mutant,
    record::Record,
    round::{Proposal, Round},
};
use crate::{
    error::RecoverError,
    members::NodeId,
    paxos::{Ballot, contradiction},
    process::{Address, Effect, Effects, Input, Process, Token},
    time::Time,
};

/// Who decides, with others: what enough of them have voted for in one round is chosen.
///
/// It keeps two rounds apart: the one before which it takes part in none (rnd), by its ballot, and
/// the one that it has voted in last (vrnd, vval). It says nothing that rests on either before that
/// is durable.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Config,
    /// The first ballot until it promises itself to another.
    promised: Ballot,
    voted: Option<Proposal>,
    /// The ballot in whose fast round it may vote for what it is asked first. One that forgets it is
    /// silent until it is told again, but for the first ballot, of which nobody need be told.
    open: Option<Ballot>,
    /// The first value that it was asked to vote for since it has voted, and could not.
    proposed: Option<Bytes>,
    footing: Footing,
}

/// The records that the acceptor's state rests on.
#[derive(Clone, Debug, Default)]
struct Footing {
    written: Token,
    promised: Token,
    voted: Option<Token>,
    /// What came before was given up.
    kept: Token,
}

impl Acceptor {
    /// Returns its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the ballot before which it takes part in none.
    pub fn promised(&self) -> Ballot {
        self.promised
    }

    /// Returns what it has voted for last.
    pub fn voted(&self) -> Option<&Proposal> {
        self.voted.as_ref()
    }

    /// Returns the ballot in whose fast round it may vote for what it is asked.
    pub fn open(&self) -> Option<Ballot> {
        self.open
    }

    /// Feeds what [`Role::fingerprint`](super::Role::fingerprint) promises to `out`.
    pub(super) fn fingerprint(&self, out: &mut impl Hasher) {
        // Records are numbered, which decides nothing.
        let Self { config: _, promised, voted, open, proposed, footing: _ } = self;
        (promised, voted, open, proposed).hash(out);
    }

    fn replay(&mut self, token: Token, record: Record) -> Result<(), RecoverError> {
        match record {
            Record::Promised(ballot) => {
                if ballot <= self.promised {
                    return contradiction(token, "an acceptor promised less than before");
                }
                if !self.config.has_bug(Mutant::PromiseNotBroughtBack) {
                    self.promised = ballot;
                }
                self.footing.promised = token;
            }
            Record::Voted(proposal) => {
                let last = self.voted.as_ref().map(|voted| voted.round);
                if proposal.round.ballot < self.promised || Some(proposal.round) <= last {
                    return contradiction(token, "an acceptor voted in an earlier round");
                }
                self.take(token, proposal);
            }
            Record::Round(_) | Record::Chosen(_) => {
                return contradiction(token, "it is no record of an acceptor");
            }
        }
        self.footing.written = token;
        Ok(())
    }

    /// Phase 1b: keeps out of earlier ballots, and tells what it has voted for (2.2).
    fn on_prepare(&mut self, from: NodeId, ballot: Ballot, out: &mut Effects<Self>) {
        if self.is_behind(ballot) && !self.config.has_bug(Mutant::PromiseGoesBack) {
            return self.refuse(from, ballot, out);
        }
        if self.voted.as_ref().is_some_and(|voted| voted.round.ballot >= ballot) {
            // Its coordinator has had its promises, and sends what follows itself again.
            return;
        }

        // A ballot that comes again is answered again: the answer may be lost.
        if self.promised != ballot {
            self.promised = ballot;
            self.close(ballot);
            self.footing.promised = self.persist(Record::Promised(ballot), out);
        }
        let promise = Message::Promise { ballot, voted: self.voted.clone() };
        let hasty = self.config.has_bug(Mutant::PromiseNotDurable);
        self.answer(self.config.proposer(from), promise, hasty, out);
    }

    /// Phase 2b of a classic round: votes, unless it has promised itself to a later ballot (2.2).
    fn on_accept(&mut self, from: NodeId, proposal: Proposal, out: &mut Effects<Self>) {
        let ballot = proposal.round.ballot;
        if self.is_behind(ballot) && !self.config.has_bug(Mutant::PromiseIgnored) {
            return self.refuse(from, ballot, out);
        }
        // A proposal that comes again is answered again, and never replaced.
        if self.may_vote(proposal.round) { self.vote(proposal, out) } else { self.tell(out) }
    }

    /// Phase 2b of a fast round begins: the next value that a proposer sends is what it votes for,
    /// or one that has come already (3.1).
    fn on_any(&mut self, from: NodeId, ballot: Ballot, out: &mut Effects<Self>) {
        if self.is_behind(ballot) {
            return self.refuse(from, ballot, out);
        }
        let round = Round::fast(ballot);
        if !self.may_vote(round) && !self.config.has_bug(Mutant::FastVoteGoesBack) {
            return self.tell(out);
        }

        self.open = Some(ballot);
        if let Some(value) = self.proposed.clone() {
            self.vote(Proposal { round, value }, out);
        }
    }

    /// Phase 2b of a fast round: votes for the first value that comes, and for no other (3.1).
    fn on_propose(&mut self, value: Bytes, out: &mut Effects<Self>) {
        if let Some(ballot) = self.open {
            return self.vote(Proposal { round: Round::fast(ballot), value }, out);
        }
        let voted = self.voted.as_ref().map(|voted| voted.round);
        if voted.is_some_and(|round| round.ballot == self.promised) {
            if let Some(round) = voted.filter(|it| it.is_fast())
                && self.config.has_bug(Mutant::VotesAgain)
            {
                return self.vote(Proposal { round, value }, out);
            }
            return self.tell(out);
        }
        self.proposed.get_or_insert(value);
    }

    /// Tells a learner what it may have missed.
    fn on_ask(&self, from: NodeId, out: &mut Effects<Self>) {
        let Some(proposal) = self.voted.clone() else { return };
        self.answer(self.config.learner(from), Message::Accepted { proposal }, false, out);
    }

    /// Gives up the records that newer ones replace.
    fn on_persisted(&mut self, upto: Token, out: &mut Effects<Self>) {
        let Footing { written, promised, voted, kept } = self.footing;
        let needed = voted.map_or(promised, |voted| voted.min(promised));
        if upto >= written && needed > kept {
            self.footing.kept = needed;
            out.push(Effect::Compact { before: needed });
        }
    }

    /// Takes no part in the fast round of a ballot before this one any more.
    fn close(&mut self, ballot: Ballot) {
        if self.open < Some(ballot) && !self.config.has_bug(Mutant::PromiseLeavesOpen) {
            self.open = None;
        }
    }

    /// Tells whether it has voted in no such round, nor in a later one (3.1).
    fn may_vote(&self, round: Round) -> bool {
        self.voted.as_ref().is_none_or(|voted| voted.round < round)
    }

    fn vote(&mut self, proposal: Proposal, out: &mut Effects<Self>) {
        let token = self.persist(Record::Voted(proposal.clone()), out);
        self.take(token, proposal);
        self.tell(out);
    }

    /// Takes a vote: whoever has voted takes part in no earlier ballot either.
    fn take(&mut self, token: Token, proposal: Proposal) {
        self.promised = proposal.round.ballot;
        self.voted = Some(proposal);
        (self.open, self.proposed) = (None, None);
        (self.footing.promised, self.footing.voted) = (token, Some(token));
    }

    /// Tells the round's coordinator and all learners what it has voted for, when that is durable.
    fn tell(&self, out: &mut Effects<Self>) {
        let Some(proposal) = self.voted.clone() else { return };
        let hasty = self.config.has_bug(Mutant::VoteNotDurable);
        let coordinator = self.config.proposer(proposal.round.ballot.node);
        let learners = self.config.learners().voters().map(|node| self.config.learner(node));
        for address in [coordinator].into_iter().chain(learners) {
            let accepted = Message::Accepted { proposal: proposal.clone() };
            self.answer(address, accepted, hasty, out);
        }
    }

    /// Tells whether it has promised itself to a later ballot than this.
    fn is_behind(&self, ballot: Ballot) -> bool {
        ballot < self.promised
    }

    /// Says that it takes no part, which rests on nothing: who hears it begins anew.
    fn refuse(&self, from: NodeId, ballot: Ballot, out: &mut Effects<Self>) {
        let promised = self.promised;
        let (to, message) = (self.config.proposer(from), Message::Nack { ballot, promised });
        out.push(Effect::Send { to, message, after: None });
    }

    fn persist(&mut self, record: Record, out: &mut Effects<Self>) -> Token {
        let token = self.footing.written.next();
        self.footing.written = token;
        out.push(Effect::Persist { token, record });
        token
    }

    /// Says what rests on all that it has written: a crash must not take it back.
    fn answer(&self, to: Address, message: Message, hasty: bool, out: &mut Effects<Self>) {
        let after = Some(self.footing.written).filter(|it| *it > Token::default() && !hasty);
        out.push(Effect::Send { to, message, after });
    }
}

impl Process for Acceptor {
    type Config = Config;
    type Message = Message;
    type Record = Record;
    type Control = Control;

    fn recover(
        config: Config,
        _: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let first = config.first();
        let mut acceptor = Self {
            config,
            promised: first,
            voted: None,
            open: None,
            proposed: None,
            footing: Footing::default(),
        };
        for (token, record) in records {
            acceptor.replay(token, record)?;
        }
        // The first fast round is open to who has done nothing else since (3.1).
        let is_first = acceptor.promised == first && acceptor.voted.is_none();
        if is_first || acceptor.config.has_bug(Mutant::FirstRoundReopened) {
            acceptor.open = Some(first);
        }
        Ok(acceptor)
    }

    fn step(&mut self, _: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Receive { from, message } => {
                if !self.config.is_member(from) || !message.is_plausible(from) {
                    return;
                }
                match message {
                    Message::Prepare { ballot } => self.on_prepare(from, ballot, out),
                    Message::Accept { proposal } => self.on_accept(from, proposal, out),
                    Message::Any { ballot } => self.on_any(from, ballot, out),
                    Message::Propose { value } => self.on_propose(value, out),
                    Message::Ask => self.on_ask(from, out),
                    // They are for coordinators and learners.
                    Message::Promise { .. }
                    | Message::Accepted { .. }
                    | Message::Nack { .. }
                    | Message::Chosen { .. } => {}
                }
            }
            Input::Persisted { upto } => self.on_persisted(upto, out),
            // It does nothing of its own accord, and asks for no snapshots.
            Input::Tick | Input::Snapshot(_) => {}
            Input::Submit(_) | Input::Control(_) => unreachable!("proposers are asked for values"),
        }
    }
}
