//! The Acceptor: one promise for all slots, and what it has accepted in each (3).

mod footing;
mod loyalty;

use self::{footing::Footing, loyalty::Loyalty};
use super::{
    ballot::Ballot,
    config::Config,
    marks::Marks,
    message::{Message, Vote},
    mutant::Mutant,
    record::Record,
    role::{Control, Role},
    values::Values,
    votes::Votes,
};
use crate::{
    error::RecoverError,
    log::Index,
    process::{Address, Effect, Effects, Input, Status, Token},
    time::Time,
};

/// Who accepts values, and promises not to.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Config,
    /// The latest ballot that it has promised itself to, in all slots.
    promised: Option<Ballot>,
    votes: Votes,
    /// Under these ballots all slots up to here are chosen.
    chosen: Marks,
    loyalty: Loyalty,
    storage_full: bool,
    /// Up to where the node's learner knows what is chosen.
    known: Index,
    footing: Footing,
}

impl Acceptor {
    /// Rebuilds the role from what was durable.
    pub(super) fn recover(
        config: Config,
        now: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let mut acceptor = Self {
            config,
            promised: None,
            votes: Votes::default(),
            chosen: Marks::default(),
            loyalty: Loyalty::default(),
            storage_full: false,
            known: Index::ZERO,
            footing: Footing::default(),
        };
        for (token, record) in records {
            acceptor.replay(token, record)?;
        }
        acceptor.loyalty = Loyalty::begin(&acceptor.config, acceptor.promised, now);
        Ok(acceptor)
    }

    fn replay(&mut self, token: Token, record: Record) -> Result<(), RecoverError> {
        let contradiction = |reason| Err(RecoverError::Contradiction { token: token.0, reason });
        let promised = match &record {
            Record::Promised(ballot) | Record::Accepted { ballot, .. } => Some(*ballot),
            Record::Forgotten { promised, .. } => *promised,
            Record::Round(_) | Record::Snapshot(_) => {
                return contradiction("it is no record of an acceptor");
            }
        };
        if promised < self.promised {
            return contradiction("an acceptor took part in less than it had promised");
        }
        let forgets = self.config.has_bug(Mutant::PromiseNotBroughtBack);
        self.promised = promised.filter(|_| !forgets);
        match record {
            Record::Accepted { ballot, first, values, chosen } => {
                let last = last_of(first, &values);
                self.votes.accept(ballot, first, values);
                self.note_chosen(ballot, chosen);
                self.footing.promise(token);
                self.footing.accept(token, last);
            }
            Record::Forgotten { upto, chosen, .. } => {
                self.votes.forget(upto);
                self.chosen = chosen.into();
                self.footing.forget(token, upto);
            }
            _ => self.footing.promise(token),
        }
        Ok(())
    }

    /// Returns the latest ballot that it has promised itself to.
    pub fn promised(&self) -> Option<Ballot> {
        self.promised
    }

    /// Returns the ballot in which it has accepted something last in a slot, unless that was let go.
    pub fn accepted(&self, slot: Index) -> Option<Ballot> {
        self.votes.ballot(slot)
    }

    /// Consumes one input.
    pub(super) fn step(&mut self, now: Time, input: Input<Role>, out: &mut Effects<Role>) {
        match input {
            Input::Receive { from, message } => {
                // Whoever asks: who takes part is for proposers to know, and this node may not have
                // heard yet. What it says counts where it is one of those that are asked.
                if message.is_plausible(from, self.config.id()) {
                    self.on_receive(now, message, out);
                }
            }
            Input::Persisted { upto } => self.compact(upto, out),
            Input::Control(Control::StorageFull(full)) => self.storage_full = full,
            Input::Control(Control::MakeRoom) => self.rewrite(self.votes.base(), out),
            // It says nothing of its own accord.
            Input::Tick => self.votes.on_tick(),
            Input::Submit(_) | Input::Snapshot(_) | Input::Control(_) => {
                unreachable!("proposers and learners are asked for that")
            }
        }
    }

    /// Tells whether records are given up once those up to `upto` are durable.
    pub(super) fn awaits(&self, upto: Token) -> bool {
        self.footing.needed(upto).is_some()
    }

    /// Adds what operators are told of this role.
    pub(super) fn tell(&self, status: &mut Status) {
        if status.role.is_empty() {
            status.role = "acceptor";
        }
        status.last = status.last.max(self.votes.last());
    }

    fn on_receive(&mut self, now: Time, message: Message, out: &mut Effects<Role>) {
        match message {
            Message::Canvass { ballot } => self.on_canvass(now, ballot, out),
            Message::Prepare { ballot, first, transfer } => {
                self.on_prepare(now, (ballot, transfer), first, out);
            }
            Message::Accept { ballot, first, values, chosen } => {
                self.on_accept(now, ballot, (first, values), chosen, out);
            }
            Message::Heartbeat { ballot, round, chosen } => {
                self.on_heartbeat(now, ballot, (round, chosen), out);
            }
            Message::Recall { first } => self.on_recall(first, out),
            Message::Abreast { upto } => self.known = self.known.max(upto),
            Message::Forget { upto } => self.on_forget(upto, out),
            // They are for proposers and learners.
            _ => {}
        }
    }

    /// Says whether it would promise. Nothing comes of it: the Prepare may never follow.
    fn on_canvass(&self, now: Time, ballot: Ballot, out: &mut Effects<Role>) {
        if let Some(promised) = self.promised.filter(|promised| *promised >= ballot) {
            return self.refuse(ballot, promised, out);
        }
        if self.loyalty.binds(&self.config, ballot, None, now) {
            return;
        }
        let chosen = self.chosen.reach();
        let message = Message::Support { ballot, chosen: chosen.max(self.votes.base()) };
        out.push(Effect::Send { to: self.proposer_of(ballot), message, after: None });
    }

    /// Phase 1b, for all slots: keeps out of earlier ballots, and tells what it has accepted.
    fn on_prepare(
        &mut self,
        now: Time,
        (ballot, transfer): (Ballot, Option<Ballot>),
        first: Index,
        out: &mut Effects<Role>,
    ) {
        let goes_back = self.config.has_bug(Mutant::PromiseGoesBack);
        if let Some(promised) = self.promised.filter(|promised| *promised > ballot)
            && !goes_back
        {
            self.refuse(ballot, promised, out);
            if promised.era > ballot.era {
                self.recount(ballot, first, out);
            }
            return;
        }
        let disloyal = self.config.has_bug(Mutant::PrepareBreaksLoyalty);
        if self.loyalty.binds(&self.config, ballot, transfer, now) && !disloyal {
            return;
        }
        // A ballot that comes again is answered again: the answer may be lost.
        if self.promised != Some(ballot) {
            self.promised = Some(ballot);
            let token = self.persist(Record::Promised(ballot), out);
            self.footing.promise(token);
        }
        // Who has much to tell is asked part by part.
        let to = self.config.proposer(self.config.id());
        out.push(Effect::Send { to, message: Message::Promised { ballot }, after: None });
        let base = self.votes.base();
        let (votes, upto) = self.votes.page(first, self.config.accept_bytes_max());
        let (last, upto) = (self.votes.last(), upto.max(base));
        let hides = self.config.has_bug(Mutant::ForgottenNotSaid);
        let base = if hides { Index::ZERO } else { base };
        let message = Message::Promise { ballot, first, votes, upto, last, base };
        let hasty = self.config.has_bug(Mutant::PromiseNotDurable);
        self.answer(self.proposer_of(ballot), message, hasty, out);
    }

    /// Tells what it has accepted in an era that is over, to somebody who does not know that yet.
    /// Perhaps nobody knows any more what was chosen in it, but all of it was: a quorum tells. It is
    /// a promise like any other, and is kept: the one that was made before forbids more.
    fn recount(&self, ballot: Ballot, first: Index, out: &mut Effects<Role>) {
        let (votes, upto) = self.votes.page(first, self.config.accept_bytes_max());
        let of_era = |vote: &Vote| vote.ballot.era == ballot.era;
        if let Some(later) = votes.iter().find(|it| of_era(it) && it.ballot >= ballot) {
            return self.refuse(ballot, later.ballot, out);
        }
        let votes = votes.into_iter().filter(of_era).collect();
        let (base, last) = (self.votes.base(), self.votes.last());
        let upto = upto.max(base);
        let message = Message::Promise { ballot, first, votes, upto, last, base };
        self.answer(self.proposer_of(ballot), message, false, out);
    }

    /// Phase 2b: accepts, unless it has promised itself to a later ballot.
    fn on_accept(
        &mut self,
        now: Time,
        ballot: Ballot,
        (first, values): (Index, Values),
        chosen: Index,
        out: &mut Effects<Role>,
    ) {
        if let Some(promised) = self.promised.filter(|promised| *promised > ballot)
            && !self.config.has_bug(Mutant::PromiseIgnoredByAccept)
        {
            return self.refuse(ballot, promised, out);
        }
        self.loyalty.hear(ballot, now);
        if self.storage_full || values.is_empty() {
            return;
        }

        let last = last_of(first, &values);
        self.note_chosen(ballot, chosen);
        // What comes again is answered again. What was let go is chosen, and need not be kept.
        let has = |ballot| self.votes.has(ballot, first, last);
        let of_any = self.config.has_bug(Mutant::RepeatedInAnyBallot);
        let former = if of_any { self.votes.ballot(first) } else { None };
        if !has(former.unwrap_or(ballot)) {
            let shared = Values::clone(&values);
            let record = Record::Accepted { ballot, first, values: shared, chosen };
            let token = self.persist(record, out);
            if self.promised != Some(ballot) && !self.config.has_bug(Mutant::AcceptLeavesPromise) {
                self.promised = Some(ballot);
                self.footing.promise(token);
            }
            self.votes.accept(ballot, first, Values::clone(&values));
            self.footing.accept(token, last);
        } else if self.promised < Some(ballot) {
            // Nothing is left of it to accept, and the ballot is later all the same.
            self.promised = Some(ballot);
            let token = self.persist(Record::Promised(ballot), out);
            self.footing.promise(token);
        }
        let own = self.config.learner(self.config.id());
        let voted = Message::Voted { ballot, first, values, chosen };
        out.push(Effect::Send { to: own, message: voted, after: None });
        let hasty = self.config.has_bug(Mutant::AcceptedNotDurable);
        let accepted = Message::Accepted { ballot, first, last };
        self.answer(self.proposer_of(ballot), accepted, hasty, out);
    }

    /// The leader is there: it takes part in no earlier ballot, and lets the other roles know.
    fn on_heartbeat(
        &mut self,
        now: Time,
        ballot: Ballot,
        (round, chosen): (u64, Index),
        out: &mut Effects<Role>,
    ) {
        let blind = self.config.has_bug(Mutant::PromiseIgnoredByHeartbeat);
        if let Some(promised) = self.promised.filter(|promised| *promised > ballot)
            && !blind
        {
            return self.refuse(ballot, promised, out);
        }
        self.loyalty.hear(ballot, now);
        if self.promised < Some(ballot) && !self.config.has_bug(Mutant::HeartbeatLeavesPromise) {
            self.promised = Some(ballot);
            let token = self.persist(Record::Promised(ballot), out);
            self.footing.promise(token);
        }
        self.note_chosen(ballot, chosen);
        let id = self.config.id();
        let promise = self.config.lease().then(|| self.config.lease_length());
        let (known, base) = (self.known, self.votes.base());
        let reply = Message::HeartbeatReply { ballot, round, promise, known, base };
        // It says that nothing later is promised: of what waits for the disk only the promise
        // itself matters.
        let after = self.footing.promised();
        out.push(Effect::Send { to: self.proposer_of(ballot), message: reply, after });
        let (learner, proposer) = (self.config.learner(id), self.config.proposer(id));
        let told = Message::Chosen { ballot, upto: chosen };
        out.push(Effect::Send { to: learner, message: told, after: None });
        out.push(Effect::Send { to: proposer, message: Message::Heard { ballot }, after: None });
    }

    /// Tells the learner of its node what it has, and what of it is known to be chosen.
    fn on_recall(&self, first: Index, out: &mut Effects<Role>) {
        let to = self.config.learner(self.config.id());
        for run in self.votes.from(first) {
            let chosen = self.chosen.under(run.ballot);
            let (ballot, first, values) = (run.ballot, run.first, run.batch());
            let message = Message::Voted { ballot, first, values, chosen };
            out.push(Effect::Send { to, message, after: None });
        }
    }

    /// Lets go of what the node has in a snapshot.
    fn on_forget(&mut self, upto: Index, out: &mut Effects<Role>) {
        if upto > self.votes.base() {
            self.rewrite(upto, out);
        }
    }

    /// Lets go of all up to `upto`, and writes anew what the records of it have said besides.
    fn rewrite(&mut self, upto: Index, out: &mut Effects<Role>) {
        self.votes.forget(upto);
        // One at the least stays: others are told how far this node knows.
        let latest = self.chosen.reach();
        self.chosen.forget(upto.min(latest.previous()));
        let chosen = self.chosen.iter().collect();
        let promised = self.promised.filter(|_| !self.config.has_bug(Mutant::PromiseForgotten));
        let token = self.persist(Record::Forgotten { upto, promised, chosen }, out);
        self.footing.forget(token, upto);
        if self.config.has_bug(Mutant::CompactsBeforeDurable) {
            self.compact(token, out);
        }
    }

    /// Has the records given up that nothing rests on any more, once those up to `upto` are durable.
    fn compact(&mut self, upto: Token, out: &mut Effects<Role>) {
        if let Some(before) = self.footing.on_persisted(upto) {
            out.push(Effect::Compact { before });
        }
    }

    fn note_chosen(&mut self, ballot: Ballot, chosen: Index) {
        if chosen > Index::ZERO {
            self.chosen.note(ballot, chosen);
        }
    }

    /// Says that it takes no part, which rests on nothing: who hears it begins anew.
    fn refuse(&self, ballot: Ballot, promised: Ballot, out: &mut Effects<Role>) {
        // A ballot that it would have had to hear of already is only late.
        if ballot == promised {
            return;
        }
        let (to, message) = (self.proposer_of(ballot), Message::Nack { ballot, promised });
        out.push(Effect::Send { to, message, after: None });
    }

    fn proposer_of(&self, ballot: Ballot) -> Address {
        self.config.proposer(ballot.node)
    }

    fn persist(&mut self, record: Record, out: &mut Effects<Role>) -> Token {
        let token = self.footing.write();
        out.push(Effect::Persist { token, record });
        token
    }

    /// Says what rests on all that it has written: a crash must not take it back.
    fn answer(&self, to: Address, message: Message, hasty: bool, out: &mut Effects<Role>) {
        let after = Some(self.footing.written()).filter(|_| !hasty);
        out.push(Effect::Send { to, message, after });
    }
}

/// Returns the slot of the last value.
fn last_of(first: Index, values: &Values) -> Index {
    Index((first.0 + values.len() as u64).saturating_sub(1))
}
