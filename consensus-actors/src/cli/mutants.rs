//! `sim --mutants`: known bugs are put back one at a time, and seeds are run until one shows it.
//!
//! Without faults nothing must show of it to callers, whatever the protocol's invariants say: it is
//! a bug of safety, and not a broken program.

use std::{
    num::NonZeroUsize,
    ops::{ControlFlow, Range},
    process::ExitCode,
};

use comfy_table::{CellAlignment, Table, presets};
use consensus_core::{
    mutants::Bug,
    sim::{Builder, Failure, Plan, Profile},
};
use serde_json::{Value as Json, json};

use super::{options::Sim, progress::Progress, protocol::Protocol, say, sim};
use crate::{
    error::{Code, Error, Result},
    simulation, suggest,
};

/// How many seeds are tried at most until a bug is caught, if nobody says.
const SEEDS: u64 = 5_000;

/// How many seeds without faults must be green: a mutant is unsafe, not broken.
const CALM: u64 = 50;

/// Puts the bug called `name` into a plan of a protocol that can show it.
pub(super) fn put_back(builder: Builder, name: &str, protocol: Protocol) -> Result<Builder> {
    Ok(builder.bug(named(name, protocol)?))
}

fn named(name: &str, protocol: Protocol) -> Result<Bug> {
    let bug = name.parse::<Bug>().map_err(|error| {
        let hint = suggest::did_you_mean(name, Bug::all().map(Bug::name));
        Error::new(Code::Config, format!("{error}{hint}"))
    })?;
    if !bugs(protocol).contains(&bug) {
        let (shown, other) = (protocol.name(), shown_by(bug).name());
        let message = format!("{bug} cannot show under {shown}; add --protocol {other}");
        return Err(Error::new(Code::Config, message));
    }
    Ok(bug)
}

/// Returns the protocol whose runs can show a bug.
fn shown_by(bug: Bug) -> Protocol {
    match bug {
        Bug::Raft(_) | Bug::Replica(_) | Bug::Client(_) | Bug::Snapshot(_) => Protocol::Raft,
        Bug::Paxos(_) => Protocol::Paxos,
        Bug::MultiPaxos(_) => Protocol::MultiPaxos,
        Bug::FastPaxos(_) => Protocol::FastPaxos,
        Bug::Saga(_) => Protocol::Saga,
    }
}

/// Returns the bugs that runs of a protocol can show.
fn bugs(protocol: Protocol) -> Vec<Bug> {
    match protocol {
        Protocol::Raft => Bug::of_raft().collect(),
        Protocol::Paxos => Bug::of_paxos().collect(),
        Protocol::MultiPaxos => Bug::of_multi_paxos().collect(),
        Protocol::FastPaxos => Bug::of_fast_paxos().collect(),
        Protocol::Saga => Bug::of_sagas().collect(),
    }
}

/// Hunts each bug; exits 0 only if all are caught and none shows without faults.
pub(super) fn hunt(options: &Sim) -> Result<ExitCode> {
    if options.history.is_some() || options.trace.is_some() || options.html.is_some() {
        let message = "--history, --trace and --html show chosen seeds of a mutant; add --seed N";
        return Err(Error::new(Code::Config, message));
    }
    let bugs = match &options.mutant {
        Some(name) => vec![named(name, options.protocol)?],
        None => bugs(sim::protocol(options)),
    };
    let hunt = Hunt {
        options,
        builder: sim::builder(options),
        seeds: sim::seeds(options, SEEDS)?,
        threads: sim::threads(options),
    };
    let mut progress = Progress::begin();
    let mut hunted = Vec::new();
    for (number, bug) in (1..).zip(bugs.iter().copied()) {
        let one = hunt.one(bug, &mut progress)?;
        progress.print(format_args!("{number} of {}, {bug}: {}", bugs.len(), one.told()));
        hunted.push(one);
    }
    progress.clear();
    print(&hunted, &hunt.seeds);
    say(format_args!("{:.0} s on {} threads", progress.elapsed().as_secs_f64(), hunt.threads));
    if options.json {
        say(as_json(&hunted));
    }
    let passed = hunted.iter().all(|one| (one.caught.is_some() || one.left) && one.green == CALM);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Hunt<'a> {
    options: &'a Sim,
    builder: Builder,
    seeds: Range<u64>,
    threads: NonZeroUsize,
}

/// What came of hunting a bug.
struct Hunted {
    bug: Bug,
    /// How many seeds without faults showed nothing.
    green: u64,
    /// What the first other one showed.
    restless: Option<(u64, Failure)>,
    /// How many seeds it took to catch the bug, and what the last one showed.
    caught: Option<(u64, Failure)>,
    /// Random runs show it too seldom, so that only its script was asked.
    left: bool,
}

impl Hunt<'_> {
    fn one(&self, bug: Bug, progress: &mut Progress) -> Result<Hunted> {
        let calm = self.builder.clone().bug(bug).invariants(false).faults(Profile::Calm.faults());
        let (mut green, mut restless) = (0, None);
        self.judge(&sim::plan(calm)?, 0..CALM, |seed, failure| {
            match failure {
                None => green += 1,
                Some(failure) => restless = restless.take().or(Some((seed, failure))),
            }
            ControlFlow::Continue(())
        })?;
        let mut caught = None;
        let faulty = sim::plan(self.builder.clone().bug(bug))?;
        let left = bug.is_seldom() && self.options.mutant.is_none();
        let seeds = if left { 0..0 } else { self.seeds.clone() };
        self.judge(&faulty, seeds, |seed, failure| {
            let seeds = seed - self.seeds.start + 1;
            let most = self.seeds.end - self.seeds.start;
            progress.show(|| format!("{bug}: {seeds} of at most {most} seeds"));
            caught = failure.map(|failure| (seeds, failure));
            if caught.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(Hunted { bug, green, restless, caught, left })
    }

    /// Runs seeds of a plan, and hands out in their order why they failed.
    fn judge(
        &self,
        plan: &Plan,
        seeds: Range<u64>,
        mut take: impl FnMut(u64, Option<Failure>) -> ControlFlow<()>,
    ) -> Result {
        let (mut ended, protocol) = (Ok(()), sim::protocol(self.options));
        let run = |seed| {
            let report = sim::run(protocol, &sim::planned(self.options, plan, seed)?);
            report.map(|report| report.failure)
        };
        simulation::in_order(self.threads, seeds, run, |seed, done| match done {
            Ok(failure) => take(seed, failure),
            Err(error) => {
                ended = Err(error);
                ControlFlow::Break(())
            }
        });
        ended
    }
}

impl Hunted {
    fn told(&self) -> String {
        let caught = match &self.caught {
            Some((seeds, failure)) => format!("caught in {seeds} seeds, {failure}"),
            None if self.left => format!("left to {}", self.bug.pinned_by()),
            None => "not caught".to_owned(),
        };
        match &self.restless {
            Some((seed, failure)) => format!("{caught}; without faults, seed {seed}: {failure}"),
            None => caught,
        }
    }
}

fn print(hunted: &[Hunted], seeds: &Range<u64>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["MUTANT", "SEEDS", "CAUGHT BY", "CALM", "PINNED BY", "RULE"]);
    for column in table.column_iter_mut().skip(1).take(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for Hunted { bug, green, caught, left, .. } in hunted {
        let (took, by) = match caught {
            Some((took, failure)) => (took.to_string(), failure.flaw.to_string()),
            None if *left => ("-".to_owned(), "its script".to_owned()),
            None => ("-".to_owned(), "not caught".to_owned()),
        };
        let calm = format!("{green} of {CALM}");
        table.add_row([bug.name(), &took, &by, &calm, bug.pinned_by(), bug.rule()]);
    }
    say(table);
    let (caught, left) = (count(hunted, |one| one.caught.is_some()), count(hunted, |one| one.left));
    let (all, limit) = (hunted.len() - left, seeds.end - seeds.start);
    say(format_args!("{caught} of {all} caught in at most {limit} seeds each"));
    if left > 0 {
        say(format_args!(
            "{left} more are left to their scripts, since random runs show them too seldom; \
             --mutant NAME hunts one of them all the same"
        ));
    }
    for Hunted { bug, restless, .. } in hunted {
        if let Some((seed, failure)) = restless {
            say(format_args!("{bug} shows without faults, as none may: seed {seed}, {failure}"));
        }
    }
    let shown = |took: Option<u64>| took.map_or_else(|| "not caught".to_owned(), |n| n.to_string());
    let (median, worst) = (shown(median(hunted)), shown(worst(hunted)));
    say(format_args!("seeds until caught: median {median}, worst {worst}"));
}

fn count(hunted: &[Hunted], has: impl Fn(&Hunted) -> bool) -> usize {
    hunted.iter().filter(|one| has(one)).count()
}

/// Returns how many seeds each took that was hunted, those that were not caught last.
fn sorted(hunted: &[Hunted]) -> Vec<Option<u64>> {
    let mut took: Vec<_> = hunted
        .iter()
        .filter(|one| !one.left)
        .map(|one| one.caught.as_ref().map(|(seeds, _)| *seeds))
        .collect();
    took.sort_unstable_by_key(|took| took.unwrap_or(u64::MAX));
    took
}

fn median(hunted: &[Hunted]) -> Option<u64> {
    let took = sorted(hunted);
    took.get(took.len() / 2).copied().flatten()
}

fn worst(hunted: &[Hunted]) -> Option<u64> {
    sorted(hunted).last().copied().flatten()
}

fn as_json(hunted: &[Hunted]) -> Json {
    let mutants = hunted.iter().map(|Hunted { bug, green, restless, caught, left }| {
        let failed = |failed: &Option<(u64, Failure)>| {
            failed.as_ref().map(|(_, failure)| failure.to_string())
        };
        json!({
            "mutant": bug.name(),
            "rule": bug.rule(),
            "pinned_by": bug.pinned_by(),
            "seeds": caught.as_ref().map(|(seeds, _)| seeds),
            "caught_by": caught.as_ref().map(|(_, failure)| failure.flaw.to_string()),
            "what": failed(caught),
            "left_to_script": left,
            "calm_green": green,
            "calm_seeds": CALM,
            "calm_failure": failed(restless),
        })
    });
    json!({
        "mutants": mutants.collect::<Vec<_>>(),
        "caught": count(hunted, |one| one.caught.is_some()),
        "median": median(hunted),
        "worst": worst(hunted),
    })
}
