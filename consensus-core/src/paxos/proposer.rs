//! The Proposer: gets a value chosen, its caller's or the one that may be chosen already (2.2).

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    mem,
};

use bytes::Bytes;

use super::{
    CHOSEN, PROPOSER,
    ballot::{Ballot, Proposal, Round},
    config::Config,
    message::Message,
    mutant::Mutant,
    pause::Pause,
    record::{Record, contradiction},
    role::Control,
};
use crate::{
    error::{RecoverError, SubmitError},
    log::Index,
    members::NodeId,
    process::{Address, Effect, Effects, Input, Process, Submission, Ticket, Token},
    time::Time,
};

/// Who proposes values, one after the other's ballot, until one is chosen.
///
/// Callers are answered with the value that is chosen, whoever proposed it. So are those that only
/// read, unless nothing can have been chosen before they asked.
#[derive(Clone, Debug)]
pub struct Proposer {
    config: Config,
    /// The highest round that it has used or heard of.
    round: Round,
    /// The youngest record, and the one before which all was given up.
    written: Token,
    kept: Token,
    phase: Phase,
    /// What it proposes where it is free to: the first value that it was asked for.
    value: Option<Bytes>,
    /// Who waits for a value to be chosen.
    waiting: Vec<Ticket>,
    /// Who waits to hear what was chosen, of those that no promise answers so far.
    reads: Vec<Ticket>,
    /// Whether the learner of this node wants to know.
    is_asked: bool,
    pause: Pause,
}

/// How far a proposer is.
#[derive(Clone, Debug)]
enum Phase {
    /// Nothing is to be done.
    Idle,
    /// It was refused, and waits before it begins anew, so that somebody else may come through.
    Resting { until: Time },
    /// Phase 1: it asks for promises.
    Preparing(Preparing),
    /// Phase 2: it asks acceptors to accept its proposal.
    Accepting { proposal: Proposal, accepted: BTreeSet<NodeId>, resend_at: Time },
    /// A value is chosen.
    Done,
}

#[derive(Clone, Debug)]
struct Preparing {
    ballot: Ballot,
    promised: BTreeSet<NodeId>,
    /// The proposal with the highest number that they have accepted.
    highest: Option<Proposal>,
    /// Who waited to hear what was chosen before the first of them was asked.
    reads: Vec<Ticket>,
    resend_at: Time,
}

impl Proposer {
    /// Returns its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the highest round that it has used or heard of.
    pub fn round(&self) -> Round {
        self.round
    }

    /// Returns how far it is, in the paper's words, and in which ballot.
    pub fn phase(&self) -> (&'static str, Option<Ballot>) {
        match &self.phase {
            Phase::Idle => ("idle", None),
            Phase::Resting { .. } => ("resting", None),
            Phase::Preparing(preparing) => ("preparing", Some(preparing.ballot)),
            Phase::Accepting { proposal, .. } => ("accepting", Some(proposal.ballot)),
            Phase::Done => ("done", None),
        }
    }

    /// Feeds what [`Role::fingerprint`](super::Role::fingerprint) promises to `out`.
    pub(super) fn fingerprint(&self, out: &mut impl Hasher) {
        // Records are numbered, which decides nothing.
        let Self { config: _, round, written: _, kept: _, pause: _, .. } = self;
        let Self { phase, value, waiting, reads, is_asked, .. } = self;
        (round, value, waiting, reads, is_asked).hash(out);
        mem::discriminant(phase).hash(out);
        match phase {
            Phase::Idle | Phase::Resting { until: _ } | Phase::Done => {}
            Phase::Preparing(Preparing { ballot, promised, highest, reads, resend_at: _ }) => {
                (ballot, promised, highest, reads).hash(out);
            }
            Phase::Accepting { proposal, accepted, resend_at: _ } => {
                (proposal, accepted).hash(out);
            }
        }
    }

    fn on_submit(&mut self, now: Time, submissions: Vec<Submission>, out: &mut Effects<Self>) {
        for Submission { ticket, command } in submissions {
            if self.admits(ticket, out) {
                self.value.get_or_insert(command);
                self.waiting.push(ticket);
            }
        }
        self.pursue(now, out);
    }

    fn on_read(&mut self, now: Time, reads: Vec<Ticket>, out: &mut Effects<Self>) {
        for ticket in reads {
            if !self.admits(ticket, out) {
                continue;
            }
            match &mut self.phase {
                Phase::Preparing(running)
                    if self.config.has_bug(Mutant::ReadJoinsRunningBallot) =>
                {
                    running.reads.push(ticket);
                }
                // What was promised before a read came says nothing of what was chosen meanwhile.
                _ => self.reads.push(ticket),
            }
        }
        self.pursue(now, out);
    }

    /// Answers at once what it can; tells whether there is room for another that waits.
    fn admits(&self, ticket: Ticket, out: &mut Effects<Self>) -> bool {
        let limit = self.config.waiting_max();
        if matches!(self.phase, Phase::Done) {
            out.push(Effect::ReadReady { ticket, at: CHOSEN });
            return false;
        }
        if self.waiting.len() + self.reads.len() + self.reads_out() >= limit {
            out.push(Effect::Answer { ticket, error: SubmitError::Busy { limit } });
            return false;
        }
        true
    }

    fn reads_out(&self) -> usize {
        let Phase::Preparing(preparing) = &self.phase else { return 0 };
        preparing.reads.len()
    }

    /// Begins a ballot if there is reason to, and none is under way.
    fn pursue(&mut self, now: Time, out: &mut Effects<Self>) {
        let wanted = self.value.is_some() || !self.reads.is_empty() || self.is_asked;
        if wanted && matches!(self.phase, Phase::Idle) {
            self.prepare(now, out);
        }
    }

    /// Phase 1a: begins a ballot that nobody has used before, this proposer in an earlier life
    /// included (2.5).
    fn prepare(&mut self, now: Time, out: &mut Effects<Self>) {
        self.round = self.round.next();
        self.written = self.written.next();
        out.push(Effect::Persist { token: self.written, record: Record::Round(self.round) });
        let preparing = Preparing {
            ballot: Ballot { round: self.round, node: self.config.id() },
            promised: BTreeSet::new(),
            highest: None,
            reads: mem::take(&mut self.reads),
            resend_at: now + self.config.retry(),
        };
        self.phase = Phase::Preparing(preparing);
        self.send(out);
    }

    /// Sends what the present phase asks to all acceptors that have not answered.
    fn send(&self, out: &mut Effects<Self>) {
        let (message, answered) = match &self.phase {
            Phase::Preparing(Preparing { ballot, promised, .. }) => {
                (Message::Prepare { ballot: *ballot }, promised)
            }
            Phase::Accepting { proposal, accepted, .. } => {
                (Message::Accept { proposal: proposal.clone() }, accepted)
            }
            Phase::Idle | Phase::Resting { .. } | Phase::Done => return,
        };
        let hasty = self.config.has_bug(Mutant::RoundNotDurable);
        for acceptor in self.config.acceptors().voters().filter(|it| !answered.contains(it)) {
            out.push(Effect::Send {
                to: self.config.acceptor(acceptor),
                message: message.clone(),
                // Nobody hears of a ballot that a crash could make this proposer use again.
                after: Some(self.written).filter(|_| !hasty),
            });
        }
    }

    fn on_promise(
        &mut self,
        now: Time,
        from: NodeId,
        (ballot, accepted): (Ballot, Option<Proposal>),
        out: &mut Effects<Self>,
    ) {
        let stale_counts = self.config.has_bug(Mutant::StalePromiseCounts);
        let Phase::Preparing(running) = &mut self.phase else {
            // Its value is fixed for this ballot (PAX-P07).
            return self.overrule(ballot, accepted, out);
        };
        let present = running.ballot == ballot || stale_counts;
        if !present || !self.config.acceptors().is_voter(from) {
            return;
        }

        let doubles = Mutant::DuplicatePromiseCounts;
        running.promised.insert(self.config.counted_for(from, &running.promised, doubles));
        let is_higher = |known: &Proposal, it: &Proposal| known.ballot < it.ballot;
        let first_counts = self.config.has_bug(Mutant::FirstAcceptedProposed);
        if let Some(accepted) = accepted {
            match &running.highest {
                Some(known) if first_counts || !is_higher(known, &accepted) => {}
                Some(_) | None => running.highest = Some(accepted),
            }
        }
        if self.config.has_promises(&running.promised) {
            self.accept(now, out);
        }
    }

    /// Lets a promise that comes late change what is proposed, as a known bug does.
    fn overrule(&mut self, ballot: Ballot, accepted: Option<Proposal>, out: &mut Effects<Self>) {
        if !self.config.has_bug(Mutant::LatePromiseCounts) {
            return;
        }
        if let (Phase::Accepting { proposal, .. }, Some(accepted)) = (&mut self.phase, accepted)
            && proposal.ballot == ballot
        {
            proposal.value = accepted.value;
            self.send(out);
        }
    }

    /// Phase 2a: proposes the value of the proposal with the highest number that was accepted, and
    /// only if there is none its own (2.2, P2c).
    fn accept(&mut self, now: Time, out: &mut Effects<Self>) {
        let Phase::Preparing(preparing) = mem::replace(&mut self.phase, Phase::Idle) else {
            unreachable!("promises are counted in phase 1 only")
        };
        let Preparing { ballot, highest, reads, .. } = preparing;
        let own_first = self.config.has_bug(Mutant::OwnValueFirst);
        let found = highest.map(|highest| highest.value);
        let value = match (&self.value, found) {
            (Some(own), Some(found)) => Some(if own_first { own.clone() } else { found }),
            (None, Some(found)) => Some(found),
            (own, None) => own.clone(),
        };
        let overlooks = self.value.is_none() && self.config.has_bug(Mutant::ReadOverlooksAccepted);
        let Some(value) = value.filter(|_| !overlooks || reads.is_empty()) else {
            // Nothing was chosen when the first of them promised, which was after they asked.
            self.answer(reads, Index::ZERO, out);
            self.is_asked = false;
            return self.pursue(now, out);
        };

        // A proposal is accepted by a minority, perhaps: only when it is chosen it may be read
        // (PAX-P09).
        self.reads.extend(reads);
        let (proposal, resend_at) = (Proposal { ballot, value }, now + self.config.retry());
        self.phase = Phase::Accepting { proposal, accepted: BTreeSet::new(), resend_at };
        self.send(out);
    }

    fn on_accepted(&mut self, from: NodeId, accepted: &Proposal, out: &mut Effects<Self>) {
        let stale_counts = self.config.has_bug(Mutant::StaleAcceptedCounts);
        let Phase::Accepting { proposal, accepted: counted, .. } = &mut self.phase else { return };
        let present = proposal == accepted || stale_counts;
        if !present || !self.config.acceptors().is_voter(from) {
            return;
        }

        let doubles = Mutant::DuplicateAcceptedCounts;
        counted.insert(self.config.counted_for(from, counted, doubles));
        if self.config.has_accepted(counted) {
            let proposal = proposal.clone();
            for learner in self.config.learners().voters() {
                let message = Message::Chosen { proposal: proposal.clone() };
                let to: Address = self.config.learner(learner);
                out.push(Effect::Send { to, message, after: None });
            }
            self.on_chosen(out);
        }
    }

    /// Gives a ballot up that somebody refuses: a later one is under way (2.2, end).
    fn on_nack(
        &mut self,
        now: Time,
        from: NodeId,
        (ballot, promised): (Ballot, Ballot),
        out: &mut Effects<Self>,
    ) {
        if self.phase().1 != Some(ballot) || !self.config.acceptors().is_voter(from) {
            return;
        }
        if self.config.has_bug(Mutant::NackCountsAsPromise) {
            return self.on_promise(now, from, (ballot, None), out);
        }

        self.round = self.round.max(promised.round);
        let until = now + self.pause.draw();
        let given_up = mem::replace(&mut self.phase, Phase::Resting { until });
        if let Phase::Preparing(Preparing { reads, .. }) = given_up {
            self.reads.extend(reads);
        }
    }

    /// Answers everybody with what is chosen, and does no more.
    fn on_chosen(&mut self, out: &mut Effects<Self>) {
        let last = mem::replace(&mut self.phase, Phase::Done);
        if let Phase::Preparing(Preparing { reads, .. }) = last {
            self.reads.extend(reads);
        }
        let waiting = mem::take(&mut self.waiting).into_iter();
        let all = waiting.chain(mem::take(&mut self.reads)).collect();
        (self.value, self.is_asked) = (None, false);
        self.answer(all, CHOSEN, out);
    }

    fn answer(&self, tickets: Vec<Ticket>, at: Index, out: &mut Effects<Self>) {
        for ticket in tickets {
            out.push(Effect::ReadReady { ticket, at });
        }
    }

    /// Asks again whoever has not answered, or begins anew after a rest (2.4).
    fn on_tick(&mut self, now: Time, out: &mut Effects<Self>) {
        let retry = self.config.retry();
        match &mut self.phase {
            Phase::Idle | Phase::Done => {}
            Phase::Resting { until } => {
                if now >= *until {
                    self.prepare(now, out);
                }
            }
            Phase::Preparing(Preparing { resend_at, .. }) | Phase::Accepting { resend_at, .. } => {
                if now >= *resend_at {
                    *resend_at = now + retry;
                    self.send(out);
                }
            }
        }
    }

    fn on_receive(&mut self, now: Time, from: NodeId, message: Message, out: &mut Effects<Self>) {
        if !self.config.is_member(from) || !message.is_plausible(from) {
            return;
        }

        match message {
            Message::Promise { ballot, accepted } => {
                self.on_promise(now, from, (ballot, accepted), out);
            }
            Message::Accepted { proposal } => self.on_accepted(from, &proposal, out),
            Message::Nack { ballot, promised } => {
                self.on_nack(now, from, (ballot, promised), out);
            }
            // No other node's learner sets this one to work.
            Message::Ask => {
                if from == self.config.id() && !matches!(self.phase, Phase::Done) {
                    self.is_asked = true;
                    self.pursue(now, out);
                }
            }
            Message::Chosen { .. } => {
                if from == self.config.id() {
                    self.on_chosen(out);
                }
            }
            // They are for acceptors.
            Message::Prepare { .. } | Message::Accept { .. } => {}
        }
    }

    /// Gives up the records of earlier rounds.
    fn on_persisted(&mut self, upto: Token, out: &mut Effects<Self>) {
        if upto >= self.written && self.written > self.kept {
            self.kept = self.written;
            out.push(Effect::Compact { before: self.kept });
        }
    }
}

impl Process for Proposer {
    type Config = Config;
    type Message = Message;
    type Record = Record;
    type Control = Control;

    fn recover(
        config: Config,
        _: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let (mut round, mut written) = (Round::default(), Token::default());
        for (token, record) in records {
            let Record::Round(used) = record else {
                return contradiction(token, "it is no record of a proposer");
            };
            if used <= round {
                return contradiction(token, "a proposer used a round that it had used before");
            }
            (round, written) = (used, token);
        }
        if config.has_bug(Mutant::RoundForgottenOnRestart) {
            round = Round::default();
        }
        Ok(Self {
            pause: config.pause(PROPOSER),
            config,
            round,
            written,
            kept: Token::default(),
            phase: Phase::Idle,
            value: None,
            waiting: Vec::new(),
            reads: Vec::new(),
            is_asked: false,
        })
    }

    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Tick => self.on_tick(now, out),
            Input::Receive { from, message } => self.on_receive(now, from, message, out),
            Input::Submit(submissions) => self.on_submit(now, submissions, out),
            Input::Control(Control::Read(reads)) => self.on_read(now, reads, out),
            Input::Persisted { upto } => self.on_persisted(upto, out),
            // It asks for none.
            Input::Snapshot(_) => {}
        }
    }
}
