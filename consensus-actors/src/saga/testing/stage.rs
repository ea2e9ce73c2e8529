//! A saga on its stage: its log, its executors one after the other, and its real steps, which are
//! asked one at a time in the order of the requests.
//!
//! There is no clock: nothing is waited for but the steps themselves.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::Arc,
};

use bytes::Bytes;
use consensus_core::{
    Time,
    saga::{
        Age, Effect as Want, EffectKey, Entry, Epoch, Event, Ledger, Op, Order, Outcome, Place,
        Saga as Planner, SagaId, StepId, Verdict,
    },
};
use tokio::time::timeout;

use super::{
    case::Case,
    caught::caught,
    profile::Profile,
    report::Broken,
    script::{Ends, Fate, Fault, Late, Script, Strike, name, told},
    story::Story,
};
use crate::saga::{
    Saga,
    book::Standing,
    cx::Common,
    handle::judged,
    reign::{Attempt, ended, stuck},
};

/// What was to be, and what came.
type Flaw = (String, String);

/// A request that was made.
struct Made {
    attempt: Attempt,
    is_missing: bool,
}

/// A saga in one run.
pub(super) struct Stage<'a> {
    case: &'a Case,
    script: Script,
    strikes: Vec<Strike>,
    common: Arc<Common>,
    ledger: Ledger,
    planner: Planner,
    epoch: Epoch,
    now: Time,
    id: SagaId,
    /// Records that are not durable yet.
    appends: VecDeque<Entry>,
    /// Requests on their way, and all that there were.
    calls: VecDeque<Attempt>,
    made: Vec<Made>,
    verdict: Option<Verdict>,
    /// What was answered to each request at first.
    answers: BTreeMap<EffectKey, Outcome>,
    /// What was refused, for good, without anybody being asked.
    refused: BTreeSet<EffectKey>,
    /// Steps whose compensation was asked for.
    undone: BTreeSet<StepId>,
    has_crashed: bool,
    has_helped: bool,
    /// What happened.
    story: Story,
    profile: Profile,
}

/// Plays a run from its beginning to its end.
///
/// # Errors
/// [`Broken`] when it is not as it must be.
pub(super) async fn play(case: &Case, script: Script, run: u64) -> Result<Profile, Broken> {
    let common = case.common(run).await;
    let common = common.map_err(|flaw| case.broken(script.name(&case.graph, ""), flaw))?;
    let mut stage = Stage::begin(case, script, (Arc::new(common), run));
    match stage.run().await {
        Ok(()) => Ok(stage.profile),
        Err(flaw) => Err(stage.broken(flaw)),
    }
}

impl<'a> Stage<'a> {
    fn begin(case: &'a Case, script: Script, (common, run): (Arc<Common>, u64)) -> Self {
        // Participants that several runs share take them for different sagas.
        let id = SagaId(u128::from(run));
        let (mut ledger, now, mut out) = (Ledger::default(), Time::ZERO, Vec::new());
        let epoch = ledger.claim();
        let of = (id, Arc::clone(&case.graph));
        let planner = Planner::begin(of, epoch, case.input.clone(), now, &mut out);
        let mut stage = Self {
            case,
            script,
            strikes: script.strikes(&case.graph),
            common,
            ledger,
            planner,
            epoch,
            now,
            id,
            appends: VecDeque::new(),
            calls: VecDeque::new(),
            made: Vec::new(),
            verdict: None,
            answers: BTreeMap::new(),
            refused: BTreeSet::new(),
            undone: BTreeSet::new(),
            has_crashed: false,
            has_helped: false,
            story: Story::default(),
            profile: Profile::default(),
        };
        stage.take(out);
        stage
    }

    async fn run(&mut self) -> Result<(), Flaw> {
        let verdict = self.carry_out().await?;
        let standing = Standing::Ended(ended(&self.planner, &verdict));
        let ended = judged(self.id, standing).expect("what has ended is judged");
        if !self.is_expected(&ended) {
            return Err((self.ends(), format!("it {}", Story::ending(&ended))));
        }
        self.check(&ended, "").await?;
        self.come_late(&ended).await?;
        self.judge_faults()
    }

    /// Goes on until the saga has ended.
    async fn carry_out(&mut self) -> Result<Verdict, Flaw> {
        loop {
            if self.is_crash_due() {
                self.crash().await?;
            } else if let Some(entry) = self.appends.pop_front() {
                self.append(entry);
            } else if let Some(verdict) = self.verdict.take() {
                return Ok(verdict);
            } else if let Some(attempt) = self.calls.pop_front() {
                self.serve(attempt).await?;
            } else if let Some(due) = self.planner.due() {
                self.now = due;
                self.step(Event::Tick);
            } else {
                self.help()?;
            }
        }
    }

    fn take(&mut self, out: Vec<Want>) {
        for want in out {
            match want {
                Want::Append(entry) => self.appends.push_back(entry),
                Want::Call(call) => {
                    let age = Age { place: Place(1), oldest: Place(1) };
                    let of = (&self.planner, &self.case.registered, age);
                    let attempt = Attempt::new(of, call, Arc::clone(&self.common));
                    self.made.push(Made { attempt: attempt.clone(), is_missing: false });
                    self.calls.push_back(attempt);
                }
                Want::Ended(verdict) => self.verdict = Some(verdict),
            }
        }
    }

    fn step(&mut self, event: Event) {
        let mut out = Vec::new();
        self.planner.step(self.now, event, &mut out);
        self.take(out);
    }

    fn append(&mut self, entry: Entry) {
        let seq = entry.seq;
        self.story.record(&entry, &self.case.graph);
        let appended = self.ledger.append(self.id, entry);
        appended.expect("the one executor of the latest epoch appends in order");
        self.step(Event::Appended(seq));
        self.profile.records.push(!self.calls.is_empty());
    }

    fn is_crash_due(&self) -> bool {
        let last = self.ledger.log(self.id).last().map(|last| last.seq);
        match self.script.fault {
            Fault::Crash { after, .. } => !self.has_crashed && last == Some(after),
            Fault::None
            | Fault::Twice(_)
            | Fault::Lost(_)
            | Fault::UndoRefused(_)
            | Fault::UndoUnheard(_) => false,
        }
    }

    /// Loses the executor with all that it had not made durable, and has another go on.
    async fn crash(&mut self) -> Result<(), Flaw> {
        self.has_crashed = true;
        self.appends.clear();
        self.verdict = None;
        self.story.note("the executor stops");
        let delivers = matches!(self.script.fault, Fault::Crash { delivers: true, .. });
        for attempt in mem::take(&mut self.calls) {
            if delivers {
                self.meet(&attempt, false).await?;
            }
        }
        self.epoch = self.ledger.claim();
        self.story.note(&format!("another goes on, in epoch {}", self.epoch.0));
        let (of, mut out) = ((self.id, Arc::clone(&self.case.graph)), Vec::new());
        let log = self.ledger.log(self.id);
        let planner = Planner::resume(of, self.epoch, log, self.now, &mut out);
        self.planner = planner.expect("a planner goes on from what a planner wrote");
        self.take(out);
        Ok(())
    }

    /// Has a request meet its fate; tells its executor what it hears of it.
    async fn serve(&mut self, attempt: Attempt) -> Result<(), Flaw> {
        let outcome = self.meet(&attempt, true).await?;
        let (key, attempt) = (attempt.call.key, attempt.call.attempt);
        self.step(Event::Replied { key, attempt, outcome });
        Ok(())
    }

    /// Returns what is heard of a request, if anybody is there to hear it.
    async fn meet(&mut self, attempt: &Attempt, is_heard: bool) -> Result<Outcome, Flaw> {
        let (key, fate) = (attempt.call.key, self.fate(attempt.call.key));
        let effect = (key.step, key.op);
        match fate {
            Some(Fate::Refused) => {
                self.story.unasked(attempt, &self.case.graph, "refused by the test");
                self.refused.insert(key);
                return Ok(Outcome::Rejected(Bytes::from_static(b"the test refuses it")));
            }
            Some(Fate::Missing) => {
                self.story.unasked(attempt, &self.case.graph, "does not arrive");
                for made in self.made.iter_mut().filter(|made| made.attempt.call == attempt.call) {
                    made.is_missing = true;
                }
                return Ok(Outcome::Unknown);
            }
            Some(Fate::Unheard) | None => {}
        }
        let is_unheard = fate.is_some() || !is_heard;
        self.profile.asked(effect, is_unheard);
        let outcome = self.deliver(attempt, is_unheard).await?;
        if self.script.fault == Fault::Twice(effect) {
            self.deliver(attempt, is_unheard).await?;
        }
        Ok(if is_unheard { Outcome::Unknown } else { outcome })
    }

    /// Returns what becomes of a request, unless all goes well. What an operator has seen to fails
    /// no more.
    fn fate(&mut self, key: EffectKey) -> Option<Fate> {
        if self.has_helped {
            return None;
        }
        let is_struck = |strike: &&mut Strike| strike.effect == (key.step, key.op);
        let mut strikes = self.strikes.iter_mut().filter(is_struck);
        let strike = strikes.find(|strike| strike.times > strike.met)?;
        strike.met += 1;
        Some(strike.fate)
    }

    /// Has a participant asked. All that it answers to the requests of one key must be alike.
    async fn deliver(&mut self, attempt: &Attempt, is_unheard: bool) -> Result<Outcome, Flaw> {
        let Attempt { registered, input, cx, call } = attempt.clone();
        let (key, graph) = (call.key, &self.case.graph);
        let limit = graph.step(key.step).map(|step| step.timeout).unwrap_or_default();
        let work = caught(registered.definition.run(input, cx, call.output));
        let (outcome, why) = match timeout(limit, work).await {
            Ok(Ok(outcome)) => (outcome, None),
            Ok(Err(said)) => (Outcome::Unknown, Some(format!("it panicked: {said}"))),
            Err(_) => (Outcome::Unknown, Some(format!("it took more than {limit:?}"))),
        };
        self.story.answered((attempt, graph), (&outcome, why), is_unheard);
        if key.op == Op::Undo {
            self.undone.insert(key.step);
        }
        // Whoever undid a step may answer it with what it likes.
        let is_free = key.op == Op::Action && self.undone.contains(&key.step);
        if outcome == Outcome::Unknown || is_free {
            return Ok(outcome);
        }
        let first = self.answers.entry(key).or_insert_with(|| outcome.clone());
        if *first != outcome {
            let what = told(graph, (key.step, key.op));
            let expected = "is answered alike however often it is asked for under one key";
            let (first, came) = (Story::outcome(first), Story::outcome(&outcome));
            return Err((format!("{what} {expected}"), format!("{first} at first, then {came}")));
        }
        Ok(outcome)
    }

    /// Has an operator try again what is stuck, if it is what must be.
    fn help(&mut self) -> Result<(), Flaw> {
        let graph = &self.case.graph;
        let found = self.planner.state().stuck(graph);
        let expected = self.script.stuck(graph).filter(|_| !self.has_helped);
        if expected.as_slice() != found {
            let note = stuck(&self.planner);
            let (names, cause) = (
                found.iter().map(|step| name(graph, *step)).collect::<Vec<_>>().join(" and "),
                note.map(|note| note.cause).unwrap_or_default(),
            );
            return Err((self.ends(), format!("it is stuck at {names}: {cause}")));
        }
        self.has_helped = true;
        self.story.note("it is stuck, and an operator has it tried again");
        let mut out = Vec::new();
        let ordered = self.planner.order(self.now, Order::Retry(None), "for the test", &mut out);
        ordered.expect("what is stuck can be tried again");
        self.take(out);
        Ok(())
    }

    fn is_expected(&self, ended: &Saga<Bytes>) -> bool {
        let graph = &self.case.graph;
        match (self.script.ends(graph), ended) {
            (Ends::Completed, Saga::Completed(_)) => true,
            (Ends::Compensated(step), Saga::Compensated { failed, .. }) => {
                failed.as_deref() == Some(name(graph, step))
            }
            (
                Ends::Completed | Ends::Compensated(_),
                Saga::Completed(_)
                | Saga::Compensated { .. }
                | Saga::Stuck { .. }
                | Saga::Abandoned,
            ) => false,
        }
    }

    /// Says how it was to end.
    fn ends(&self) -> String {
        let graph = &self.case.graph;
        let stuck = self.script.stuck(graph).filter(|_| !self.has_helped);
        if let Some(step) = stuck {
            return format!("it gets stuck at {}", name(graph, step));
        }
        match self.script.ends(graph) {
            Ends::Completed if self.script == Script::PLAIN => {
                "it completes: the test wants an input, and values, with which all steps succeed"
                    .to_owned()
            }
            Ends::Completed => "it completes".to_owned(),
            Ends::Compensated(step) => format!("it is undone because of {}", name(graph, step)),
        }
    }

    async fn check(&mut self, ended: &Saga<Bytes>, when: &str) -> Result<(), Flaw> {
        let checked = self.case.given.check(&self.common, ended).await;
        checked.map_err(|wrong| {
            let word = Story::ending(ended);
            (format!("what is checked holds when it {word}{when}"), wrong)
        })
    }

    /// Has requests come once more, and looks behind each.
    async fn come_late(&mut self, ended: &Saga<Bytes>) -> Result<(), Flaw> {
        let late = self.script.late();
        let is_late = |made: &Made| match late {
            Late::None => false,
            Late::Missing => made.is_missing,
            Late::Former => made.attempt.call.epoch < self.epoch,
            Late::All => true,
        };
        // What was refused was answered by somebody, who remembers it.
        let is_open = |made: &Made| !self.refused.contains(&made.attempt.call.key);
        let requests = self.made.iter().filter(|made| is_late(made) && is_open(made));
        let requests: Vec<Attempt> = requests.map(|made| made.attempt.clone()).collect();
        for (at, attempt) in requests.iter().enumerate() {
            if at == 0 {
                self.story.note("it has ended, and requests come late");
            }
            self.deliver(attempt, true).await?;
            let EffectKey { step, op, .. } = attempt.call.key;
            let what = told(&self.case.graph, (step, op));
            self.check(ended, &format!(", and {what} comes late")).await?;
        }
        Ok(())
    }

    /// Says so if what was to go wrong did not.
    fn judge_faults(&self) -> Result<(), Flaw> {
        let graph = &self.case.graph;
        let unmet = self.strikes.iter().find(|strike| strike.met == 0);
        let unmet = unmet.map(|strike| format!("{} is asked for", told(graph, strike.effect)));
        let crashes = matches!(self.script.fault, Fault::Crash { .. });
        let early = (crashes && !self.has_crashed).then(|| "the log becomes as long".to_owned());
        let asked = |effect| self.profile.requests.iter().any(|(asked, _)| *asked == effect);
        let single = match self.script.fault {
            Fault::Twice(effect) if !asked(effect) => {
                Some(format!("{} is asked for", told(graph, effect)))
            }
            Fault::None
            | Fault::Twice(_)
            | Fault::Lost(_)
            | Fault::Crash { .. }
            | Fault::UndoRefused(_)
            | Fault::UndoUnheard(_) => None,
        };
        let helped = self.script.stuck(graph).is_some() == self.has_helped;
        let unstuck = (!helped).then(|| "it gets stuck".to_owned());
        match unmet.or(early).or(single).or(unstuck) {
            None => Ok(()),
            Some(what) => {
                let came =
                    "it went otherwise: steps must do the same in each run, given new values";
                Err((format!("{what} as in the run before"), came.to_owned()))
            }
        }
    }

    fn broken(self, flaw: Flaw) -> Broken {
        let record = match self.script.fault {
            Fault::Crash { after, .. } => {
                let mut log = self.ledger.log(self.id).iter();
                log.find(|entry| entry.seq == after)
            }
            Fault::None
            | Fault::Twice(_)
            | Fault::Lost(_)
            | Fault::UndoRefused(_)
            | Fault::UndoUnheard(_) => None,
        };
        let graph = &self.case.graph;
        let record = record.map(|entry| Story::record_told(entry, graph)).unwrap_or_default();
        let run = self.script.name(graph, &record);
        Broken { story: self.story.lines(), ..self.case.broken(run, flaw) }
    }
}
