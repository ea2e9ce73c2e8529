//! One simulated run: executors, their ledger, participants, and the network between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{
    super::{
        fault::{Counts, Fault, Faults},
        plan::Plan,
        runner::{Failure, Flaw, Report},
        served::Reads,
        trace::{Trace, What},
    },
    graphs::{self, Definition, below, happens},
    nested::{Ask, Roll},
    participant::Participant,
};
use crate::{
    mutants::Bugs,
    saga::{
        Admission, Answer, AppendError, Barrier, CoordinatorId, EffectKey, Entry, Epoch, Event,
        Families, Ledger, Mutant, Order, Outcome, Place, Request, Saga, SagaId, Seq, Verdict,
    },
    time::Time,
};

/// How many services there are.
const PARTICIPANTS: usize = 3;
/// How often an executor looks at the time.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// All executors are of one coordinator.
pub(super) const COORDINATOR: CoordinatorId = CoordinatorId(1);
/// How long after the last fault all sagas must have ended.
const AFTERMATH: Duration = Duration::from_secs(60);

/// How sagas ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sagas that were carried out.
    pub completed: u64,
    /// Sagas that were undone.
    pub compensated: u64,
    /// Sagas that an operator had to help.
    pub helped: u64,
    /// Requests that were refused, as their step was undone or their executor replaced.
    pub refused: u64,
    /// Sagas that were steps of others.
    pub nested: u64,
    /// Sagas that waited for what others held, and then began.
    pub waited: u64,
    /// Sagas that were not begun, as others held what they would hold, or waited for them.
    pub denied: u64,
}

/// What is about to happen.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Claim { executor: usize },
    Tick { executor: usize },
    Begin { number: u64 },
    News { executor: usize },
    Order { saga: SagaId, order: Order },
    Append { executor: usize, saga: SagaId, entry: Entry },
    Appended { executor: usize, saga: SagaId, result: Result<Seq, AppendError> },
    Ended { saga: SagaId, epoch: Epoch },
    Step { ask: Ask },
    Grant { ask: Ask },
    Request { executor: usize, of: Request, attempt: u32 },
    Finish { executor: usize, of: Request, attempt: u32, life: u64 },
    Reply { executor: usize, key: EffectKey, attempt: u32, outcome: Outcome },
    Kill,
    Replace,
    BreakOff { participant: usize },
    Help,
}

/// Who carries sagas out.
#[derive(Debug, Default)]
pub(super) struct Executor {
    /// None before it has claimed one, and once it is out.
    pub(super) epoch: Option<Epoch>,
    pub(super) sagas: BTreeMap<SagaId, Saga>,
    pub(super) places: BTreeMap<SagaId, Place>,
    /// Sagas that have ended, and are there because those whose steps they are may turn back.
    pub(super) rests: BTreeSet<SagaId>,
    /// The last saga that it has heard of.
    pub(super) heard: Place,
    /// When its last append reaches the ledger: they keep their order.
    pub(super) appends: Time,
}

/// A run.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Time,
    pub(super) draw: ChaCha8Rng,
    pub(super) agenda: BTreeMap<(Time, u64), Happening>,
    pub(super) scheduled: u64,
    pub(super) executors: Vec<Executor>,
    pub(super) ledger: Ledger,
    pub(super) participants: Vec<Participant>,
    pub(super) families: Families,
    pub(super) definitions: BTreeMap<SagaId, Arc<Definition>>,
    pub(super) roll: Roll,
    pub(super) ended: BTreeMap<SagaId, Verdict>,
    pub(super) helped: BTreeSet<SagaId>,
    pub(super) tally: Tally,
    pub(super) bugs: Bugs<Mutant>,
    pub(super) counts: Counts,
    pub(super) trace: Trace,
    pub(super) faults: Faults,
    /// Until when there are faults.
    pub(super) faulty: Time,
    /// How many sagas there are.
    pub(super) count: u64,
    /// Whether each effect is judged, or only how sagas end.
    pub(super) judges: bool,
}

impl World {
    pub(super) fn new(plan: &Plan, count: u64) -> Self {
        #[cfg(feature = "mutants")]
        let bugs = match plan.bug() {
            Some(crate::mutants::Bug::Saga(mutant)) => Bugs::only(mutant),
            Some(_) | None => Bugs::default(),
        };
        #[cfg(not(feature = "mutants"))]
        let bugs = Bugs::default();
        let barrier = Barrier::with_bugs(bugs);
        let participant = Participant { barrier, ..Participant::default() };
        let mut world = Self {
            now: Time::ZERO,
            draw: ChaCha8Rng::seed_from_u64(plan.seed()),
            agenda: BTreeMap::new(),
            scheduled: 0,
            executors: Vec::new(),
            ledger: Ledger::with_bugs(bugs),
            participants: vec![participant; PARTICIPANTS],
            families: Families::with_bugs(bugs),
            definitions: BTreeMap::new(),
            roll: Roll::default(),
            ended: BTreeMap::new(),
            helped: BTreeSet::new(),
            tally: Tally::default(),
            bugs,
            counts: Counts::default(),
            trace: Trace::new(plan.is_recording()),
            faults: plan.faults(),
            faulty: Time::ZERO + plan.duration(),
            count,
            judges: plan.checks_invariants(),
        };
        world.set_the_stage();
        world
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }

    pub(super) fn note(&mut self, numbers: [u64; 3], what: impl FnOnce() -> What) {
        self.trace.note(self.now, None, numbers, what);
    }

    /// Makes the report of the run.
    pub(super) fn report(
        self,
        seed: u64,
        failure: Option<Failure>,
        reads: Reads,
    ) -> (Report, Tally) {
        let whole = |saga: &SagaId| saga.0 <= self.count.into();
        let ended = self.ended.keys().chain(&self.roll.cancelled).chain(&self.roll.denied);
        let report = Report {
            seed,
            digest: self.trace.digest(),
            counts: self.counts,
            reads,
            operations: self.count as usize,
            answered: ended.filter(|saga| whole(saga)).count(),
            terms: self.ledger.epoch().0 as usize,
            simulated: self.now,
            failure,
            history: Vec::new(),
            trace: self.trace.into_lines(),
        };
        (report, self.tally)
    }

    pub(super) fn set_the_stage(&mut self) {
        self.start_executor();
        let faulty = self.faults != Faults::NONE;
        // Half of the runs are of sagas that have nothing to do with each other.
        let related = happens(&mut self.draw, 500);
        for number in 1..=self.count {
            let definition = match related {
                true => graphs::related(&mut self.draw, faulty),
                false => graphs::alone(&mut self.draw, faulty),
            };
            let saga = SagaId(number.into());
            self.definitions.insert(saga, Arc::new(definition));
            let at = self.within();
            self.at(at, Happening::Begin { number });
            if faulty && happens(&mut self.draw, 150) {
                let later = at + Duration::from_millis(below(&mut self.draw, 600));
                self.at(later, Happening::Order { saga, order: Order::Cancel });
            }
            if faulty && related && happens(&mut self.draw, 40) {
                let later = at + Duration::from_millis(below(&mut self.draw, 1_500));
                self.at(later, Happening::Order { saga, order: Order::Abandon });
            }
        }
        let often = 2 + self.faulty.since(Time::ZERO).as_millis() as u64 / 700;
        for fault in [Fault::CrashBefore, Fault::CrashBetween, Fault::Pause] {
            if !self.faults.has(fault) {
                continue;
            }
            for _ in 0..below(&mut self.draw, often) {
                let at = self.within();
                let participant = below(&mut self.draw, PARTICIPANTS as u64) as usize;
                let happening = match fault {
                    Fault::CrashBetween => Happening::Kill,
                    Fault::Pause => Happening::Replace,
                    _ => Happening::BreakOff { participant },
                };
                self.at(at, happening);
            }
        }
        self.at(self.faulty + Duration::from_secs(5), Happening::Help);
    }

    /// Draws a moment while there are faults.
    pub(super) fn within(&mut self) -> Time {
        let nanos = self.faulty.since(Time::ZERO).as_nanos() as u64;
        Time::after_start(Duration::from_nanos(below(&mut self.draw, nanos)))
    }

    pub(super) fn at(&mut self, at: Time, happening: Happening) {
        self.scheduled += 1;
        self.agenda.insert((at, self.scheduled), happening);
    }

    /// Has something happen after a random delay.
    pub(super) fn soon(&mut self, most: u64, happening: Happening) {
        let delay = Duration::from_micros(100 + below(&mut self.draw, most * 1_000));
        self.at(self.now + delay, happening);
    }

    /// Tells whether there are no faults any more, or none at all.
    pub(super) fn is_calm(&self) -> bool {
        self.now >= self.faulty || self.faults == Faults::NONE
    }

    /// Tells whether a fault strikes that does so `of` times in a thousand.
    pub(super) fn strikes(&mut self, fault: Fault, of: u64) -> bool {
        let strikes = self.now < self.faulty && self.faults.has(fault);
        let strikes = strikes && happens(&mut self.draw, of);
        if strikes {
            self.counts.count(fault);
        }
        strikes
    }

    pub(super) fn fail<T>(&self, flaw: Flaw, what: String) -> Result<T, Failure> {
        Err(Failure { flaw, what, evidence: Vec::new(), at: self.now })
    }

    /// Runs until all sagas have ended.
    pub(super) fn play(&mut self) -> Result<(), Failure> {
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            if at > self.faulty + AFTERMATH {
                break;
            }
            self.now = at;
            self.happen(happening)?;
            if self.now >= self.faulty && self.families.is_empty() && self.are_all_begun() {
                break;
            }
        }
        self.judge()
    }

    /// Tells whether all sagas were begun that were to be, or refused.
    fn are_all_begun(&self) -> bool {
        (1..=self.count).all(|number| self.roll.knows(SagaId(number.into())))
    }

    pub(super) fn happen(&mut self, happening: Happening) -> Result<(), Failure> {
        match happening {
            Happening::Claim { executor } => self.on_claim(executor),
            Happening::Tick { executor } => self.on_tick(executor),
            Happening::Begin { number } => self.on_begin(number),
            Happening::News { executor } => self.on_news(executor),
            Happening::Order { saga, order } => self.on_order(saga, order),
            Happening::Append { executor, saga, entry } => self.on_append(executor, saga, entry),
            Happening::Ended { saga, epoch } => self.on_end(saga, epoch),
            Happening::Step { ask } => self.on_step(ask),
            Happening::Grant { ask } => self.on_grant(ask),
            Happening::Appended { executor, saga, result } => {
                self.on_appended(executor, saga, result)
            }
            Happening::Request { executor, of, attempt } => self.on_request(executor, of, attempt),
            Happening::Finish { executor, of, attempt, life } => {
                self.on_finish((executor, life), of, attempt)
            }
            Happening::Reply { executor, key, attempt, outcome } => {
                let event = Event::Replied { key, attempt, outcome };
                self.step(executor, key.saga, event)
            }
            Happening::Kill => {
                self.strike(Fault::CrashBetween);
                self.replace(true);
                Ok(())
            }
            Happening::Replace => {
                self.strike(Fault::Pause);
                self.replace(false);
                Ok(())
            }
            Happening::BreakOff { participant } => {
                self.strike(Fault::CrashBefore);
                if let Some(participant) = self.participants.get_mut(participant) {
                    participant.life += 1;
                    participant.barrier.restart();
                }
                Ok(())
            }
            Happening::Help => self.on_help(),
        }
    }

    pub(super) fn strike(&mut self, fault: Fault) {
        self.counts.count(fault);
        let what = || What::Fault { fault: fault.name(), text: String::new(), lasts: 0 };
        self.note([1, 0, 0], what);
    }

    pub(super) fn place(key: EffectKey) -> usize {
        usize::from(key.step.0) % PARTICIPANTS
    }

    pub(super) fn on_request(
        &mut self,
        executor: usize,
        of: Request,
        attempt: u32,
    ) -> Result<(), Failure> {
        let Request { key, epoch, .. } = of;
        let Some(participant) = self.participants.get_mut(Self::place(key)) else { return Ok(()) };
        let heard = participant.heard;
        participant.heard = heard.max(epoch);
        let outcome = match participant.barrier.admit(of) {
            Admission::Run(_) => {
                let life = participant.life;
                if epoch < heard && self.judges {
                    let what = format!("{key}: asked for by {epoch:?}, after {heard:?}");
                    return self.fail(Flaw::Invariant, what);
                }
                self.check_request(key)?;
                self.soon(40, Happening::Finish { executor, of, attempt, life });
                return Ok(());
            }
            Admission::Busy => return Ok(()),
            Admission::Replay(answer) => told(Some(answer)),
            Admission::Sealed | Admission::Stale { .. } => {
                self.tally.refused += 1;
                return Ok(());
            }
        };
        if !self.strikes(Fault::Loss, 80) {
            self.soon(20, Happening::Reply { executor, key, attempt, outcome });
        }
        Ok(())
    }

    pub(super) fn on_finish(
        &mut self,
        (executor, life): (usize, u64),
        of: Request,
        attempt: u32,
    ) -> Result<(), Failure> {
        let key = of.key;
        let (calm, refuses) = (self.is_calm(), self.faults != Faults::NONE);
        let Some(participant) = self.participants.get_mut(Self::place(key)) else { return Ok(()) };
        if participant.life != life {
            return Ok(());
        }
        let before = participant.effect(key);
        let answer = participant.carry_out(of, (calm, refuses), &mut self.draw);
        let after = participant.effect(key);
        if before != after {
            self.check_effect(key)?;
        }
        if !self.strikes(Fault::Loss, 80) {
            let outcome = told(answer);
            self.soon(20, Happening::Reply { executor, key, attempt, outcome });
        }
        Ok(())
    }
}

fn told(answer: Option<Answer>) -> Outcome {
    match answer {
        Some(Answer::Done(output)) => Outcome::Done(output),
        Some(Answer::Rejected(cause)) => Outcome::Rejected(cause),
        None => Outcome::Unknown,
    }
}
