//! The simulator itself: that a seed decides all, that faults happen, and that what is broken is
//! found, told and made small.

use std::time::Duration;

use consensus_core::{
    Cx, Index, Interface, NodeId, StateMachine, Time,
    raft::{AppendResult, Message, Raft, Term},
    replica::Rejection,
    sim::{
        Adversary, Counts, Ended, Fault, Faults, Flaw, Made, Operation, Plan, PlanError, Profile,
        Random, Report, Run, Store, StoreWorkload, Workload, run, shrink,
    },
};
use serde::{Deserialize, Serialize};

use crate::node::id;

fn plan(seed: u64) -> Plan {
    let builder = Plan::builder().seed(seed).nodes(3 + seed % 2 * 2);
    builder.operations(300).duration(Duration::from_secs(20)).build().expect("the values fit")
}

fn report(plan: &Plan) -> Report {
    run::<Raft, Store>(plan, &StoreWorkload).expect("operations can be made up")
}

// Goal: under every fault nothing that must hold breaks, every fault of the profile happens, and
// most callers are served. Method: seeded runs; the command `consensus sim` runs many more.
#[test]
fn faults_break_nothing() {
    let runs = 60;
    let (mut counts, mut asked, mut answered) = (Counts::default(), 0, 0);
    for seed in 0..runs {
        let report = report(&plan(seed));
        let failure = report.failure.map(|failure| (failure.to_string(), failure.evidence));
        assert_eq!(failure, None, "seed {seed}");
        counts.add(&report.counts);
        asked += report.operations;
        answered += report.answered;
    }
    assert_eq!(counts.missing(Profile::All.faults(), runs), []);
    assert!(answered * 10 > asked * 7, "{answered} of {asked} were answered");
}

// Goal: a seed decides a run, so that a failure can be looked at again, recorded or not.
// Method: the whole trace, line by line; another seed gives another.
#[test]
fn same_seed_gives_same_trace() {
    for seed in 0..6 {
        let recorded = report(&plan(seed).recording(true));
        let again = report(&plan(seed).recording(true));
        assert!(!recorded.trace.is_empty());
        assert_eq!(recorded.trace, again.trace, "seed {seed}");
        assert_eq!(recorded.digest, report(&plan(seed)).digest, "seed {seed}");
    }
    assert_ne!(report(&plan(1)).digest, report(&plan(3)).digest);
}

// Goal: without faults every operation is answered, and nothing is counted but the snapshots that
// replicas take.
#[test]
fn calm_is_calm() {
    for seed in 0..5 {
        let plan = Plan::builder().seed(seed).operations(100).duration(Duration::from_secs(5));
        let report = report(&plan.faults(Faults::NONE).build().expect("the values fit"));
        assert_eq!(report.failure, None);
        let is_fine = |ended: Option<&Ended>| match ended {
            Some(Ended::Ok(_)) => true,
            // A command that panics is applied and has no reply.
            Some(Ended::Applied(why)) => *why == Rejection::Panicked,
            Some(Ended::Unanswered(_) | Ended::NotApplied(_) | Ended::Unknown(_)) | None => false,
        };
        assert!(report.history.iter().all(|asked| is_fine(asked.ended())), "seed {seed}");
        let there_were = |fault: &Fault| report.counts.of(*fault) > 0;
        let mut counted = Fault::ALL.into_iter().filter(there_were);
        assert!(counted.all(|fault| fault == Fault::SnapshotTaken), "seed {seed}");
    }
}

// Goal: a profile that promises what did not happen is told so.
#[test]
fn missing_faults_are_told() {
    let faults = Faults::NONE.with(Fault::Loss).with(Fault::BitRot);
    assert_eq!(Counts::default().missing(faults, 9), []);
    assert_eq!(Counts::default().missing(faults, 10), [Fault::Loss, Fault::BitRot]);
    assert_eq!("bit-rot".parse(), Ok(Fault::BitRot));
    assert_eq!("crash".parse(), Ok(Profile::Crash));
}

// Goal: what makes no plan is refused with the bound that it is out of.
#[test]
fn plans_are_bounded() {
    let nodes = Plan::builder().nodes(0).build();
    assert_eq!(nodes, Err(PlanError::Nodes { nodes: 0 }));
    let duration = Duration::from_millis(1);
    let short = Plan::builder().duration(duration).build();
    assert_eq!(short, Err(PlanError::Duration { duration }));
    let many = Plan::builder().operations(2_000_000).build();
    assert_eq!(many, Err(PlanError::Operations { operations: 2_000_000 }));
}

/// Answers nobody.
struct Silent;

impl Adversary<Raft> for Silent {
    fn tick(&mut self, _: Time, _: &mut Vec<(NodeId, Message)>) {}

    fn receive(&mut self, _: Time, _: NodeId, _: Message, _: &mut Vec<(NodeId, Message)>) {}
}

/// Acknowledges whatever it is sent, and keeps nothing.
struct Liar;

impl Adversary<Raft> for Liar {
    fn tick(&mut self, _: Time, _: &mut Vec<(NodeId, Message)>) {}

    fn receive(
        &mut self,
        _: Time,
        from: NodeId,
        message: Message,
        out: &mut Vec<(NodeId, Message)>,
    ) {
        let term = message.term();
        let answer = match message {
            Message::Vote { .. } => Message::VoteReply { term, granted: true },
            Message::Append { prev_index, entries, .. } => {
                let matched = Index(prev_index.0 + entries.len() as u64);
                Message::AppendReply { term, result: AppendResult::Matched(matched) }
            }
            Message::Rest { commit, .. } => Message::RestReply { term, commit },
            Message::Heartbeat { round, .. } => {
                let (priority, promise) = (Some(255), None);
                Message::HeartbeatReply { term, round, priority, promise }
            }
            Message::PreVote { .. } => Message::PreVoteReply { term, granted: true },
            Message::ReadIndex { id, .. } => {
                Message::ReadIndexReply { term, id, index: Index::ZERO }
            }
            Message::PreVoteReply { .. }
            | Message::VoteReply { .. }
            | Message::AppendReply { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndexReply { .. }
            | Message::RestReply { .. }
            | Message::TimeoutNow { .. }
            | Message::InstallSnapshot { .. }
            | Message::SnapshotReply { .. } => return,
        };
        assert!(term > Term(0), "messages have terms");
        out.push((from, answer));
    }
}

fn with_adversary(plan: &Plan, adversary: Box<dyn Adversary<Raft>>) -> Report {
    let run = Run::<Raft, Store>::new(plan, &StoreWorkload).expect("operations can be made up");
    run.with_adversary(id(2), adversary).report()
}

// Goal: a silent minority changes nothing; one that lies breaks a protocol for crashes only, and
// that is seen.
#[test]
fn an_adversary_takes_the_place_of_a_node() {
    let calm = |seed| {
        let plan = Plan::builder().seed(seed).nodes(3).operations(60).faults(Faults::NONE);
        plan.duration(Duration::from_secs(5)).build().expect("the values fit")
    };
    assert_eq!(with_adversary(&calm(1), Box::new(Silent)).failure, None);
    let found = (0..20).find_map(|seed| with_adversary(&plan(seed * 2), Box::new(Liar)).failure);
    assert!(found.is_some(), "entries that nobody holds are committed");
}

/// A counter that forgets one addition in a while when it is read back from a snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Forgetful {
    total: i64,
    #[serde(skip)]
    bonus: i64,
}

#[derive(Serialize, Deserialize)]
enum Add {
    Add { by: i64 },
}

#[derive(Serialize, Deserialize)]
enum Get {
    Get,
}

impl StateMachine for Forgetful {
    type Command = Add;
    type Reply = i64;
    type Query = Get;
    type Answer = i64;

    const INTERFACE: Interface = Interface { commands: &[], queries: &[] };

    fn apply(&mut self, _: &mut Cx, Add::Add { by }: Add) -> i64 {
        self.total += by;
        self.bonus += 1;
        self.total + self.bonus
    }

    fn answer(&self, Get::Get: Get) -> i64 {
        self.total
    }
}

fn additions() -> impl Workload<Forgetful> {
    Made::new(
        |random: &mut Random| Ok(Add::Add { by: random.in_range(-9..=9) }),
        |_: &mut Random| Ok(Get::Get),
        30,
    )
}

// Goal: a state that a snapshot does not hold whole is found, though no replica has taken one, and
// the run that shows it is made small.
#[test]
fn a_state_that_a_snapshot_loses_is_found_and_shrunk() {
    let report = run::<Raft, Forgetful>(&plan(0), &additions()).expect("operations are made up");
    let failure = report.failure.expect("a reply tells");
    assert_eq!(failure.flaw, Flaw::Divergence, "{failure}");
    assert!(failure.what.contains("snapshot"), "{failure}");

    let shrunk = shrink::<Raft, Forgetful>(&plan(0), &additions()).expect("they are made up");
    let shrunk = shrunk.expect("it fails still");
    assert_eq!(shrunk.report.failure.map(|failure| failure.flaw), Some(Flaw::Divergence));
    assert_eq!(shrunk.faults.1, 0, "no fault is needed");
    assert!(shrunk.operations.1 <= 3, "a few additions are enough: {:?}", shrunk.operations);
    assert!(!shrunk.report.trace.is_empty());
}

// Goal: a workload that cannot make anything up is an error, not a run without operations.
#[test]
fn a_workload_may_give_up() {
    let stuck = Made::new(
        |_: &mut Random| Err("no such thing".to_owned()),
        |_: &mut Random| Ok(Get::Get),
        0,
    );
    let failed = run::<Raft, Forgetful>(&plan(0), &stuck);
    assert_eq!(failed.err(), Some("no such thing".to_owned()));
    let asked = additions().ask(&mut Random::new(1, 1));
    assert!(matches!(asked, Ok(Operation::Command(_) | Operation::Query(_))));
}
