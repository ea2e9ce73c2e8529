//! One run: a plan, what came of it, and why it failed if it did.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{
    callers::promised,
    fault::Counts,
    operations::{Asked, Ended},
    plan::Plan,
    protocol::{Adversary, Simulated},
    random::Random,
    script::Script,
    served::Reads,
    service::milliseconds,
    trace::{Line, What},
    witness,
    workload::{self, Workload},
    world::World,
};
use crate::{members::NodeId, state_machine::StateMachine, time::Time};

/// What kind of thing does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// An invariant of the protocol.
    Invariant,
    /// What was durable, or acknowledged, is gone.
    Durability,
    /// Operations cannot have taken effect one at a time, each between its begin and its end.
    Linearizability,
    /// A query does not see what its token stands for.
    Session,
    /// A command was executed twice, or answered with what another execution gave.
    ExactlyOnce,
    /// A caller was told something that is not true.
    Outcome,
    /// Replicas, or copies of the state, differ after the same commands.
    Divergence,
    /// The cluster does not serve although everything was mended.
    Liveness,
    /// The code stopped itself.
    Panic,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invariant => "invariant",
            Self::Durability => "durability",
            Self::Linearizability => "linearizability",
            Self::Session => "session",
            Self::ExactlyOnce => "exactly once",
            Self::Outcome => "outcome",
            Self::Divergence => "divergence",
            Self::Liveness => "liveness",
            Self::Panic => "panic",
        })
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of thing does not hold.
    pub flaw: Flaw,
    /// What, in a sentence.
    pub what: String,
    /// The operations, records or replicas that cannot be reconciled, a line each.
    pub evidence: Vec<String>,
    /// When it was seen, in virtual time.
    pub at: Time,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.flaw, self.what)
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// A digest of everything that happened: equal for equal plans, everywhere and always.
    pub digest: u64,
    /// The faults that there were.
    pub counts: Counts,
    /// The ways in which queries were answered.
    pub reads: Reads,
    /// How many operations were asked for.
    pub operations: usize,
    /// How many of them were applied, or answered.
    pub answered: usize,
    /// How many terms, views or ballots there were.
    pub terms: usize,
    /// How much virtual time passed.
    pub simulated: Time,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// What callers asked for and were told.
    pub history: Vec<Asked>,
    /// The trace, where the plan asks to keep it.
    pub trace: Vec<Line>,
}

/// A plan about to be run.
pub struct Run<'a, P, S: StateMachine> {
    plan: &'a Plan,
    workload: &'a dyn Workload<S>,
    adversaries: BTreeMap<NodeId, Box<dyn Adversary<P>>>,
    script: Script,
}

impl<P, S: StateMachine> fmt::Debug for Run<'_, P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("plan", self.plan).finish_non_exhaustive()
    }
}

const WORKLOAD: u64 = 4;

impl<'a, P: Simulated, S: StateMachine> Run<'a, P, S> {
    /// Draws what the seed decides, operations of `workload` among it.
    ///
    /// # Errors
    /// A text for people, where the workload cannot make up an operation.
    pub fn new(plan: &'a Plan, workload: &'a dyn Workload<S>) -> Result<Self, String> {
        let mut random = Random::new(plan.seed(), WORKLOAD);
        let bodies = workload::bodies(workload, &mut random, plan.operations())?;
        let able = plan.with_faults(plan.faults().within(P::faults()));
        let probes = workload::probes(workload, plan.seed())?;
        let mut script = Script::draw(&able, bodies, probes);
        if P::FLEXIBLE_QUORUMS {
            script.temper.draw_quorums(plan);
        }
        Ok(Self { plan, workload, adversaries: BTreeMap::new(), script })
    }

    pub(super) fn scripted(plan: &'a Plan, workload: &'a dyn Workload<S>, script: Script) -> Self {
        Self { plan, workload, adversaries: BTreeMap::new(), script }
    }

    pub(super) fn into_script(self) -> Script {
        self.script
    }

    /// Puts an adversary in the place of a node.
    #[must_use]
    pub fn with_adversary(mut self, node: NodeId, adversary: Box<dyn Adversary<P>>) -> Self {
        self.adversaries.insert(node, adversary);
        self
    }

    /// Runs it.
    pub fn report(self) -> Report {
        let Self { plan, workload, adversaries, script } = self;
        let mut world = match World::<P, S>::new(plan, script, workload, adversaries) {
            Ok(world) => world,
            Err(failure) => return nothing(plan, failure),
        };
        // An assertion of our own that fails is a finding like any other.
        let done = catch_unwind(AssertUnwindSafe(|| {
            world.run()?;
            world.conclude()
        }));
        let failure = match done {
            Ok(done) => done.err(),
            Err(panic) => Some(Failure {
                flaw: Flaw::Panic,
                what: message(panic.as_ref()),
                evidence: world.standings(),
                at: world.now,
            }),
        };
        if let Some(failure) = &failure {
            world.note(None, [15, 0, 0], || What::Broken { text: failure.to_string() });
        }
        let all = world.operations.all();
        let answered = |asked: &&Asked| matches!(asked.ended(), Some(Ended::Ok(_)));
        Report {
            seed: plan.seed(),
            digest: world.trace.digest(),
            counts: world.counts,
            reads: world.reads,
            operations: all.len(),
            answered: all.iter().filter(answered).count(),
            terms: world.terms.len(),
            simulated: world.now,
            failure,
            history: world.operations.into_all(),
            trace: world.trace.into_lines(),
        }
    }
}

/// Runs `plan` with operations of `workload`.
///
/// # Errors
/// A text for people, where the workload cannot make up an operation.
pub fn run<P: Simulated, S: StateMachine>(
    plan: &Plan,
    workload: &dyn Workload<S>,
) -> Result<Report, String> {
    Run::<P, S>::new(plan, workload).map(Run::report)
}

fn nothing(plan: &Plan, failure: Failure) -> Report {
    Report {
        seed: plan.seed(),
        digest: 0,
        counts: Counts::default(),
        reads: Reads::default(),
        operations: 0,
        answered: 0,
        terms: 0,
        simulated: Time::ZERO,
        failure: Some(failure),
        history: Vec::new(),
        trace: Vec::new(),
    }
}

/// Returns what a panic says.
pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("something that is no text").to_owned()
}

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    /// Judges the whole run.
    fn conclude(&self) -> Result<(), Failure> {
        let judged = witness::judge(self.group, &self.decided, &self.operations, self.describe);
        let state = judged.map_err(|contradiction| {
            let mut failure = self.broken(contradiction.flaw, contradiction.what);
            let all = contradiction.operations;
            failure.evidence = all.iter().map(|operation| self.told(*operation)).collect();
            failure
        })?;
        for (node, host) in self.hosts.iter().filter(|(node, _)| self.has_state(**node)) {
            if witness::encoded(host.replica.machine()) != state {
                let what = format!(
                    "the state of {node}{} is not what the log gives, with every command executed \
                     once",
                    host.origin()
                );
                return Err(self.broken(Flaw::Divergence, what));
            }
        }
        Ok(())
    }

    /// Tells of an operation what its caller saw.
    pub(super) fn told(&self, operation: usize) -> String {
        let Some(asked) = self.operations.get(operation) else { return String::new() };
        let call = self.describe.describe(&asked.body) + &promised(&asked.body, asked.level);
        let (end, text) = match &asked.returned {
            None => ("open".to_owned(), "has not ended".to_owned()),
            Some((_, at, ended)) => {
                let text = match ended {
                    Ended::Ok(reply) => self.describe.describe_reply(&asked.body, reply),
                    Ended::Applied(why) => format!("applied without a reply: {why}"),
                    Ended::Unanswered(why) => format!("no answer: {why}"),
                    Ended::NotApplied(why) => format!("not applied: {why}"),
                    Ended::Unknown(why) => format!("unknown: {why}"),
                };
                (milliseconds(*at), text)
            }
        };
        let (process, begin) = (asked.process, milliseconds(asked.invoked_at));
        format!("process {process}, {begin} to {end}: {call} -> {text}")
    }
}
