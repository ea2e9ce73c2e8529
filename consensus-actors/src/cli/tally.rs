//! What simulated runs came to, all in all.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use consensus_core::{
    Time,
    sim::{Counts, Failure, Fault, Faults, Reads, Report, Served},
};
use serde_json::{Map, Value as Json, json};

use super::say;

/// What came of one run; all but what is large.
pub(super) struct Outcome {
    digest: u64,
    counts: Counts,
    reads: Reads,
    operations: usize,
    answered: usize,
    simulated: Duration,
    pub(super) failure: Option<Failure>,
}

impl Outcome {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            digest: report.digest,
            counts: report.counts,
            reads: report.reads,
            operations: report.operations,
            answered: report.answered,
            simulated: report.simulated.since(Time::ZERO),
            failure: report.failure.clone(),
        }
    }
}

/// The sum of many runs.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) seeds: u64,
    pub(super) failed: Vec<u64>,
    operations: usize,
    answered: usize,
    pub(super) counts: Counts,
    pub(super) reads: Reads,
    simulated: Duration,
    digest: u64,
}

/// How fast they were run.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) took: Duration,
    pub(super) threads: usize,
}

impl Tally {
    /// Adds a run; the digest is of the runs in this order.
    pub(super) fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        if outcome.failure.is_some() {
            self.failed.push(seed);
        }
        self.operations += outcome.operations;
        self.answered += outcome.answered;
        self.counts.add(&outcome.counts);
        self.reads.add(&outcome.reads);
        self.simulated += outcome.simulated;
        let digest = outcome.digest.to_le_bytes();
        self.digest = twox_hash::XxHash3_64::oneshot_with_seed(self.digest, &digest);
    }

    fn seeds_per_minute_per_core(&self, pace: Pace) -> f64 {
        self.seeds as f64 * 60.0 / pace.took.as_secs_f64().max(1e-9) / pace.threads as f64
    }

    fn speedup(&self, pace: Pace) -> f64 {
        self.simulated.as_secs_f64() / pace.took.as_secs_f64().max(1e-9)
    }

    /// Returns what is shown while runs go on.
    pub(super) fn progress(&self, of: u64, pace: Pace) -> String {
        let (seeds, failures) = (self.seeds, self.failed.len());
        let a_minute = self.seeds_per_minute_per_core(pace) * pace.threads as f64;
        format!("{seeds} of {of} seeds, {failures} failures, {a_minute:.0} seeds a minute")
    }

    /// Prints all for people; of faults those that were promised, and those that there were.
    pub(super) fn print(&self, first: u64, promised: Faults, pace: Pace) {
        let Self { seeds, operations, answered, .. } = self;
        let Pace { took, threads } = pace;
        let simulated = self.simulated.as_secs_f64();
        let took = took.as_secs_f64();
        let shared = 100.0 * *answered as f64 / (*operations).max(1) as f64;
        let speed = self.seeds_per_minute_per_core(pace);
        let times = self.speedup(pace);
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.add_row(["SEEDS", &format!("{seeds}, from {first} on")]);
        table.add_row(["FAILURES", &self.failed.len().to_string()]);
        table.add_row(["OPERATIONS", &format!("{operations}, {shared:.1} % ended ok")]);
        table.add_row(["SPEED", &format!("{speed:.1} seeds a minute and core, {threads} threads")]);
        let time = format!("{simulated:.0} s simulated in {took:.1} s, {times:.0} times as fast");
        table.add_row(["TIME", &time]);
        table.add_row(["DIGEST", &self.hexadecimal()]);
        say(table);

        let shown = |fault: &Fault| promised.has(*fault) || self.counts.of(*fault) > 0;
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["FAULT", "TIMES", "A SEED"]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for fault in Fault::ALL.into_iter().filter(shown) {
            let times = self.counts.of(fault);
            let each = times as f64 / (*seeds).max(1) as f64;
            table.add_row([fault.name(), &times.to_string(), &format!("{each:.1}")]);
        }
        for served in Served::ALL.into_iter().filter(|served| self.reads.of(*served) > 0) {
            let times = self.reads.of(served);
            let each = times as f64 / (*seeds).max(1) as f64;
            table.add_row([served.name(), &times.to_string(), &format!("{each:.1}")]);
        }
        if !table.is_empty() {
            say(table);
        }
    }

    /// Returns all for programs.
    pub(super) fn json(&self, pace: Pace) -> Json {
        let faults = Fault::ALL.into_iter();
        let faults: Map<String, Json> =
            faults.map(|fault| (fault.name().to_owned(), json!(self.counts.of(fault)))).collect();
        let reads = Served::ALL.into_iter();
        let reads: Map<String, Json> =
            reads.map(|served| (served.name().to_owned(), json!(self.reads.of(served)))).collect();
        json!({
            "seeds": self.seeds,
            "failures": self.failed.len(),
            "operations": self.operations,
            "answered": self.answered,
            "faults": faults,
            "reads": reads,
            "seeds_per_minute_per_core": self.seeds_per_minute_per_core(pace),
            "speedup": self.speedup(pace),
            // As a text: most readers of JSON have no whole numbers of 64 bits.
            "digest": self.hexadecimal(),
        })
    }

    fn hexadecimal(&self) -> String {
        format!("{:016x}", self.digest)
    }
}
