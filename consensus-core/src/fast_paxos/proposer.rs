//! The Proposer: hands callers' values straight to all acceptors, and answers with what is chosen
//! (3.1). The coordinator of its node is part of it (`coordinator.rs`).

use std::{
    hash::{Hash, Hasher},
    mem,
};

use bytes::Bytes;

use super::{
    CHOSEN, Control, PROPOSER,
    config::{Config, FIRST},
    coordinator::Phase,
    message::Message,
    mutant::Mutant,
    record::Record,
};
use crate::{
    error::{RecoverError, SubmitError},
    log::Index,
    members::NodeId,
    paxos::{Ballot, Pause, Round, contradiction},
    process::{Effect, Effects, Input, Process, Submission, Ticket, Token},
    time::Time,
};

/// Who proposes values to acceptors, and coordinates rounds in which they vote for them.
///
/// Callers are answered with the value that is chosen, whoever proposed it. So are those that only
/// read, unless nothing can have been chosen before they asked.
#[derive(Clone, Debug)]
pub struct Proposer {
    pub(super) config: Config,
    /// The highest round of a ballot that the coordinator has used or heard of; of the first one
    /// everybody has.
    pub(super) round: Round,
    /// The youngest record, and the one before which all was given up.
    pub(super) written: Token,
    kept: Token,
    pub(super) phase: Phase,
    /// What it proposes: the first value that it was asked for.
    pub(super) value: Option<Bytes>,
    /// How often that was proposed in vain, and when it is proposed again.
    tries: u32,
    propose_at: Time,
    /// Who waits for a value to be chosen.
    waiting: Vec<Ticket>,
    /// Who waits to hear what was chosen, of those that no promise answers so far.
    pub(super) reads: Vec<Ticket>,
    /// Whether the learner of this node wants to know.
    pub(super) is_asked: bool,
    pub(super) pause: Pause,
}

/// How often a value is proposed to acceptors, until the coordinator proposes it in a classic round:
/// the first may be lost, or come before a fast round is open.
const FAST_TRIES: u32 = 2;

impl Proposer {
    /// Returns its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the highest round of a ballot that the coordinator has used or heard of.
    pub fn round(&self) -> Round {
        self.round
    }

    /// Returns how far the coordinator is, and in which ballot.
    pub fn phase(&self) -> (&'static str, Option<Ballot>) {
        self.phase.told()
    }

    /// Feeds what [`Role::fingerprint`](super::Role::fingerprint) promises to `out`.
    pub(super) fn fingerprint(&self, out: &mut impl Hasher) {
        // Records are numbered, which decides nothing.
        let Self { config: _, written: _, kept: _, pause: _, propose_at: _, .. } = self;
        let Self { round, phase, value, tries, waiting, reads, is_asked, .. } = self;
        (round, value, tries.min(&FAST_TRIES), waiting, reads, is_asked).hash(out);
        phase.fingerprint(out);
    }

    fn on_submit(&mut self, now: Time, submissions: Vec<Submission>, out: &mut Effects<Self>) {
        for Submission { ticket, command } in submissions {
            if !self.admits(ticket, out) {
                continue;
            }
            self.waiting.push(ticket);
            if self.value.is_none() {
                self.value = Some(command);
                self.propose(now, out);
            }
        }
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
        if self.waiting.len() + self.reads.len() + self.phase.reads().len() >= limit {
            out.push(Effect::Answer { ticket, error: SubmitError::Busy { limit } });
            return false;
        }
        true
    }

    /// Asks all acceptors to vote for the value (3.1).
    fn propose(&mut self, now: Time, out: &mut Effects<Self>) {
        let Some(value) = self.value.clone() else { return };
        for acceptor in self.config.acceptors().voters() {
            let (to, message) =
                (self.config.acceptor(acceptor), Message::Propose { value: value.clone() });
            out.push(Effect::Send { to, message, after: None });
        }
        self.propose_at = now + self.config.retry();
    }

    /// Proposes again where nothing has come of it.
    fn propose_again(&mut self, now: Time, out: &mut Effects<Self>) {
        if self.value.is_none() || self.is_impatient() || now < self.propose_at {
            return;
        }
        self.tries = self.tries.saturating_add(1);
        // Else a classic round is to come.
        if !self.is_impatient() {
            self.invite(out);
            self.propose(now, out);
        }
    }

    /// Tells whether its value was proposed often enough in vain.
    pub(super) fn is_impatient(&self) -> bool {
        self.value.is_some() && self.tries >= FAST_TRIES
    }

    /// Begins a ballot if there is reason to, and none is under way that will do.
    pub(super) fn pursue(&mut self, now: Time, out: &mut Effects<Self>) {
        let wanted = self.is_impatient() || !self.reads.is_empty() || self.is_asked;
        if wanted && matches!(self.phase, Phase::Idle | Phase::Open(_)) {
            self.prepare(now, out);
        }
    }

    /// Answers everybody with what is chosen, and does no more.
    pub(super) fn on_chosen(&mut self, out: &mut Effects<Self>) {
        let running = self.phase.take_reads();
        self.phase = Phase::Done;
        let waiting = mem::take(&mut self.waiting).into_iter();
        let all = waiting.chain(mem::take(&mut self.reads)).chain(running).collect();
        (self.value, self.is_asked) = (None, false);
        self.answer(all, CHOSEN, out);
    }

    pub(super) fn answer(&self, tickets: Vec<Ticket>, at: Index, out: &mut Effects<Self>) {
        for ticket in tickets {
            out.push(Effect::ReadReady { ticket, at });
        }
    }

    fn on_tick(&mut self, now: Time, out: &mut Effects<Self>) {
        self.propose_again(now, out);
        self.coordinate(now, out);
        self.pursue(now, out);
    }

    fn on_receive(&mut self, now: Time, from: NodeId, message: Message, out: &mut Effects<Self>) {
        if !self.config.is_member(from) || !message.is_plausible(from) {
            return;
        }

        match message {
            Message::Promise { ballot, voted } => self.on_promise(now, from, (ballot, voted), out),
            Message::Accepted { proposal } => self.on_accepted(now, from, &proposal, out),
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
            Message::Prepare { .. }
            | Message::Accept { .. }
            | Message::Any { .. }
            | Message::Propose { .. } => {}
        }
    }

    /// Gives up the records of earlier ballots.
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
        now: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let (mut round, mut written) = (Round::default(), Token::default());
        for (token, record) in records {
            let Record::Round(used) = record else {
                return contradiction(token, "it is no record of a proposer");
            };
            if used <= round {
                return contradiction(token, "a coordinator used a round that it had used before");
            }
            (round, written) = (used, token);
        }
        if config.has_bug(Mutant::RoundForgottenOnRestart) {
            round = Round::default();
        }
        // What it has proposed in the first ballot, if anything, it does not know in another life.
        let is_new = round == Round::default() && !config.has_bug(Mutant::FirstBallotPrepared);
        let phase = Phase::first(&config).filter(|_| is_new).unwrap_or(Phase::Idle);
        if !config.has_bug(Mutant::FirstBallotPrepared) {
            round = round.max(FIRST);
        }
        Ok(Self {
            pause: config.pause(PROPOSER),
            config,
            round,
            written,
            kept: Token::default(),
            phase,
            value: None,
            tries: 0,
            propose_at: now,
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
