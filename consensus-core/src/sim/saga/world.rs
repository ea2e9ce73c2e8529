//! One simulated run: executors, their ledger, participants, and the network between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{
    graphs::{self, below, happens},
    participant::Participant,
};
use crate::{
    mutants::Bugs,
    saga::{
        Admission, Answer, AppendError, Barrier, Call, Class, Effect, EffectKey, Entry, Epoch,
        Event, Graph, Ledger, Mutant, Op, Order, Outcome, Record, Saga, SagaId, Seq, StepId,
        Verdict,
    },
    time::Time,
};

/// How many services there are.
const PARTICIPANTS: usize = 3;
/// How many sagas are started.
const SAGAS: u64 = 8;
/// Until when there are faults.
const FAULTY: Time = millis(3_000);
/// Until when all sagas must have ended.
const END: Time = millis(60_000);
/// How often an executor looks at the time.
const TICK: Duration = Duration::from_millis(10);

const fn millis(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sagas that were carried out.
    pub completed: u64,
    /// Sagas that were undone.
    pub compensated: u64,
    /// Sagas that an operator had to help.
    pub helped: u64,
    /// Executors that were killed.
    pub killed: u64,
    /// Executors that were replaced while they went on.
    pub replaced: u64,
    /// Participants that broke off.
    pub broken_off: u64,
    /// Requests and replies that were lost.
    pub lost: u64,
    /// Requests that were doubled.
    pub doubled: u64,
    /// Requests that were refused, as their step was undone or their executor replaced.
    pub refused: u64,
}

impl Tally {
    /// Returns what happened in this run and another.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            completed: self.completed + other.completed,
            compensated: self.compensated + other.compensated,
            helped: self.helped + other.helped,
            killed: self.killed + other.killed,
            replaced: self.replaced + other.replaced,
            broken_off: self.broken_off + other.broken_off,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            refused: self.refused + other.refused,
        }
    }
}

/// What is about to happen.
#[derive(Clone, Debug)]
enum Happening {
    Claim { executor: usize },
    Tick { executor: usize },
    Begin { number: u64 },
    Cancel { number: u64 },
    Append { executor: usize, saga: SagaId, entry: Entry },
    Appended { executor: usize, saga: SagaId, result: Result<Seq, AppendError> },
    Request { executor: usize, call: Call },
    Finish { executor: usize, call: Call, life: u64 },
    Reply { executor: usize, key: EffectKey, attempt: u32, outcome: Outcome },
    Kill,
    Replace,
    BreakOff { participant: usize },
    Help,
}

/// Who carries sagas out.
#[derive(Debug, Default)]
struct Executor {
    /// None before it has claimed one, and once it is out.
    epoch: Option<Epoch>,
    sagas: BTreeMap<SagaId, Saga>,
    /// When its last append reaches the ledger: they keep their order.
    appends: Time,
}

/// A run.
#[derive(Debug)]
pub(super) struct World {
    now: Time,
    draw: ChaCha8Rng,
    agenda: BTreeMap<(Time, u64), Happening>,
    scheduled: u64,
    executors: Vec<Executor>,
    ledger: Ledger,
    participants: Vec<Participant>,
    graphs: BTreeMap<SagaId, Arc<Graph>>,
    ended: BTreeMap<SagaId, Verdict>,
    helped: BTreeSet<SagaId>,
    tally: Tally,
    bugs: Bugs<Mutant>,
}

impl World {
    pub(super) fn new(seed: u64, bugs: Bugs<Mutant>) -> Self {
        let draw = ChaCha8Rng::seed_from_u64(seed);
        let barrier = Barrier::with_bugs(bugs);
        let participant = Participant { barrier, ..Participant::default() };
        let mut world = Self {
            now: Time::ZERO,
            draw,
            agenda: BTreeMap::new(),
            scheduled: 0,
            executors: Vec::new(),
            ledger: Ledger::with_bugs(bugs),
            participants: vec![participant; PARTICIPANTS],
            graphs: BTreeMap::new(),
            ended: BTreeMap::new(),
            helped: BTreeSet::new(),
            tally: Tally::default(),
            bugs,
        };
        world.set_the_stage();
        world
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    fn set_the_stage(&mut self) {
        self.start_executor();
        for number in 1..=SAGAS {
            let graph = Arc::new(graphs::graph(&mut self.draw));
            self.graphs.insert(SagaId(u128::from(number)), graph);
            let at = self.within(2_000);
            self.at(at, Happening::Begin { number });
            if happens(&mut self.draw, 150) {
                let later = at + Duration::from_millis(below(&mut self.draw, 600));
                self.at(later, Happening::Cancel { number });
            }
        }
        for _ in 0..below(&mut self.draw, 6) {
            let at = self.within(2_900);
            let fault = match below(&mut self.draw, 3) {
                0 => Happening::Kill,
                1 => Happening::Replace,
                _ => {
                    let participant = below(&mut self.draw, PARTICIPANTS as u64) as usize;
                    Happening::BreakOff { participant }
                }
            };
            self.at(at, fault);
        }
        self.at(FAULTY + Duration::from_secs(5), Happening::Help);
    }

    fn within(&mut self, limit: u64) -> Time {
        millis(100 + below(&mut self.draw, limit))
    }

    fn at(&mut self, at: Time, happening: Happening) {
        self.scheduled += 1;
        self.agenda.insert((at, self.scheduled), happening);
    }

    /// Has something happen after a random delay.
    fn soon(&mut self, most: u64, happening: Happening) {
        let delay = Duration::from_micros(100 + below(&mut self.draw, most * 1_000));
        self.at(self.now + delay, happening);
    }

    fn is_calm(&self) -> bool {
        self.now >= FAULTY
    }

    /// Tells whether a message is lost.
    fn loses(&mut self) -> bool {
        let lost = !self.is_calm() && happens(&mut self.draw, 80);
        self.tally.lost += u64::from(lost);
        lost
    }

    /// Runs until all sagas have ended.
    pub(super) fn play(&mut self) -> Result<(), String> {
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            if at > END {
                break;
            }
            self.now = at;
            self.happen(happening)?;
            let all = self.ledger.sagas().all(|(id, _)| self.ended.contains_key(&id));
            if all && self.is_calm() {
                break;
            }
        }
        self.judge()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Claim { executor } => self.on_claim(executor),
            Happening::Tick { executor } => self.on_tick(executor),
            Happening::Begin { number } => self.on_begin(number),
            Happening::Cancel { number } => {
                self.order(SagaId(u128::from(number)), Order::Cancel);
                Ok(())
            }
            Happening::Append { executor, saga, entry } => {
                let seq = entry.seq;
                let result = self.ledger.append(saga, entry).map(|()| seq);
                self.soon(5, Happening::Appended { executor, saga, result });
                Ok(())
            }
            Happening::Appended { executor, saga, result } => {
                self.on_appended(executor, saga, result)
            }
            Happening::Request { executor, call } => self.on_request(executor, call),
            Happening::Finish { executor, call, life } => self.on_finish(executor, call, life),
            Happening::Reply { executor, key, attempt, outcome } => {
                let event = Event::Replied { key, attempt, outcome };
                self.step(executor, key.saga, event)
            }
            Happening::Kill => {
                self.tally.killed += 1;
                self.replace(true);
                Ok(())
            }
            Happening::Replace => {
                self.tally.replaced += 1;
                self.replace(false);
                Ok(())
            }
            Happening::BreakOff { participant } => {
                self.tally.broken_off += 1;
                if let Some(participant) = self.participants.get_mut(participant) {
                    participant.life += 1;
                    participant.barrier.restart();
                }
                Ok(())
            }
            Happening::Help => self.on_help(),
        }
    }

    fn start_executor(&mut self) {
        self.executors.push(Executor::default());
        let executor = self.executors.len() - 1;
        self.soon(50, Happening::Claim { executor });
    }

    /// Starts another executor; the present one is gone, or does not know.
    fn replace(&mut self, killed: bool) {
        if killed && let Some(executor) = self.executors.last_mut() {
            *executor = Executor::default();
        }
        self.start_executor();
    }

    /// An executor takes up whatever the ledger has.
    fn on_claim(&mut self, executor: usize) -> Result<(), String> {
        if executor + 1 < self.executors.len() {
            return Ok(());
        }
        let epoch = self.ledger.claim();
        if let Some(it) = self.executors.get_mut(executor) {
            it.epoch = Some(epoch);
        }
        let found: Vec<(SagaId, Vec<Entry>)> =
            self.ledger.sagas().map(|(id, log)| (id, log.to_vec())).collect();
        for (id, log) in found {
            let mut out = Vec::new();
            let saga = self.take_up(id, epoch, &log, &mut out);
            let saga = saga.map_err(|error| format!("saga {} cannot go on: {error}", id.0))?;
            self.hold(executor, id, saga);
            self.carry(executor, id, out)?;
        }
        self.at(self.now + TICK, Happening::Tick { executor });
        Ok(())
    }

    fn take_up(
        &self,
        id: SagaId,
        epoch: Epoch,
        log: &[Entry],
        out: &mut Vec<Effect>,
    ) -> Result<Saga, crate::saga::Contradiction> {
        let graph = self.graphs.get(&id).map(Arc::clone).expect("each saga has a graph");
        Saga::open(
            (id, graph),
            (epoch, self.bugs),
            (log, Bytes::from_static(b"input")),
            self.now,
            out,
        )
    }

    fn hold(&mut self, executor: usize, id: SagaId, saga: Saga) {
        if let Some(executor) = self.executors.get_mut(executor) {
            executor.sagas.insert(id, saga);
        }
    }

    fn on_tick(&mut self, executor: usize) -> Result<(), String> {
        let Some(it) = self.executors.get(executor).filter(|it| it.epoch.is_some()) else {
            return Ok(());
        };
        let now = self.now;
        let due = it.sagas.iter().filter(|(_, saga)| saga.due().is_some_and(|due| due <= now));
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.step(executor, id, Event::Tick)?;
        }
        self.at(self.now + TICK, Happening::Tick { executor });
        Ok(())
    }

    fn on_begin(&mut self, number: u64) -> Result<(), String> {
        let (id, last) = (SagaId(u128::from(number)), self.executors.len() - 1);
        let Some(epoch) = self.executors.get(last).and_then(|executor| executor.epoch) else {
            self.soon(50, Happening::Begin { number });
            return Ok(());
        };
        let mut out = Vec::new();
        let saga = self.take_up(id, epoch, &[], &mut out).map_err(|error| error.to_string())?;
        self.hold(last, id, saga);
        self.carry(last, id, out)
    }

    /// An operator, or a caller, asks the present executor for something.
    fn order(&mut self, id: SagaId, order: Order) {
        let last = self.executors.len() - 1;
        let (now, mut out) = (self.now, Vec::new());
        let saga = self.executors.get_mut(last).and_then(|it| it.sagas.get_mut(&id));
        if saga.is_some_and(|saga| saga.order(now, order, "for a test", &mut out).is_ok()) {
            self.carry(last, id, out).expect("an order is carried out");
        }
    }

    /// Helps what is stuck, again and again.
    fn on_help(&mut self) -> Result<(), String> {
        let open: Vec<SagaId> = self.ledger.sagas().map(|(id, _)| id).collect();
        for id in open {
            let last = self.executors.last().and_then(|it| it.sagas.get(&id));
            if last.is_some_and(|saga| !saga.state().stuck(saga.graph()).is_empty()) {
                self.helped.insert(id);
                self.order(id, Order::Retry(None));
            }
        }
        self.at(self.now + Duration::from_secs(3), Happening::Help);
        Ok(())
    }

    fn on_appended(
        &mut self,
        executor: usize,
        saga: SagaId,
        result: Result<Seq, AppendError>,
    ) -> Result<(), String> {
        match result {
            Ok(seq) => self.step(executor, saga, Event::Appended(seq)),
            Err(AppendError::Stale(_)) => {
                if let Some(executor) = self.executors.get_mut(executor) {
                    *executor = Executor::default();
                }
                Ok(())
            }
            Err(error @ AppendError::OutOfPlace(_)) => {
                let is_out =
                    self.executors.get(executor).is_none_or(|it| !it.sagas.contains_key(&saga));
                if is_out { Ok(()) } else { Err(format!("saga {}: {error}", saga.0)) }
            }
        }
    }

    fn step(&mut self, executor: usize, id: SagaId, event: Event) -> Result<(), String> {
        let (now, mut out) = (self.now, Vec::new());
        let saga = self.executors.get_mut(executor).and_then(|it| it.sagas.get_mut(&id));
        if let Some(saga) = saga {
            saga.step(now, event, &mut out);
        }
        self.carry(executor, id, out)
    }

    /// Carries out what a planner asks for.
    fn carry(&mut self, executor: usize, saga: SagaId, out: Vec<Effect>) -> Result<(), String> {
        for effect in out {
            match effect {
                Effect::Append(entry) => {
                    let delay = Duration::from_micros(100 + below(&mut self.draw, 8_000));
                    let Some(it) = self.executors.get_mut(executor) else { continue };
                    it.appends = it.appends.max(self.now + delay);
                    let at = it.appends;
                    // Whoever hears nothing of a command sends it again.
                    if !self.is_calm() && happens(&mut self.draw, 30) {
                        let entry = entry.clone();
                        self.at(at, Happening::Append { executor, saga, entry });
                    }
                    self.at(at, Happening::Append { executor, saga, entry });
                }
                Effect::Call(call) => {
                    let copies = 1 + u64::from(!self.is_calm() && happens(&mut self.draw, 60));
                    self.tally.doubled += copies - 1;
                    for _ in 0..copies {
                        let late = if happens(&mut self.draw, 50) { 400 } else { 20 };
                        if !self.loses() {
                            let call = call.clone();
                            self.soon(late, Happening::Request { executor, call });
                        }
                    }
                }
                Effect::Ended(verdict) => self.on_ended(saga, verdict)?,
            }
        }
        Ok(())
    }

    fn on_ended(&mut self, saga: SagaId, verdict: Verdict) -> Result<(), String> {
        match self.ended.insert(saga, verdict.clone()) {
            Some(other) if other != verdict => {
                Err(format!("saga {} has ended twice: {other:?}, {verdict:?}", saga.0))
            }
            _ => Ok(()),
        }
    }

    fn place(key: EffectKey) -> usize {
        usize::from(key.step.0) % PARTICIPANTS
    }

    fn on_request(&mut self, executor: usize, call: Call) -> Result<(), String> {
        let Call { key, epoch, attempt, .. } = call.clone();
        let Some(participant) = self.participants.get_mut(Self::place(key)) else { return Ok(()) };
        let heard = participant.heard;
        participant.heard = heard.max(epoch);
        let outcome = match participant.barrier.admit(key, epoch) {
            Admission::Run(_) => {
                let life = participant.life;
                if epoch < heard {
                    return Err(format!("{key}: asked for by {epoch:?}, after {heard:?}"));
                }
                self.check_request(key)?;
                self.soon(40, Happening::Finish { executor, call, life });
                return Ok(());
            }
            Admission::Busy => return Ok(()),
            Admission::Replay(answer) => told(Some(answer)),
            Admission::Sealed | Admission::Stale { .. } => {
                self.tally.refused += 1;
                return Ok(());
            }
        };
        if !self.loses() {
            self.soon(20, Happening::Reply { executor, key, attempt, outcome });
        }
        Ok(())
    }

    fn on_finish(&mut self, executor: usize, call: Call, life: u64) -> Result<(), String> {
        let Call { key, attempt, .. } = call;
        let calm = self.is_calm();
        let Some(participant) = self.participants.get_mut(Self::place(key)) else { return Ok(()) };
        if participant.life != life {
            return Ok(());
        }
        let before = participant.effect(key);
        let answer = participant.carry_out(key, calm, &mut self.draw);
        let after = participant.effect(key);
        if before != after {
            self.check_effect(key)?;
        }
        if !self.loses() {
            let outcome = told(answer);
            self.soon(20, Happening::Reply { executor, key, attempt, outcome });
        }
        Ok(())
    }

    fn effect(&self, saga: SagaId, step: StepId) -> super::participant::Effect {
        let key = EffectKey { saga, step, op: Op::Action, round: 0 };
        self.participants.get(Self::place(key)).map(|it| it.effect(key)).unwrap_or_default()
    }

    /// Whatever is asked for stands in the log, as something that is about to be done.
    fn check_request(&self, key: EffectKey) -> Result<(), String> {
        let intended =
            |entry: &Entry| matches!(&entry.record, Record::Intended(step) if *step == key.step);
        if self.ledger.log(key.saga).iter().any(intended) {
            return Ok(());
        }
        Err(format!("{key}: asked for before the log says so"))
    }

    /// An effect comes about once, is undone once, and in its order.
    fn check_effect(&self, key: EffectKey) -> Result<(), String> {
        let effect = self.effect(key.saga, key.step);
        if effect.done > 1 || effect.undone > effect.done {
            return Err(format!("{key}: done {} times, undone {}", effect.done, effect.undone));
        }
        let Some(graph) = self.graphs.get(&key.saga) else { return Ok(()) };
        let stands = |step| self.effect(key.saga, step).stands();
        let log = self.ledger.log(key.saga);
        let given_up = |id: StepId| {
            let names = |entry: &Entry| match &entry.record {
                Record::Unresolved(step) | Record::UndoFailed { step, .. } => *step == id,
                _ => false,
            };
            log.iter().any(names)
        };
        let of =
            |class| graph.steps().filter(move |(_, step)| step.class == class).map(|(id, _)| id);
        match key.op {
            Op::Action => {
                let mut undone =
                    graph.steps().filter(|(id, _)| self.effect(key.saga, *id).undone > 0);
                if undone.next().is_some() && !given_up(key.step) {
                    return Err(format!("{key}: done while the saga is being undone"));
                }
                let pivot = graph.pivot() == Some(key.step);
                let mut before = of(Class::Compensatable).chain(of(Class::NoEffect));
                if pivot && !before.all(stands) {
                    return Err(format!("{key}: the pivot is done before the steps before it"));
                }
            }
            Op::Undo => {
                let mut behind = of(Class::Compensatable)
                    .filter(|other| graph.leads(key.step, *other) && !given_up(*other));
                if behind.any(stands) {
                    return Err(format!("{key}: undone before what rests on it"));
                }
                if graph.pivot().is_some_and(stands) {
                    return Err(format!("{key}: undone behind the pivot"));
                }
            }
        }
        Ok(())
    }

    /// In the end each saga is carried out or undone.
    fn judge(&mut self) -> Result<(), String> {
        let begun: Vec<SagaId> = self.ledger.sagas().map(|(id, _)| id).collect();
        for id in begun {
            let Some(verdict) = self.ended.get(&id) else {
                return Err(format!("saga {} has not ended", id.0));
            };
            let graph = self.graphs.get(&id).map(Arc::clone).expect("each saga has a graph");
            for (step, of) in graph.steps() {
                let stands = self.effect(id, step).stands();
                let fits = match (verdict, of.class) {
                    (Verdict::Completed, _) => stands,
                    (Verdict::Compensated(_), Class::NoEffect) | (Verdict::Abandoned, _) => true,
                    (Verdict::Compensated(_), _) => !stands,
                };
                if !fits {
                    return Err(format!("saga {} is {verdict:?}, but for step {}", id.0, of.name));
                }
            }
            match verdict {
                Verdict::Completed => self.tally.completed += 1,
                Verdict::Compensated(_) | Verdict::Abandoned => self.tally.compensated += 1,
            }
        }
        self.tally.helped = self.helped.len() as u64;
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
