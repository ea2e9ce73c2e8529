//! The Acceptor: promises itself to ballots, accepts proposals, and remembers both (2.2, 2.5).

use std::hash::{Hash, Hasher};

use super::{
    ballot::{Ballot, Proposal},
    config::Config,
    message::Message,
    mutant::Mutant,
    record::{Record, contradiction},
    role::Control,
};
use crate::{
    error::RecoverError,
    members::NodeId,
    process::{Address, Effect, Effects, Input, Process, Token},
    time::Time,
};

/// Who decides, with others: what enough of them have accepted is chosen.
///
/// It keeps two ballots apart: the one it has promised itself to, and that of the proposal it has
/// accepted last. It says nothing that rests on either before that is durable.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Config,
    promised: Option<Ballot>,
    accepted: Option<Proposal>,
    footing: Footing,
}

/// The records that the acceptor's state rests on.
#[derive(Clone, Debug, Default)]
struct Footing {
    written: Token,
    promised: Token,
    accepted: Option<Token>,
    /// What came before was given up.
    kept: Token,
}

impl Acceptor {
    /// Returns its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the ballot before which it takes part in none.
    pub fn promised(&self) -> Option<Ballot> {
        self.promised
    }

    /// Returns the proposal with the highest number that it has accepted.
    pub fn accepted(&self) -> Option<&Proposal> {
        self.accepted.as_ref()
    }

    /// Feeds what [`Role::fingerprint`](super::Role::fingerprint) promises to `out`.
    pub(super) fn fingerprint(&self, out: &mut impl Hasher) {
        // Records are numbered, which decides nothing.
        let Self { config: _, promised, accepted, footing: _ } = self;
        (promised, accepted).hash(out);
    }

    fn replay(&mut self, token: Token, record: Record) -> Result<(), RecoverError> {
        match record {
            Record::Promised(ballot) => {
                if Some(ballot) <= self.promised {
                    return contradiction(token, "an acceptor promised less than before");
                }
                if !self.config.has_bug(Mutant::PromiseNotBroughtBack) {
                    self.promised = Some(ballot);
                }
                self.footing.promised = token;
            }
            Record::Accepted(proposal) => {
                if Some(proposal.ballot) < self.promised {
                    return contradiction(token, "an acceptor accepted less than it had promised");
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

    /// Phase 1b: keeps out of earlier ballots, and tells what it has accepted (2.2, 2 a and b).
    fn on_prepare(&mut self, from: NodeId, ballot: Ballot, out: &mut Effects<Self>) {
        if self.is_behind(ballot) && !self.config.has_bug(Mutant::PromiseGoesBack) {
            return self.refuse(from, ballot, out);
        }
        if self.accepted.as_ref().is_some_and(|accepted| accepted.ballot >= ballot) {
            // Its proposer has had its promises, and sends the proposal itself again.
            return;
        }

        // A ballot that comes again is answered again: the answer may be lost.
        if self.promised != Some(ballot) {
            self.promised = Some(ballot);
            self.footing.promised = self.persist(Record::Promised(ballot), out);
        }
        let promise = Message::Promise { ballot, accepted: self.accepted.clone() };
        let hasty = self.config.has_bug(Mutant::PromiseNotDurable);
        self.answer(self.config.proposer(from), promise, hasty, out);
    }

    /// Phase 2b: accepts, unless it has promised itself to a later ballot (2.2, P1a).
    fn on_accept(&mut self, from: NodeId, proposal: Proposal, out: &mut Effects<Self>) {
        let ballot = proposal.ballot;
        if self.is_behind(ballot) && !self.config.has_bug(Mutant::PromiseIgnored) {
            return self.refuse(from, ballot, out);
        }

        // A proposal that comes again is answered again, and never replaced.
        if self.accepted.as_ref().is_none_or(|accepted| accepted.ballot != ballot) {
            let token = self.persist(Record::Accepted(proposal.clone()), out);
            self.take(token, proposal);
        }
        let hasty = self.config.has_bug(Mutant::AcceptedNotDurable);
        let Some(proposal) = self.accepted.clone() else { return };
        let learners = self.config.learners().voters().map(|node| self.config.learner(node));
        let told: Vec<Address> = [self.config.proposer(from)].into_iter().chain(learners).collect();
        for address in told {
            let accepted = Message::Accepted { proposal: proposal.clone() };
            self.answer(address, accepted, hasty, out);
        }
    }

    /// Tells a learner what it may have missed (2.3).
    fn on_ask(&self, from: NodeId, out: &mut Effects<Self>) {
        let Some(proposal) = self.accepted.clone() else { return };
        let accepted = Message::Accepted { proposal };
        self.answer(self.config.learner(from), accepted, false, out);
    }

    /// Gives up the records that newer ones replace.
    fn on_persisted(&mut self, upto: Token, out: &mut Effects<Self>) {
        let Footing { written, promised, accepted, kept } = self.footing;
        let needed = accepted.map_or(promised, |accepted| accepted.min(promised));
        if upto >= written && needed > kept {
            self.footing.kept = needed;
            out.push(Effect::Compact { before: needed });
        }
    }

    /// Accepts: whoever does takes part in no earlier ballot either (PAX-P01).
    fn take(&mut self, token: Token, proposal: Proposal) {
        if !self.config.has_bug(Mutant::AcceptLeavesPromise) {
            self.promised = Some(proposal.ballot);
        }
        self.accepted = Some(proposal);
        (self.footing.promised, self.footing.accepted) = (token, Some(token));
    }

    /// Tells whether it has promised itself to a later ballot than this.
    fn is_behind(&self, ballot: Ballot) -> bool {
        self.promised.is_some_and(|promised| {
            if self.config.has_bug(Mutant::RoundsAlone) {
                return ballot.round < promised.round;
            }
            ballot < promised
        })
    }

    /// Says that it takes no part, which rests on nothing: who hears it begins anew (2.2, end).
    fn refuse(&self, from: NodeId, ballot: Ballot, out: &mut Effects<Self>) {
        let Some(promised) = self.promised else { return };
        let (to, message) = (self.config.proposer(from), Message::Nack { ballot, promised });
        out.push(Effect::Send { to, message, after: None });
    }

    fn persist(&mut self, record: Record, out: &mut Effects<Self>) -> Token {
        let token = self.footing.written.next();
        self.footing.written = token;
        out.push(Effect::Persist { token, record });
        token
    }

    /// Says what rests on all that it has written: a crash must not take it back (PAX-P04).
    fn answer(&self, to: Address, message: Message, hasty: bool, out: &mut Effects<Self>) {
        let after = Some(self.footing.written).filter(|_| !hasty);
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
        let footing = Footing::default();
        let mut acceptor = Self { config, promised: None, accepted: None, footing };
        for (token, record) in records {
            acceptor.replay(token, record)?;
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
                    Message::Ask => self.on_ask(from, out),
                    // They are for proposers and learners.
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
