//! `sim`: simulated clusters under faults, many seeds on all cores.
//!
//! What is found, and the digest, depend on the seeds alone; neither on threads nor on the machine.

use std::{
    fmt::Write as _,
    fs,
    num::NonZeroUsize,
    ops::{ControlFlow, Range},
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use consensus_core::{
    Time, fast_paxos, paxos,
    raft::Raft,
    sim::{
        Builder, DECISION_FAULTS, Failure, Fault, Faults, Plan, PlanError, Profile, Report,
        SAGA_FAULTS, Served, Shrunk, Simulated, Store, StoreWorkload,
    },
};

use super::{
    mutants,
    options::Sim,
    progress::Progress,
    protocol::Protocol,
    say,
    tally::{Outcome, Pace, Tally},
};
use crate::{
    error::{Code, Error, Result},
    multi_paxos::MultiPaxos,
    simulation::{self, About},
};

/// How many seeds are run if nobody says.
const SEEDS: u64 = 1_000;

/// How many failing seeds are shrunk, each of which takes as long as some hundred seeds.
const SHRUNK_MAX: u64 = 3;

/// Runs seeds; exits 0 only if none fails and what the profile promises happened.
pub(super) fn sim(options: &Sim) -> Result<ExitCode> {
    if options.mutants.is_some() || (options.mutant.is_some() && options.seed.is_none()) {
        return mutants::hunt(options);
    }
    let mut builder = builder(options);
    if let Some(name) = &options.mutant {
        builder = mutants::put_back(builder, name, options.protocol)?;
    }
    let plan = plan(builder)?;
    let count = if options.seed.is_some() { 1 } else { SEEDS };
    let seeds = seeds(options, count)?;
    if options.history.is_some() && options.protocol.decides() {
        let message = "--history is for `check`, which knows logs of commands only; leave it out, since \
                       each run judges what its callers are told";
        return Err(Error::new(Code::Config, message));
    }
    if let Some(directory) = &options.history {
        fs::create_dir_all(directory).map_err(|error| cannot_write(directory, &error))?;
    }
    let threads = threads(options);
    let campaign = Campaign { options, plan, seeds, threads };
    campaign.run()
}

/// Starts the plan of the command line.
pub(super) fn builder(options: &Sim) -> Builder {
    let (operations, seconds) = size(options);
    Plan::builder()
        .operations(operations)
        .duration(Duration::from_secs(seconds))
        .faults(faults(protocol(options), options.profile))
}

/// Returns the faults of a profile that a protocol's runs can have.
pub(super) fn faults(protocol: Protocol, profile: Profile) -> Faults {
    let all = profile.faults();
    match protocol {
        Protocol::Raft => all,
        Protocol::Paxos | Protocol::FastPaxos => {
            DECISION_FAULTS.into_iter().filter(|fault| all.has(*fault)).collect()
        }
        Protocol::MultiPaxos => all.within(MultiPaxos::faults()),
        Protocol::Saga => all.within(SAGA_FAULTS.into_iter().collect()),
    }
}

/// Returns the protocol whose runs a command line is about.
pub(super) fn protocol(options: &Sim) -> Protocol {
    options.mutants.unwrap_or(options.protocol)
}

/// Finishes a plan.
pub(super) fn plan(builder: Builder) -> Result<Plan> {
    builder.build().map_err(no_plan)
}

/// Returns the plan of a seed.
pub(super) fn planned(options: &Sim, plan: &Plan, seed: u64) -> Result<Plan> {
    plan.with_seed(seed).with_nodes(nodes(options, seed)).map_err(no_plan)
}

fn no_plan(error: PlanError) -> Error {
    Error::new(Code::Config, error.to_string())
}

/// Returns how many nodes a seed has. Some bugs show sooner with few nodes, and some with more.
fn nodes(options: &Sim, seed: u64) -> u64 {
    let usual = if is_mutated(options) { 3 + seed % 2 * 2 } else { 5 };
    options.nodes.unwrap_or(usual)
}

fn is_mutated(options: &Sim) -> bool {
    options.mutants.is_some() || options.mutant.is_some()
}

/// Returns the seeds of the command line; `count` of them if it does not say how many.
pub(super) fn seeds(options: &Sim, count: u64) -> Result<Range<u64>> {
    let (first, count) = (options.seed.unwrap_or(0), options.seeds.unwrap_or(count));
    let end = first.checked_add(count).ok_or_else(|| {
        let message = format!("{count} seeds from {first} on end beyond the last; choose others");
        Error::new(Code::Config, message)
    })?;
    Ok(first..end)
}

/// Returns how many threads are to run seeds.
pub(super) fn threads(options: &Sim) -> NonZeroUsize {
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    options.threads.unwrap_or_else(cores)
}

/// How many operations, and seconds of virtual time, a run has if nobody says.
const SIZE: (usize, u64) = (2_000, 60);

/// The same where a bug is put back: many short runs find it sooner than few long ones.
const SIZE_OF_MUTANTS: (usize, u64) = (400, 20);

fn size(options: &Sim) -> (usize, u64) {
    let (operations, seconds) = if is_mutated(options) { SIZE_OF_MUTANTS } else { SIZE };
    (options.ops.unwrap_or(operations), options.seconds.unwrap_or(seconds))
}

/// Runs one seed of a plan.
pub(super) fn run(protocol: Protocol, plan: &Plan) -> Result<Report> {
    let report = match protocol {
        Protocol::Raft => simulation::run::<Raft, Store>(plan, &StoreWorkload),
        Protocol::Paxos => Ok(simulation::decide::<paxos::Role>(plan)),
        Protocol::MultiPaxos => simulation::run::<MultiPaxos, Store>(plan, &StoreWorkload),
        Protocol::FastPaxos => Ok(simulation::decide::<fast_paxos::Role>(plan)),
        Protocol::Saga => Ok(simulation::sagas(plan)),
    };
    report.map_err(Error::application)
}

/// Makes one failing seed of a plan small.
fn shrink(protocol: Protocol, plan: &Plan) -> Result<Option<Shrunk>> {
    let shrunk = match protocol {
        Protocol::Raft => simulation::shrink::<Raft, Store>(plan, &StoreWorkload),
        Protocol::Paxos => Ok(simulation::shrink_decisions::<paxos::Role>(plan)),
        Protocol::MultiPaxos => simulation::shrink::<MultiPaxos, Store>(plan, &StoreWorkload),
        Protocol::FastPaxos => Ok(simulation::shrink_decisions::<fast_paxos::Role>(plan)),
        Protocol::Saga => Ok(simulation::shrink_sagas(plan)),
    };
    shrunk.map_err(Error::application)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::Config, format!("cannot write {}: {error}", path.display()))
}

/// The seeds of a command line.
struct Campaign<'a> {
    options: &'a Sim,
    plan: Plan,
    seeds: Range<u64>,
    threads: NonZeroUsize,
}

/// A run that can be looked at.
struct Shown {
    report: Report,
    /// What was left out of it, if it was shrunk.
    shrunk: Option<String>,
}

impl Campaign<'_> {
    fn run(&self) -> Result<ExitCode> {
        let mut progress = Progress::begin();
        let (tally, mut shown) = self.run_all(&mut progress)?;
        let pace = self.pace(&progress);
        if let Some(shrunk) = self.shrink_first(&tally.failed, &progress)? {
            shown = Some(shrunk);
        }
        progress.clear();
        tally.print(self.seeds.start, self.plan.faults(), pace);
        let faults = tally.counts.missing(self.plan.faults(), tally.seeds);
        let mut missing: Vec<_> = faults.into_iter().map(Fault::name).collect();
        // Without faults callers read as queries declare; and of a decision at one level only.
        let has_levels = !self.options.protocol.decides();
        if has_levels && self.plan.faults() != Faults::NONE {
            missing.extend(tally.reads.missing(tally.seeds).into_iter().map(Served::name));
        }
        if !missing.is_empty() {
            progress.print(format_args!(
                "too rare to have been tested, fewer than one for ten seeds: {}; run more nodes, \
                 longer or with more operations",
                missing.join(", ")
            ));
        }
        if self.options.json {
            say(tally.json(pace));
        }
        self.write(shown.as_ref())?;
        let passed = tally.failed.is_empty() && missing.is_empty();
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs all seeds and tells of those that fail; returns the run if it is the only one.
    fn run_all(&self, progress: &mut Progress) -> Result<(Tally, Option<Shown>)> {
        let count = self.seeds.end - self.seeds.start;
        let mut tally = Tally::default();
        let mut only = None;
        let mut ended = Ok(());
        let run = |seed| self.run_one(seed);
        simulation::in_order(self.threads, self.seeds.clone(), run, |seed, done| {
            let (outcome, report) = match done {
                Ok(done) => done,
                Err(error) => {
                    ended = Err(error);
                    return ControlFlow::Break(());
                }
            };
            tally.add(seed, &outcome);
            only = report.map(|report| Shown { report, shrunk: None });
            if let Some(failure) = &outcome.failure {
                let told = told(failure);
                let again = command(self.options, seed);
                progress.print(format_args!("seed {seed}: {told}\n  again: {again}"));
            }
            let pace = self.pace(progress);
            progress.show(|| tally.progress(count, pace));
            ControlFlow::Continue(())
        });
        ended.map(|()| (tally, only))
    }

    fn pace(&self, progress: &Progress) -> Pace {
        Pace { took: progress.elapsed(), threads: self.threads.get() }
    }

    /// Runs one seed; returns its whole report only if it is the only one.
    fn run_one(&self, seed: u64) -> Result<(Outcome, Option<Report>)> {
        let is_only = self.seeds.end - self.seeds.start == 1;
        let shows = self.options.trace.is_some() || self.options.html.is_some();
        let plan = planned(self.options, &self.plan, seed)?.recording(is_only && shows);
        let report = run(self.options.protocol, &plan)?;
        if let Some(directory) = &self.options.history {
            let path = directory.join(format!("seed-{seed}.jsonl"));
            simulation::write_history(&path, &report.history)
                .map_err(|error| cannot_write(&path, &error))?;
        }
        Ok((Outcome::of(&report), is_only.then_some(report)))
    }

    /// Shrinks the first of the seeds that failed, and tells of them; returns the first.
    fn shrink_first(&self, failed: &[u64], progress: &Progress) -> Result<Option<Shown>> {
        let count = SHRUNK_MAX.min(failed.len() as u64);
        let failed = |place: u64| {
            let place = usize::try_from(place).expect("it is one of few");
            failed.get(place).copied().expect("as many failed")
        };
        let shrink = |place| {
            let plan = planned(self.options, &self.plan, failed(place))?;
            shrink(self.options.protocol, &plan)
        };
        let mut first = None;
        let mut ended = Ok(());
        simulation::in_order(self.threads, 0..count, shrink, |place, done| {
            let seed = failed(place);
            match done {
                Err(error) => ended = Err(error),
                Ok(None) => progress.print(format_args!(
                    "seed {seed} did not fail again: the run is not deterministic"
                )),
                Ok(Some(shrunk)) => {
                    let told = shrunk.report.failure.as_ref().map(told).unwrap_or_default();
                    let (changes, runs) = (changes(&shrunk), shrunk.runs);
                    progress.print(format_args!(
                        "seed {seed}, shrunk in {runs} runs, {changes}: {told}"
                    ));
                    let shown = Shown { report: shrunk.report, shrunk: Some(changes) };
                    first.get_or_insert(shown);
                }
            }
            ControlFlow::Continue(())
        });
        ended.map(|()| first)
    }

    /// Writes what shows a run, where it was asked for.
    fn write(&self, shown: Option<&Shown>) -> Result {
        let (trace, html) = (&self.options.trace, &self.options.html);
        if trace.is_none() && html.is_none() {
            return Ok(());
        }
        let Some(Shown { report, shrunk }) = shown else {
            eprintln!("no seed failed, so --trace and --html show none; choose one with --seed N");
            return Ok(());
        };
        if let Some(path) = trace {
            simulation::write_trace(path, &report.trace)
                .map_err(|error| cannot_write(path, &error))?;
        }
        if let Some(path) = html {
            let seed = report.seed;
            let came = if report.failure.is_some() { "" } else { ", green" };
            let left = shrunk.as_ref().map_or_else(String::new, |shrunk| format!(", {shrunk}"));
            let about = About {
                title: format!("{} with seed {seed}{left}{came}", self.options.protocol.name()),
                command: command(self.options, seed),
                nodes: nodes(self.options, seed),
            };
            let page = simulation::page(&about, report);
            fs::write(path, page).map_err(|error| cannot_write(path, &error))?;
        }
        Ok(())
    }
}

/// Returns the command line that runs a seed again.
fn command(options: &Sim, seed: u64) -> String {
    let Sim { protocol, profile, .. } = options;
    let nodes = nodes(options, seed);
    let (protocol, profile) = (protocol.name(), profile.name());
    let (ops, seconds) = size(options);
    let (features, mutant) = match &options.mutant {
        Some(name) => (" --features mutants", format!(" --mutant {name}")),
        None => ("", String::new()),
    };
    format!(
        "cargo run --release -p consensus-actors{features} --bin consensus -- sim --protocol \
         {protocol} --nodes {nodes} --seed {seed} --profile {profile} --ops {ops} --seconds \
         {seconds}{mutant}"
    )
}

/// Tells of a failure: what, when, and the evidence, a line each.
fn told(failure: &Failure) -> String {
    let at = failure.at.since(Time::ZERO).as_secs_f64();
    let mut told = format!("{failure}\n  at {at:.3} s");
    for line in &failure.evidence {
        write!(told, "\n  {line}").expect("a string takes text");
    }
    told
}

/// Tells what shrinking left.
fn changes(shrunk: &Shrunk) -> String {
    let Shrunk { faults, operations, .. } = shrunk;
    format!("faults {} -> {}, operations {} -> {}", faults.0, faults.1, operations.0, operations.1)
}
