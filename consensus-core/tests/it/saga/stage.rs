//! One saga on a stage: its log, a participant behind a barrier, and an executor that can be lost.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use consensus_core::{
    Time,
    saga::{
        Admission, Age, Answer, AppendError, Barrier, Call, Class, Contradiction, CoordinatorId,
        Effect, EffectKey, Entry, Epoch, Event, Graph, Ledger, Op, Order, OrderError, Outcome,
        Place, Request, Retry, Saga, SagaId, Seq, Standing, Step, StepId, Verdict,
    },
};

use crate::bug;

pub(crate) const ID: SagaId = SagaId(7);
const COORDINATOR: CoordinatorId = CoordinatorId(1);
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// Makes a request of the one coordinator.
pub(crate) fn request(key: EffectKey, epoch: Epoch) -> Request {
    let age = Age { place: Place(1), oldest: Place(1) };
    Request { key, coordinator: COORDINATOR, epoch, age }
}

/// Makes a graph of steps like `a`, `b<a` (after `a`), `c!<a,b` (the pivot), `d+<c` (retriable),
/// `e?` (without effect).
pub(crate) fn graph(text: &str) -> Arc<Graph> {
    graph_within(text, None)
}

pub(crate) fn graph_within(text: &str, deadline: Option<Duration>) -> Arc<Graph> {
    let mut steps: Vec<Step> = Vec::new();
    for word in text.split_whitespace() {
        let (head, after) = word.split_once('<').unwrap_or((word, ""));
        let name = head.trim_end_matches(['!', '+', '?']);
        let class = match &head[name.len()..] {
            "!" => Class::Pivot,
            "+" => Class::Retriable,
            "?" => Class::NoEffect,
            _ => Class::Compensatable,
        };
        let place = |name: &str| steps.iter().position(|step| step.name == name).expect("a step");
        let after = after.split(',').filter(|name| !name.is_empty());
        let after = after.map(|name| StepId(place(name) as u16)).collect();
        let retry = Retry {
            attempts_max: 3,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(1),
        };
        steps.push(Step { name: name.to_owned(), class, after, timeout: TIMEOUT, retry });
    }
    Arc::new(Graph::new(("test", 1), deadline, steps).expect("the steps make a saga"))
}

/// A saga, and all that is around it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) graph: Arc<Graph>,
    pub(crate) ledger: Ledger,
    pub(crate) barrier: Barrier,
    pub(crate) saga: Saga,
    pub(crate) now: Time,
    pub(crate) epoch: Epoch,
    /// Appends that are not in the ledger yet.
    pub(crate) appends: Vec<Entry>,
    /// Requests that were sent and not delivered.
    pub(crate) calls: Vec<Call>,
    pub(crate) verdict: Option<Verdict>,
    /// What was carried out: a number of times each.
    pub(crate) effects: BTreeMap<(StepId, Op), u32>,
    /// In which order.
    pub(crate) done: Vec<String>,
}

impl Stage {
    /// Begins a saga; nothing of it is durable yet.
    pub(crate) fn begin(graph: Arc<Graph>) -> Self {
        let mut ledger = bug::ledger(Ledger::default());
        let epoch = ledger.claim();
        let (now, mut out) = (Time::ZERO, Vec::new());
        let input = Bytes::from_static(b"input");
        let saga = Saga::begin((ID, Arc::clone(&graph)), epoch, input, now, &mut out);
        let mut stage = Self {
            graph,
            ledger,
            barrier: bug::barrier(Barrier::default()),
            saga: bug::saga(saga),
            now,
            epoch,
            appends: Vec::new(),
            calls: Vec::new(),
            verdict: None,
            effects: BTreeMap::new(),
            done: Vec::new(),
        };
        stage.take(out);
        stage
    }

    pub(crate) fn id(&self, name: &str) -> StepId {
        let found = self.graph.steps().find(|(_, step)| step.name == name);
        found.map(|(id, _)| id).expect("there is such a step")
    }

    fn name(&self, id: StepId) -> &str {
        self.graph.step(id).map_or("?", |step| step.name.as_str())
    }

    fn take(&mut self, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Append(entry) => self.appends.push(entry),
                Effect::Call(call) => self.calls.push(call),
                Effect::Ended(verdict) => self.verdict = Some(verdict),
            }
        }
    }

    pub(crate) fn step(&mut self, event: Event) {
        let mut out = Vec::new();
        self.saga.step(self.now, event, &mut out);
        self.take(out);
    }

    pub(crate) fn tick(&mut self, after: Duration) {
        self.now = self.now + after;
        self.step(Event::Tick);
    }

    /// Makes the oldest append durable; tells whether there was one.
    pub(crate) fn append_one(&mut self) -> bool {
        if self.appends.is_empty() {
            return false;
        }
        let entry = self.appends.remove(0);
        let seq = entry.seq;
        self.ledger.append(ID, entry).expect("it has its place");
        self.step(Event::Appended(seq));
        true
    }

    /// Makes all appends durable.
    pub(crate) fn append(&mut self) {
        while self.append_one() {}
    }

    /// Returns what was asked for, like `a`, or `undo a`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.calls.iter().map(|call| self.told(call.key)).collect()
    }

    pub(crate) fn told(&self, key: EffectKey) -> String {
        let name = self.name(key.step);
        match key.op {
            Op::Action => name.to_owned(),
            Op::Undo => format!("undo {name}"),
        }
    }

    /// Takes a request from the network: `a`, or `undo a`.
    pub(crate) fn pick(&mut self, what: &str) -> Call {
        let found = self.calls.iter().position(|call| self.told(call.key) == what);
        let at = found.unwrap_or_else(|| panic!("{what} is not among {:?}", self.asked()));
        self.calls.remove(at)
    }

    /// Delivers a request to the participant, which carries it out, or refuses it if `rejects`;
    /// returns the answer, if there is one.
    pub(crate) fn deliver(&mut self, call: &Call, rejects: bool) -> Outcome {
        match self.barrier.admit(request(call.key, call.epoch)) {
            Admission::Run(_) => {
                let answer = if rejects {
                    Answer::Rejected(Bytes::from_static(b"no"))
                } else {
                    *self.effects.entry((call.key.step, call.key.op)).or_default() += 1;
                    self.done.push(self.told(call.key));
                    Answer::Done(Bytes::from(format!("{} done", self.name(call.key.step))))
                };
                self.barrier.finish(request(call.key, call.epoch), Some(answer.clone()));
                outcome(answer)
            }
            Admission::Replay(answer) => outcome(answer),
            Admission::Busy | Admission::Sealed | Admission::Stale { .. } => Outcome::Unknown,
        }
    }

    pub(crate) fn reply(&mut self, call: &Call, outcome: Outcome) {
        let Call { key, attempt, .. } = *call;
        self.step(Event::Replied { key, attempt, outcome });
    }

    /// Delivers a request and its answer, and makes durable what comes of it.
    pub(crate) fn serve(&mut self, what: &str) {
        let call = self.pick(what);
        let outcome = self.deliver(&call, false);
        self.reply(&call, outcome);
        self.append();
    }

    /// The same, where the participant refuses.
    pub(crate) fn reject(&mut self, what: &str) {
        let call = self.pick(what);
        let outcome = self.deliver(&call, true);
        self.reply(&call, outcome);
        self.append();
    }

    /// Lets nobody say what became of a request.
    pub(crate) fn lose(&mut self, what: &str) {
        let call = self.pick(what);
        self.reply(&call, Outcome::Unknown);
        self.append();
    }

    pub(crate) fn order(&mut self, order: Order) -> Result<(), OrderError> {
        let mut out = Vec::new();
        let done = self.saga.order(self.now, order, "for a test", &mut out);
        self.verdict.take_if(|_| done.is_ok());
        self.take(out);
        self.append();
        done
    }

    /// Loses the executor with all that it had not made durable, and has another go on.
    pub(crate) fn crash(&mut self) -> Result<(), Contradiction> {
        self.appends.clear();
        self.calls.clear();
        self.barrier.restart();
        self.epoch = self.ledger.claim();
        // Another machine's clock has nothing to do with this one's.
        self.now = Time::after_start(Duration::from_secs(1_000_000));
        let (log, mut out) = (self.ledger.log(ID).to_vec(), Vec::new());
        let graph = Arc::clone(&self.graph);
        let saga = Saga::resume((ID, graph), self.epoch, &log, self.now, &mut out)?;
        self.saga = bug::saga(saga);
        self.take(out);
        Ok(())
    }

    /// Goes on until nothing is left to be done, with a participant that refuses steps that `rejects`
    /// tells; a crash comes when the log has `crash_at` records.
    pub(crate) fn play(&mut self, rejects: &dyn Fn(&str) -> bool, crash_at: Option<u64>) {
        let mut crash_at = crash_at;
        for _ in 0..1_000 {
            let length = self.ledger.log(ID).len() as u64;
            if length > 0 && crash_at.take_if(|at| *at == length).is_some() {
                self.crash().expect("the log makes sense");
            }
            if self.append_one() {
                continue;
            }
            if self.verdict.is_some() {
                return;
            }
            if self.calls.is_empty() {
                let due = self.saga.due().map(|due| due.since(self.now));
                let Some(due) = due else { return };
                self.tick(due);
                continue;
            }
            let call = self.calls.remove(0);
            let rejects = rejects(&self.told(call.key));
            let outcome = self.deliver(&call, rejects);
            self.reply(&call, outcome);
        }
        panic!("it goes on without end: {:?}", self.saga.state());
    }

    pub(crate) fn standing(&self, name: &str) -> Standing {
        self.saga.state().step(self.id(name)).standing
    }

    pub(crate) fn stuck(&self) -> Vec<&str> {
        let stuck = self.saga.state().stuck(&self.graph);
        stuck.into_iter().map(|id| self.name(id)).collect()
    }

    /// Returns how often a step was carried out, and undone.
    pub(crate) fn effect(&self, name: &str) -> (u32, u32) {
        let count = |op| self.effects.get(&(self.id(name), op)).copied().unwrap_or_default();
        (count(Op::Action), count(Op::Undo))
    }

    /// Asserts that what was done stands, or that all of it was undone, each once.
    pub(crate) fn check_whole(&self) {
        for (_, step) in self.graph.steps() {
            let (done, undone) = self.effect(&step.name);
            let whole = match &self.verdict {
                Some(Verdict::Completed) => (done, undone) == (1, 0),
                Some(Verdict::Compensated(_)) if step.class == Class::Compensatable => {
                    done <= 1 && undone == done
                }
                Some(Verdict::Compensated(_)) => undone == 0,
                other => panic!("it has not ended: {other:?}"),
            };
            assert!(whole, "{} was done {done} times, undone {undone}: {self:?}", step.name);
        }
    }

    /// Appends a record as another executor would.
    pub(crate) fn append_as(
        &mut self,
        epoch: Epoch,
        seq: Seq,
        like: Entry,
    ) -> Result<(), AppendError> {
        self.ledger.append(ID, Entry { epoch, seq, ..like })
    }
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Done(output) => Outcome::Done(output),
        Answer::Rejected(cause) => Outcome::Rejected(cause),
    }
}
