//! What a saga consists of: its steps, and which must wait for which.

use std::{collections::BTreeSet, fmt, fmt::Write as _, time::Duration};

use serde::{Deserialize, Serialize};

use super::retry::Retry;

/// The most steps that a saga has.
pub const STEPS_MAX: usize = 256;

/// A step, by its place in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId(pub u16);

impl StepId {
    pub(super) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// What is to be done about a step when the saga cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing: it has changed nothing.
    NoEffect,
    /// It is undone by its compensation.
    Compensatable,
    /// It decides: it begins when all steps before it are done, and once it is done the saga is
    /// carried to its end.
    Pivot,
    /// It comes after the pivot, and is tried until it succeeds.
    Retriable,
}

/// A step of a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name, unique in the saga.
    pub name: String,
    /// What is done about it when the saga cannot go on.
    pub class: Class,
    /// The steps whose end it waits for; all of them stand before it.
    pub after: Vec<StepId>,
    /// How long an attempt may take before its outcome is unknown.
    pub timeout: Duration,
    /// How often it is asked for, and at which intervals.
    pub retry: Retry,
}

/// Why steps make no saga.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// There is none.
    #[error("a saga has at least one step")]
    Empty,
    /// There are too many.
    #[error("a saga has {STEPS_MAX} steps at most")]
    TooMany,
    /// Two have one name.
    #[error("two steps are called {0:?}")]
    Duplicate(String),
    /// One waits for itself, or for one behind it.
    #[error("step {0:?} waits for a step that does not stand before it")]
    Cycle(String),
    /// A second step decides.
    #[error("step {0:?} is a second pivot")]
    TwoPivots(String),
    /// A step is retried to its end before anything is decided.
    #[error("step {0:?} is retriable, but no pivot stands before it")]
    RetriableBeforePivot(String),
    /// A step could fail after the pivot.
    #[error(
        "step {0:?} stands behind the pivot, where only retriable steps can: nothing is undone there"
    )]
    BehindPivot(String),
    /// An attempt without any time.
    #[error("step {0:?} has no time: its timeout is zero")]
    NoTime(String),
}

/// The steps of a saga. One that exists can be carried out.
///
/// The steps before the pivot run in parallel where no edge forbids it, then the pivot runs alone,
/// then the retriable steps, in parallel again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    name: String,
    version: u32,
    deadline: Option<Duration>,
    steps: Vec<Step>,
    pivot: Option<StepId>,
    /// Of each step all that it waits for, perhaps through others.
    behind: Vec<BTreeSet<StepId>>,
}

impl Graph {
    /// Makes the graph of the steps, which must stand in an order in which they could run one by
    /// one. A saga that is not decided within `deadline` is undone.
    ///
    /// # Errors
    /// [`GraphError`] names the step that breaks a rule.
    pub fn new(
        (name, version): (&str, u32),
        deadline: Option<Duration>,
        steps: Vec<Step>,
    ) -> Result<Self, GraphError> {
        if steps.is_empty() {
            return Err(GraphError::Empty);
        }
        if steps.len() > STEPS_MAX {
            return Err(GraphError::TooMany);
        }
        let mut pivot = None;
        for (at, step) in steps.iter().enumerate() {
            let named = || step.name.clone();
            if steps.iter().take(at).any(|other| other.name == step.name) {
                return Err(GraphError::Duplicate(named()));
            }
            if step.after.iter().any(|before| before.place() >= at) {
                return Err(GraphError::Cycle(named()));
            }
            if step.timeout.is_zero() {
                return Err(GraphError::NoTime(named()));
            }
            match (step.class, pivot) {
                (Class::Pivot, None) => pivot = Some(StepId(at as u16)),
                (Class::Pivot, Some(_)) => return Err(GraphError::TwoPivots(named())),
                (Class::Retriable, None) => return Err(GraphError::RetriableBeforePivot(named())),
                (Class::NoEffect | Class::Compensatable, Some(_)) => {
                    return Err(GraphError::BehindPivot(named()));
                }
                (Class::Retriable, Some(_)) | (Class::NoEffect | Class::Compensatable, None) => {}
            }
        }
        let (name, behind) = (name.to_owned(), Vec::new());
        let mut graph = Self { name, version, deadline, steps, pivot, behind };
        for at in 0..graph.steps.len() {
            let direct: BTreeSet<StepId> = graph.before(StepId(at as u16)).collect();
            let through = direct.iter().filter_map(|step| graph.behind.get(step.place()));
            let all = through.flatten().chain(&direct).copied().collect();
            graph.behind.push(all);
        }
        Ok(graph)
    }

    /// Returns the saga's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns which version of the saga this is.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns within which time the saga must be decided.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Returns the steps with their ids.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = (StepId, &Step)> {
        self.steps.iter().enumerate().map(|(at, step)| (StepId(at as u16), step))
    }

    /// Returns a step, if there is one of this id.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(id.place())
    }

    /// Returns the step that decides, if one does.
    pub fn pivot(&self) -> Option<StepId> {
        self.pivot
    }

    /// Returns the steps that a step waits for: those that it names, and those that its class does.
    pub fn before(&self, id: StepId) -> impl Iterator<Item = StepId> + '_ {
        let step = self.step(id);
        let named = step.map(|step| step.after.as_slice()).unwrap_or_default();
        let class = step.map(|step| step.class);
        let all = (0..id.0).map(StepId).filter(move |_| class == Some(Class::Pivot));
        let pivot = self.pivot.filter(|_| class == Some(Class::Retriable));
        named.iter().copied().chain(all).chain(pivot)
    }

    /// Returns the fingerprint of all that a running saga rests on: a definition of the same version
    /// must keep it. Times and retries may change.
    pub fn digest(&self) -> u128 {
        let mut text = format!("{:?}.{}", self.name, self.version);
        for step in &self.steps {
            write!(text, ";{:?}:{:?}:{:?}", step.name, step.class, step.after)
                .expect("a string takes whatever it is given");
        }
        twox_hash::XxHash3_128::oneshot(text.as_bytes())
    }

    /// Returns the graph as Mermaid draws it.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (id, step) in self.steps() {
            let name = &step.name;
            let node = match step.class {
                Class::NoEffect => format!("{name}([{name}])"),
                Class::Compensatable => format!("{name}[{name}]"),
                Class::Pivot => format!("{name}{{{{{name}}}}}"),
                Class::Retriable => format!("{name}[/{name}/]"),
            };
            text += &format!("    {node}\n");
            for before in self.drawn(id) {
                text += &format!("    {before} --> {name}\n");
            }
        }
        text
    }

    /// Returns the graph in the language of Graphviz.
    pub fn dot(&self) -> String {
        let mut text = format!("digraph {:?} {{\n    rankdir=LR;\n", self.name);
        for (id, step) in self.steps() {
            let shape = match step.class {
                Class::NoEffect => "ellipse",
                Class::Compensatable => "box",
                Class::Pivot => "hexagon",
                Class::Retriable => "parallelogram",
            };
            text += &format!("    {:?} [shape={shape}];\n", step.name);
            for before in self.drawn(id) {
                text += &format!("    {before:?} -> {:?};\n", step.name);
            }
        }
        text + "}\n"
    }

    /// Returns the names of the steps before one from which an edge is drawn: not where another path
    /// leads there.
    fn drawn(&self, id: StepId) -> impl Iterator<Item = &str> {
        let before: BTreeSet<StepId> = self.before(id).collect();
        let direct: Vec<StepId> = before
            .iter()
            .copied()
            .filter(|it| !before.iter().any(|other| self.leads(*it, *other)))
            .collect();
        direct.into_iter().filter_map(|id| Some(self.step(id)?.name.as_str()))
    }

    /// Tells whether `to` waits for `from`, perhaps through others.
    pub fn leads(&self, from: StepId, to: StepId) -> bool {
        self.behind.get(to.place()).is_some_and(|behind| behind.contains(&from))
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.name, self.version)
    }
}
