//! [`Sim`]: how users say what is simulated.

use std::{env, fmt, io::Write as _, thread, time::Duration};

use consensus_core::sim::{Counts, Faults, Plan, PlanError, Profile};

use super::{
    About, faults,
    generator::Generator,
    operations::Operations,
    report,
    runs::{Runs, Sum},
};
use crate::{Protocol, Replicated};

/// Names the one seed that is run.
const SEED: &str = "CONSENSUS_SEED";
/// A shorter run has as many faults as one of this length: short runs are many runs.
const FAULTY: Duration = Duration::from_secs(20);
/// How often a seed that failed is run again before it counts as one that passes.
const AGAIN_MAX: usize = 10;
/// Fewer seeds promise no faults: a rare one may well be missing.
const PROMISING: u64 = 50;

/// A simulation of a replicated state: a cluster under virtual time, its callers, and every fault.
///
/// Each seed is a run of its own: nodes crash between any two steps and within writes, messages are
/// lost, repeated and reordered, disks fail, clocks jump. Afterwards what callers were told must be
/// linearizable, with every command applied exactly once, and the state must be deterministic:
/// copies of it, one of which went through a snapshot, must answer alike. What is right is what the
/// struct itself does with the commands in the order of the log.
///
/// [`simulate`](macro@crate::simulate) makes a test of it. By hand:
///
/// ```
/// use consensus_actors::prelude::*;
///
/// #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
/// struct Counter {
///     value: i64,
/// }
///
/// #[replicated]
/// impl Counter {
///     #[command]
///     fn add(&mut self, by: i64) -> i64 {
///         self.value += by;
///         self.value
///     }
///
///     #[query]
///     fn get(&self) -> i64 {
///         self.value
///     }
/// }
///
/// # fn main() {
/// // Operations are made up from their types ..
/// Counter::simulate().seeds(5).check();
/// // .. or by closures.
/// Counter::simulate().seeds(5).command(|g| counter::Add { by: g.in_range(-9..=9) }).check();
/// # }
/// ```
///
/// # When a seed fails
/// The test says, in one screen, what does not hold, which operations cannot be reconciled, what is
/// left of the run when all that can be is left out, how to run that seed alone
/// (`CONSENSUS_SEED=0x2a cargo test ..`), and where the page is that shows it:
/// `target/simulate/<test>.html`.
///
/// # Faults
/// | word | what happens |
/// | --- | --- |
/// | `crash` | processes end at any point, or all at once, and lose what was not synced |
/// | `pause` | a process stands still for a while |
/// | `partition` | two groups do not hear each other; a leader is left with a minority |
/// | `one_way` | a node hears nobody, or is not heard |
/// | `bridge` | two groups hear only one node between them |
/// | `drop`, `delay`, `duplicate`, `reorder` | what networks do to messages |
/// | `clock_skew` | clocks run up to 5 % fast or slow |
/// | `clock_jump` | wall clocks are set forward or back, by up to days |
/// | `torn_write` | a crash keeps some sectors of a write and loses others |
/// | `disk_full`, `slow_disk` | a disk has no room; its syncs take long, and news of them is late |
/// | `io_error` | writes and syncs fail |
/// | `bit_rot` | a bit changes on a disk; a write goes to another place |
/// | `wiped_disk` | a disk is emptied; its node is refused |
/// | `replacement` | a disk goes on in another machine, with another clock |
/// | `transfer` | an operator has the lead handed over |
/// | `membership` | an operator changes who takes part |
/// | `lease` | nodes start again, and are told to campaign late, while a leader may hold a lease |
/// | `rest` | a group with nothing to do comes to rest; its leader stands still then |
/// | `all`, `none` | everything, nothing |
///
/// Each run has some of them and lacks others. If 50 runs or more are made and a fault happened in
/// none of them, the check fails: it would promise what it does not test.
pub struct Sim<S: Replicated> {
    name: Option<String>,
    seeds: u64,
    nodes: u64,
    ops: usize,
    clients: usize,
    duration: Duration,
    faults: Faults,
    protocols: Vec<Protocol>,
    operations: Operations<S>,
}

impl<S: Replicated> fmt::Debug for Sim<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("state", &S::NAME)
            .field("seeds", &self.seeds)
            .field("nodes", &self.nodes)
            .field("ops", &self.ops)
            .finish_non_exhaustive()
    }
}

/// What a check that passed has seen.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// How many runs there were.
    pub runs: u64,
    /// How many operations callers asked for.
    pub operations: usize,
    /// How many of them were answered; the others ended in doubt, or were refused.
    pub answered: usize,
    counts: Counts,
}

impl Checked {
    /// Returns how often a fault happened, by its word in the [table](Sim#faults).
    ///
    /// # Panics
    /// If there is no such word.
    pub fn faults(&self, word: &str) -> u64 {
        let kinds = faults::named(word).unwrap_or_else(|unknown| panic!("{unknown}"));
        kinds.iter().map(|kind| self.counts.of(kind)).sum()
    }
}

impl<S: Replicated> Default for Sim<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Replicated> Sim<S> {
    /// Starts a simulation of 100 seeds, each of 5 nodes, 100 operations of 4 clients at a time, 5
    /// seconds and every fault.
    pub fn new() -> Self {
        Self {
            name: None,
            seeds: 100,
            nodes: 5,
            ops: 100,
            clients: 4,
            duration: Duration::from_secs(5),
            faults: Profile::All.faults(),
            protocols: vec![S::PROTOCOL],
            operations: Operations::default(),
        }
    }

    /// Sets the name that reports have and that names the page. Default: that of the test.
    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        self.name = Some(name.into());
        self
    }

    /// Sets how many seeds are run, from 0 on. Default 100.
    pub fn seeds(&mut self, seeds: u64) -> &mut Self {
        self.seeds = seeds;
        self
    }

    /// Sets how many nodes there are, 1 to 9. Default 5.
    pub fn nodes(&mut self, nodes: u64) -> &mut Self {
        self.nodes = nodes;
        self
    }

    /// Sets how many operations a run has. Default 100.
    pub fn ops(&mut self, ops: usize) -> &mut Self {
        self.ops = ops;
        self
    }

    /// Sets how many clients ask at about the same moment, so that about so many operations
    /// overlap, 1 to 64. Default 4.
    pub fn clients(&mut self, clients: usize) -> &mut Self {
        self.clients = clients;
        self
    }

    /// Sets how long faults and operations of a run go on, in virtual time. Default 5.
    pub fn seconds(&mut self, seconds: u64) -> &mut Self {
        self.duration = Duration::from_secs(seconds);
        self
    }

    /// Sets the faults that may happen, by their words in the [table](Self#faults). Default all.
    ///
    /// # Panics
    /// If a word is none of the table.
    pub fn faults(&mut self, words: &[&str]) -> &mut Self {
        let named = |word: &&str| faults::named(word).unwrap_or_else(|text| panic!("{text}"));
        self.faults = words.iter().map(named).flat_map(Faults::iter).collect();
        self
    }

    /// Sets the faults that may happen, by the name of a profile: `calm`, `network`, `crash`,
    /// `disk`, `clock` or `all`.
    ///
    /// # Panics
    /// If there is no such profile.
    pub fn profile(&mut self, name: &str) -> &mut Self {
        self.faults = faults::profile(name).unwrap_or_else(|text| panic!("{text}"));
        self
    }

    /// Sets the protocols, each of which runs every seed. Default: that of the state.
    pub fn protocols(&mut self, protocols: impl IntoIterator<Item = Protocol>) -> &mut Self {
        self.protocols = protocols.into_iter().collect();
        self
    }

    /// Adds a closure that makes up commands; several have equal odds. Default: commands are made
    /// up from their types.
    pub fn command<C: Into<S::Command>>(
        &mut self,
        make: impl Fn(&mut Generator<'_>) -> C + Send + Sync + 'static,
    ) -> &mut Self {
        self.operations.commands.push(Box::new(move |generator| make(generator).into()));
        self
    }

    /// Adds a closure that makes up queries; several have equal odds. Default: queries are made up
    /// from their types.
    pub fn query<Q: Into<S::Query>>(
        &mut self,
        make: impl Fn(&mut Generator<'_>) -> Q + Send + Sync + 'static,
    ) -> &mut Self {
        self.operations.queries.push(Box::new(move |generator| make(generator).into()));
        self
    }

    /// Runs all seeds on all cores, or the one seed that `CONSENSUS_SEED` names.
    ///
    /// # Panics
    /// With one screen that tells of it, if a seed fails, or if a fault never happened.
    #[track_caller]
    pub fn check(&self) -> Checked {
        match self.checked() {
            Ok(checked) => checked,
            Err(text) => panic!("{text}"),
        }
    }

    fn checked(&self) -> Result<Checked, String> {
        let plan = self.plan().map_err(|error| format!("{}: {error}", self.title()))?;
        let one = seed()?;
        if self.seeds == 0 || self.protocols.is_empty() {
            return Err(format!("{}: simulate a seed or more, of some protocol", self.title()));
        }
        let mut sum = Sum::default();
        for protocol in &self.protocols {
            let runs = Runs { protocol: *protocol, plan: &plan, operations: &self.operations };
            match one {
                Some(seed) => sum.add(&self.one(&runs, seed)?),
                None => sum.add(&self.all(&runs)?),
            }
        }
        let runs = one.map_or(self.seeds, |_| 1) * self.protocols.len() as u64;
        if runs >= PROMISING {
            self.promised(&sum, runs)?;
        }
        let Sum { operations, answered, counts, .. } = sum;
        Ok(Checked { runs, operations, answered, counts })
    }

    fn plan(&self) -> Result<Plan, PlanError> {
        Plan::builder()
            .nodes(self.nodes)
            .operations(self.ops)
            .callers(self.clients)
            .duration(self.duration)
            .faults(self.faults)
            .pace((FAULTY.as_secs() / self.duration.as_secs().max(1)).max(1))
            .build()
    }

    fn all(&self, runs: &Runs<'_, S>) -> Result<Sum, String> {
        let sum = runs.all(self.seeds).map_err(|error| format!("{}: {error}", self.title()))?;
        match sum.failed {
            Some(seed) => Err(self.failure(runs, seed)?),
            None => Ok(sum),
        }
    }

    /// Runs one seed, and tells where the page is.
    fn one(&self, runs: &Runs<'_, S>, seed: u64) -> Result<Sum, String> {
        let report = runs.one(seed)?;
        if report.failure.is_some() {
            return Err(self.failure(runs, seed)?);
        }
        let about = self.about(seed);
        let page = report::write_page(&about, &report)?;
        // Past what test harnesses catch: whoever runs one seed wants to see it.
        let line = format!("{}: seed {seed:#x} passes; {} shows it", about.title, page.display());
        let _ = writeln!(std::io::stderr(), "{line}");
        let (operations, answered) = (report.operations, report.answered);
        Ok(Sum { operations, answered, counts: report.counts, failed: None })
    }

    fn failure(&self, runs: &Runs<'_, S>, seed: u64) -> Result<String, String> {
        let about = self.about(seed);
        // A state that is not deterministic may well pass when it is run again.
        for _ in 0..AGAIN_MAX {
            if let Some(shrunk) = runs.shrunk(seed)? {
                return Ok(report::failure(&about, &shrunk, self.seeds));
            }
        }
        Ok(report::fickle(&about, seed))
    }

    /// Faults that were promised have happened.
    fn promised(&self, sum: &Sum, runs: u64) -> Result<(), String> {
        // How often each fault is worth having depends on the state: long commands tear, short ones
        // hardly do. That one never happens is not what was promised.
        let missing: Vec<_> =
            self.faults.iter().filter(|fault| sum.counts.of(*fault) == 0).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.iter().map(|fault| format!("{} ({fault})", faults::word(*fault)));
        Err(format!(
            "{}: {runs} runs pass, and faults that were asked for never happened in them: {}; \
             simulate longer (`seconds = 20`) or more (`seeds = 300`, `ops = 300`), or leave them \
             out of `faults(..)`",
            self.title(),
            missing.collect::<Vec<_>>().join(", ")
        ))
    }

    fn about(&self, seed: u64) -> About {
        let title = self.title();
        let test = test().unwrap_or_default();
        let command = format!("{SEED}={seed:#x} cargo test {test}");
        About { title, command, nodes: self.nodes }
    }

    /// Returns the name of the simulation.
    fn title(&self) -> String {
        self.name.clone().or_else(test).unwrap_or_else(|| S::NAME.to_owned())
    }
}

/// Returns the name of the test that runs, if one does: its thread has it.
fn test() -> Option<String> {
    let thread = thread::current();
    let name = thread.name().filter(|name| *name != "main")?;
    name.rsplit("::").next().map(str::to_owned)
}

/// Returns the one seed that is to be run, if one is.
fn seed() -> Result<Option<u64>, String> {
    let Ok(text) = env::var(SEED) else { return Ok(None) };
    let number = match text.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => text.parse(),
    };
    number
        .map(Some)
        .map_err(|_| format!("{SEED}={text} is no seed: give a whole number, such as 42 or 0x2a"))
}
