//! The planner: what to do next about one saga.
//!
//! It is told what happened, and says what is to be done; it knows no clock, network or disk. All
//! that it decides becomes a record first, and nothing leaves that rests on a record before that is
//! durable: so a saga goes on from its log wherever its executor stopped.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{
    barrier::{EffectKey, SagaId},
    event::{Call, Effect, Event, Op, Outcome},
    flight::{Flight, Phase, UnderWay},
    graph::{Class, Graph, StepId},
    mutant::Mutant,
    record::{Entry, Epoch, Order, Reason, Record, Seq},
    state::{Contradiction, Course, OrderError, Standing, State},
};
use crate::{mutants::Bugs, time::Time};

/// A saga in the hands of an executor.
#[derive(Clone, Debug)]
pub struct Saga {
    id: SagaId,
    graph: Arc<Graph>,
    epoch: Epoch,
    /// How it stands once all records are durable.
    state: State,
    last: Seq,
    durable: Seq,
    flights: BTreeMap<StepId, Flight>,
    /// How often each effect was asked for, as far as the log and this executor know.
    asked: BTreeMap<(StepId, Op), u32>,
    /// When this executor took it up, and how long it had been at work before.
    since: Time,
    spent_before: Duration,
    draw: ChaCha8Rng,
    has_ended: bool,
    bugs: Bugs<Mutant>,
}

impl Saga {
    /// Begins a saga.
    pub fn begin(
        (id, graph): (SagaId, Arc<Graph>),
        epoch: Epoch,
        input: Bytes,
        now: Time,
        out: &mut Vec<Effect>,
    ) -> Self {
        let saga = Self::open((id, graph), (epoch, Bugs::default()), (&[], input), now, out);
        saga.expect("there is no log that could contradict")
    }

    /// Goes on with a saga where its log ends.
    ///
    /// # Errors
    /// [`Contradiction`] when the log is none of this definition, or has a gap. Other sagas are not
    /// concerned.
    pub fn resume(
        (id, graph): (SagaId, Arc<Graph>),
        epoch: Epoch,
        log: &[Entry],
        now: Time,
        out: &mut Vec<Effect>,
    ) -> Result<Self, Contradiction> {
        if log.is_empty() {
            return Err(Contradiction { seq: Seq(1), reason: "there is no record" });
        }
        Self::open((id, graph), (epoch, Bugs::default()), (log, Bytes::new()), now, out)
    }

    /// Goes on with a saga, or begins it where there is no log.
    pub(crate) fn open(
        (id, graph): (SagaId, Arc<Graph>),
        (epoch, bugs): (Epoch, Bugs<Mutant>),
        (log, input): (&[Entry], Bytes),
        now: Time,
        out: &mut Vec<Effect>,
    ) -> Result<Self, Contradiction> {
        let mut saga = Self::new((id, graph), epoch, now, bugs);
        if log.is_empty() {
            let digest = saga.graph.digest();
            saga.write(now, Record::Begun { digest, input, parent: None }, out);
        } else {
            saga.replay(log)?;
            // What waits for an operator would only grow with every executor.
            if saga.has_work() {
                saga.write(now, Record::Resumed, out);
            }
        }
        saga.advance(now, out);
        saga.end(out);
        Ok(saga)
    }

    fn new((id, graph): (SagaId, Arc<Graph>), epoch: Epoch, now: Time, bugs: Bugs<Mutant>) -> Self {
        let mut draw = ChaCha8Rng::seed_from_u64(id.0 as u64 ^ (id.0 >> 64) as u64);
        draw.set_stream(epoch.0);
        Self {
            id,
            state: State::new(&graph, bugs),
            graph,
            epoch,
            last: Seq::default(),
            durable: Seq::default(),
            flights: BTreeMap::new(),
            asked: BTreeMap::new(),
            since: now,
            spent_before: Duration::ZERO,
            draw,
            has_ended: false,
            bugs,
        }
    }

    fn replay(&mut self, log: &[Entry]) -> Result<(), Contradiction> {
        for entry in log {
            if entry.seq != self.last.next() {
                return Err(Contradiction {
                    seq: entry.seq,
                    reason: "a record before it is missing",
                });
            }
            self.state.apply(&self.graph, entry)?;
            self.asked.extend(entry.record.attempts());
            (self.last, self.spent_before) = (entry.seq, entry.spent);
        }
        self.durable = self.last;
        Ok(())
    }

    /// Puts a known bug back.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.bugs = Bugs::only(mutant);
        self.state.set_bugs(self.bugs);
        self
    }

    /// Returns which saga it is.
    pub fn id(&self) -> SagaId {
        self.id
    }

    /// Returns its definition.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns how it stands once all records are durable.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns when it must hear of the time next, unless something happens before.
    pub fn due(&self) -> Option<Time> {
        let flights = self.flights.values().filter_map(|flight| match flight.phase {
            Phase::Resting(_) if flight.after > self.durable => None,
            Phase::Resting(due) | Phase::Asked { until: due, .. } => Some(due),
        });
        flights.chain(self.deadline()).min()
    }

    /// Returns what it is asking for, or is about to ask for.
    pub fn under_way(&self) -> impl Iterator<Item = UnderWay> {
        self.flights.values().map(|Flight { key, phase, .. }| {
            let attempts = self.attempts(key.step, key.op);
            UnderWay { step: key.step, op: key.op, attempts, phase: *phase }
        })
    }

    /// Returns how often something was asked for, as far as the log and this executor know.
    fn attempts(&self, step: StepId, op: Op) -> u32 {
        self.asked.get(&(step, op)).copied().unwrap_or_default()
    }

    /// Consumes one event.
    pub fn step(&mut self, now: Time, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Appended(upto) => self.durable = self.durable.max(upto.min(self.last)),
            Event::Replied { key, attempt, outcome } => {
                self.on_replied(now, (key, attempt), outcome, out);
            }
            Event::Tick => self.on_tick(now, out),
        }
        self.advance(now, out);
        self.end(out);
    }

    /// Carries out an operator's order, once that is in the log.
    ///
    /// # Errors
    /// [`OrderError`] says why not.
    pub fn order(
        &mut self,
        now: Time,
        order: Order,
        reason: &str,
        out: &mut Vec<Effect>,
    ) -> Result<(), OrderError> {
        self.state.permits(&self.graph, &order)?;
        // One that was completed may have to go back.
        self.has_ended = false;
        self.write(now, Record::Ordered { order, reason: reason.to_owned() }, out);
        self.advance(now, out);
        Ok(())
    }

    fn on_replied(
        &mut self,
        now: Time,
        (key, attempt): (EffectKey, u32),
        outcome: Outcome,
        out: &mut Vec<Effect>,
    ) {
        // What an earlier attempt brought is what all attempts do.
        let Some(flight) = self.flights.get(&key.step).copied() else { return };
        if flight.key.op != key.op || self.round(flight) != self.round(Flight { key, ..flight }) {
            return;
        }
        let outcome = match outcome {
            Outcome::Unknown if self.bugs.has(Mutant::UnknownIsRejected) => {
                Outcome::Rejected(Bytes::new())
            }
            other => other,
        };
        let step = key.step;
        let attempts = self.attempts(step, key.op);
        let record = match (key.op, outcome) {
            (_, Outcome::Unknown) => {
                if flight.attempt == attempt && matches!(flight.phase, Phase::Asked { .. }) {
                    self.on_unknown(now, flight, out);
                }
                return;
            }
            (Op::Action, Outcome::Done(output)) => Record::Done { step, output, attempts },
            (Op::Action, Outcome::Rejected(cause)) => Record::Rejected { step, cause, attempts },
            (Op::Undo, Outcome::Done(_)) => Record::Undone { step, attempts },
            (Op::Undo, Outcome::Rejected(cause)) => Record::UndoFailed { step, cause, attempts },
        };
        self.flights.remove(&step);
        let is_again = matches!(record, Record::Rejected { .. })
            && self.class(step) == Class::Retriable
            && !self.retry(step).is_last(flight.attempt);
        let is_refused = matches!(record, Record::Rejected { .. });
        self.write(now, record, out);
        if is_again {
            let rest = self.rest(step, flight.attempt);
            self.ask(step, Op::Action, (flight.attempt + 1, now + rest));
        } else if is_refused && self.class(step) == Class::Retriable {
            self.write(now, Record::Unresolved { step, attempts }, out);
        }
    }

    /// A known bug makes each attempt an effect of its own.
    fn round(&self, flight: Flight) -> u32 {
        if self.bugs.has(Mutant::KeyOfAttempt) { 0 } else { flight.key.round }
    }

    fn on_tick(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.write(now, Record::Turned(Reason::Deadline), out);
        }
        let flights: Vec<Flight> = self.flights.values().copied().collect();
        for flight in flights {
            if matches!(flight.phase, Phase::Asked { until, .. } if now >= until) {
                self.on_unknown(now, flight, out);
            }
        }
    }

    /// Nobody can say what became of an attempt: it is asked for again, or given up.
    fn on_unknown(&mut self, now: Time, flight: Flight, out: &mut Vec<Effect>) {
        let step = flight.key.step;
        if !self.retry(step).is_last(flight.attempt) {
            let rest = self.rest(step, flight.attempt);
            return self.ask(step, flight.key.op, (flight.attempt + 1, now + rest));
        }
        self.flights.remove(&step);
        let attempts = self.attempts(step, flight.key.op);
        let record = match flight.key.op {
            Op::Action => Record::Unresolved { step, attempts },
            Op::Undo => Record::UndoFailed { step, cause: Bytes::new(), attempts },
        };
        self.write(now, record, out);
    }

    /// Tells whether anything can be done before an operator does.
    fn has_work(&self) -> bool {
        if self.state.verdict(&self.graph).is_some() || self.state.is_quarantined() {
            return false;
        }
        let mut steps = self.graph.steps().map(|(id, _)| (id, self.state.standing(id)));
        match self.state.course {
            Course::Forward => steps.any(|(id, standing)| {
                standing == Standing::Intended || (standing == Standing::Idle && self.is_ready(id))
            }),
            Course::Back(_) => steps.any(|(id, standing)| {
                standing == Standing::Intended || self.state.owes(&self.graph, id)
            }),
            Course::Abandoned => false,
        }
    }

    /// Does whatever can be done now.
    fn advance(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.state.verdict(&self.graph).is_some() || self.state.is_quarantined() {
            return self.flights.clear();
        }
        match self.state.course {
            Course::Forward => self.go_on(now, out),
            Course::Back(_) => self.turn_back(now, out),
            Course::Abandoned => {}
        }
        self.call_due(now, out);
    }

    /// Asks for the steps that have become possible, and again for those of which nothing is known.
    fn go_on(&mut self, now: Time, out: &mut Vec<Effect>) {
        let steps: Vec<StepId> = self.graph.steps().map(|(id, _)| id).collect();
        for id in steps {
            match self.state.standing(id) {
                Standing::Idle if self.is_ready(id) => {
                    self.write(now, Record::Intended(id), out);
                    self.ask(id, Op::Action, (1, now));
                    if let Some(flight) = self.flights.get_mut(&id) {
                        flight.is_new = true;
                    }
                }
                Standing::Intended if !self.flights.contains_key(&id) => {
                    self.ask(id, Op::Action, (1, now));
                }
                _ => {}
            }
        }
    }

    fn is_ready(&self, id: StepId) -> bool {
        let hasty = self.bugs.has(Mutant::PivotBeforeAll) && self.class(id) == Class::Pivot;
        let named = |before: &StepId| {
            !hasty || self.graph.step(id).is_some_and(|step| step.after.contains(before))
        };
        let mut before = self.graph.before(id).filter(named);
        before.all(|before| self.state.standing(before) == Standing::Done)
    }

    /// First finds out what became of all that was asked for; then undoes what was done, in reverse.
    fn turn_back(&mut self, now: Time, out: &mut Vec<Effect>) {
        let steps: Vec<StepId> = self.graph.steps().map(|(id, _)| id).collect();
        let mut open = false;
        for id in steps.iter().copied() {
            if self.state.standing(id) != Standing::Intended {
                continue;
            }
            let flight = self.flights.get(&id).copied();
            if flight.is_some_and(|flight| flight.is_new && flight.after > self.durable) {
                // Nobody has heard of it, and nobody will.
                self.flights.remove(&id);
                let attempts = self.attempts(id, Op::Action);
                self.write(now, Record::Unresolved { step: id, attempts }, out);
                continue;
            }
            open = true;
            if flight.is_none() {
                self.ask(id, Op::Action, (1, now));
            }
        }
        if open && !self.bugs.has(Mutant::UndoBeforeResolved) {
            return;
        }
        for id in steps.into_iter().rev() {
            let waits = self.state.owes(&self.graph, id) && !self.flights.contains_key(&id);
            if waits && self.is_free(id) {
                self.ask(id, Op::Undo, (1, now));
            }
        }
    }

    /// Tells whether everything that rests on a step is undone, or cannot be.
    fn is_free(&self, id: StepId) -> bool {
        let mut behind = self.graph.steps().filter(|(other, _)| self.graph.leads(id, *other));
        let open = |other| self.state.owes(&self.graph, other);
        self.bugs.has(Mutant::UndoInAnyOrder) || !behind.any(|(other, _)| open(other))
    }

    /// Has a step asked for at some time, once all records until now are durable.
    fn ask(&mut self, step: StepId, op: Op, (attempt, at): (u32, Time)) {
        let of = self.state.step(step);
        let round = match op {
            Op::Action => of.round,
            Op::Undo => of.undo_round,
        };
        let round = if self.bugs.has(Mutant::KeyOfAttempt) { attempt - 1 } else { round };
        let key = EffectKey { saga: self.id, step, op, round };
        let (after, phase) = (self.last, Phase::Resting(at));
        let flight = Flight { key, attempt, after, is_new: false, phase };
        self.flights.insert(step, flight);
    }

    /// Sends the requests whose time has come.
    fn call_due(&mut self, now: Time, out: &mut Vec<Effect>) {
        let hasty = self.bugs.has(Mutant::CallBeforeRecord);
        for (step, flight) in &mut self.flights {
            let Phase::Resting(due) = flight.phase else { continue };
            if now < due || (flight.after > self.durable && !hasty) {
                continue;
            }
            let timeout = self.graph.step(*step).map(|step| step.timeout).unwrap_or_default();
            flight.phase = Phase::Asked { since: now, until: now + timeout };
            let output = match flight.key.op {
                Op::Action => None,
                Op::Undo => self.state.step(*step).output.clone(),
            };
            let Flight { key, attempt, .. } = *flight;
            let asked = self.asked.entry((key.step, key.op)).or_default();
            *asked = asked.saturating_add(1);
            out.push(Effect::Call(Call { key, epoch: self.epoch, attempt, output }));
        }
    }

    fn end(&mut self, out: &mut Vec<Effect>) {
        if self.has_ended || self.durable < self.last {
            return;
        }
        if let Some(verdict) = self.state.verdict(&self.graph) {
            self.has_ended = true;
            out.push(Effect::Ended(verdict));
        }
    }

    fn write(&mut self, now: Time, record: Record, out: &mut Vec<Effect>) {
        let spent = self.spent_before + now.since(self.since);
        let entry = Entry { seq: self.last.next(), epoch: self.epoch, spent, record };
        let applied = self.state.apply(&self.graph, &entry);
        assert_eq!(applied, Ok(()), "a planner writes what follows from its log");
        self.last = entry.seq;
        out.push(Effect::Append(entry));
    }

    /// Returns when it turns back, if it can still.
    fn deadline(&self) -> Option<Time> {
        let deadline = self.graph.deadline()?;
        let is_open = self.state.course == Course::Forward
            && !self.state.is_decided(&self.graph)
            && self.state.verdict(&self.graph).is_none();
        is_open.then(|| self.since + deadline.saturating_sub(self.spent_before))
    }

    fn class(&self, step: StepId) -> Class {
        self.graph.step(step).map_or(Class::NoEffect, |step| step.class)
    }

    fn retry(&self, step: StepId) -> super::retry::Retry {
        self.graph.step(step).map(|step| step.retry).unwrap_or_default()
    }

    fn rest(&mut self, step: StepId, attempt: u32) -> Duration {
        let drawn = self.draw.next_u64();
        self.retry(step).pause(attempt, drawn)
    }
}
