//! What is said of a test: how many runs there were, or which one shows what is wrong.

use std::{collections::BTreeMap, fmt};

/// The most lines of a run that are shown; the last are.
const LINES_MAX: usize = 80;

/// A kind of runs in the test of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Trial {
    /// Nothing goes wrong: one run, in every test.
    Plain,
    /// [`SagaTest::fail_each_step`](super::SagaTest::fail_each_step).
    FailEachStep,
    /// [`SagaTest::repeat_each_step`](super::SagaTest::repeat_each_step).
    RepeatEachStep,
    /// [`SagaTest::lose_each_reply`](super::SagaTest::lose_each_reply).
    LoseEachReply,
    /// [`SagaTest::crash_after_each_record`](super::SagaTest::crash_after_each_record).
    CrashAfterEachRecord,
    /// [`SagaTest::fail_each_undo`](super::SagaTest::fail_each_undo).
    FailEachUndo,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::FailEachStep => "fail each step",
            Self::RepeatEachStep => "repeat each step",
            Self::LoseEachReply => "lose each reply",
            Self::CrashAfterEachRecord => "crash after each record",
            Self::FailEachUndo => "fail each undo",
        })
    }
}

/// How many runs a saga has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    saga: String,
    /// Of each kind, with how many there would have been besides.
    runs: BTreeMap<Trial, (usize, usize)>,
}

impl Report {
    pub(super) fn new(saga: String) -> Self {
        Self { saga, runs: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, trial: Trial, (played, left_out): (usize, usize)) {
        self.runs.insert(trial, (played, left_out));
    }

    /// Returns how many runs of a kind there were.
    pub fn runs(&self, trial: Trial) -> usize {
        self.runs.get(&trial).map_or(0, |(played, _)| *played)
    }

    /// Returns how many runs of a kind were left out because there are more than
    /// [`RUNS_MAX`](super::RUNS_MAX).
    pub fn left_out(&self, trial: Trial) -> usize {
        self.runs.get(&trial).map_or(0, |(_, left_out)| *left_out)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "saga {} holds in all runs:", self.saga)?;
        for (trial, (played, left_out)) in &self.runs {
            write!(f, "\n{played:>6}  {trial}")?;
            if *left_out > 0 {
                write!(f, " ({left_out} more left out)")?;
            }
        }
        Ok(())
    }
}

/// What a saga, or one of its participants, does wrong, and the run that shows it.
///
/// Its text has all of it: the run, what was to be and what came, and what happened until then.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct Broken {
    pub(super) saga: String,
    pub(super) run: String,
    pub(super) expected: String,
    pub(super) came: String,
    pub(super) story: Vec<String>,
}

impl Broken {
    /// Returns the name of the run: the same each time, as is the run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns what was to be.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// Returns what came instead.
    pub fn came(&self) -> &str {
        &self.came
    }

    /// Returns what happened until then: the records of the log, numbered, and between them what
    /// was asked for and what was answered.
    pub fn story(&self) -> &[String] {
        &self.story
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { saga, run, expected, came, story } = self;
        write!(f, "saga {saga} does not hold in the run: {run}")?;
        write!(f, "\n  expected: {expected}\n  came:     {came}")?;
        if story.is_empty() {
            return Ok(());
        }
        f.write_str("\nits records, numbered, and what was asked for:")?;
        let earlier = story.len().saturating_sub(LINES_MAX);
        if earlier > 0 {
            write!(f, "\n  .. {earlier} lines, and then")?;
        }
        story.iter().skip(earlier).try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// As it is shown to users, since it is what `unwrap` prints.
impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
