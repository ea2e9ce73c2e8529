//! What befalls a saga in one run of its test, and what must come of it.

use consensus_core::saga::{Class, Graph, Op, Seq, StepId};

/// How often a step is refused that is tried until it succeeds.
const REFUSALS: u32 = 2;
/// Until an operator has helped, if one is needed.
const ALWAYS: u32 = u32::MAX;

/// What is asked for: a step, or that it be undone.
pub(super) type Effect = (StepId, Op);

/// What goes wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Course {
    /// Nothing.
    Plain,
    /// It is refused.
    Refused(StepId),
    /// No request for it arrives in time.
    Missing(StepId),
    /// It is carried out, and no reply arrives.
    Unheard(StepId),
}

/// What goes wrong besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// Each request for this comes twice; and afterwards all requests come once more.
    Twice(Effect),
    /// The first reply to this is lost.
    Lost(Effect),
    /// The executor stops when a record is durable. What it had asked for until then is lost, or
    /// carried out with nobody to hear of it.
    Crash { after: Seq, delivers: bool },
    /// It cannot be undone.
    UndoRefused(StepId),
    /// It is undone, and no reply arrives.
    UndoUnheard(StepId),
}

/// What becomes of a request that meets a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is answered with a refusal, and nobody is asked.
    Refused,
    /// It does not arrive.
    Missing,
    /// It is carried out, and the reply is lost.
    Unheard,
}

/// A fate, of how many requests for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strike {
    pub(super) effect: Effect,
    pub(super) fate: Fate,
    pub(super) times: u32,
    /// How many it has befallen.
    pub(super) met: u32,
}

/// Which requests come once more when the saga has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    None,
    /// Those that had not arrived.
    Missing,
    /// Those of an executor that was replaced.
    Former,
    All,
}

/// How a saga is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Completed,
    /// Because of this step.
    Compensated(StepId),
}

/// A run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) course: Course,
    pub(super) fault: Fault,
}

impl Script {
    /// Nothing goes wrong.
    pub(super) const PLAIN: Self = Self { course: Course::Plain, fault: Fault::None };

    /// Returns what becomes of which requests.
    pub(super) fn strikes(&self, graph: &Graph) -> Vec<Strike> {
        let strike = |effect, fate, times| Some(Strike { effect, fate, times, met: 0 });
        let course = match self.course {
            Course::Plain => None,
            Course::Refused(step) => {
                let times = match class(graph, step) {
                    Class::Retriable => REFUSALS.min(attempts_max(graph, step) - 1).max(1),
                    Class::NoEffect | Class::Compensatable | Class::Pivot => ALWAYS,
                };
                strike((step, Op::Action), Fate::Refused, times)
            }
            Course::Missing(step) => strike((step, Op::Action), Fate::Missing, ALWAYS),
            Course::Unheard(step) => strike((step, Op::Action), Fate::Unheard, ALWAYS),
        };
        let fault = match self.fault {
            Fault::None | Fault::Twice(_) | Fault::Crash { .. } => None,
            Fault::Lost(effect) => strike(effect, Fate::Unheard, 1),
            Fault::UndoRefused(step) => strike((step, Op::Undo), Fate::Refused, ALWAYS),
            Fault::UndoUnheard(step) => strike((step, Op::Undo), Fate::Unheard, ALWAYS),
        };
        course.into_iter().chain(fault).collect()
    }

    /// Returns the step that nothing but an operator can help.
    pub(super) fn stuck(&self, graph: &Graph) -> Option<StepId> {
        if let Fault::UndoRefused(step) | Fault::UndoUnheard(step) = self.fault {
            return Some(step);
        }
        match self.course {
            Course::Plain => None,
            Course::Refused(step) => {
                let gives_up = class(graph, step) == Class::Retriable;
                (gives_up && attempts_max(graph, step) == 1).then_some(step)
            }
            // Behind what may have decided nobody turns back.
            Course::Missing(step) | Course::Unheard(step) => match class(graph, step) {
                Class::Pivot | Class::Retriable => Some(step),
                Class::NoEffect | Class::Compensatable => None,
            },
        }
    }

    /// Returns how it is to end, after an operator has helped if one is needed.
    pub(super) fn ends(&self, graph: &Graph) -> Ends {
        match self.course {
            Course::Plain => Ends::Completed,
            Course::Refused(step) => match class(graph, step) {
                Class::Retriable => Ends::Completed,
                Class::NoEffect | Class::Compensatable | Class::Pivot => Ends::Compensated(step),
            },
            Course::Missing(step) | Course::Unheard(step) => match class(graph, step) {
                Class::Pivot | Class::Retriable => Ends::Completed,
                Class::NoEffect | Class::Compensatable => Ends::Compensated(step),
            },
        }
    }

    /// Returns which requests come late.
    pub(super) fn late(&self) -> Late {
        match (self.fault, self.course) {
            (Fault::Twice(_), _) => Late::All,
            (Fault::Crash { .. }, _) => Late::Former,
            (Fault::None, Course::Missing(_)) => Late::Missing,
            (Fault::None | Fault::Lost(_) | Fault::UndoRefused(_) | Fault::UndoUnheard(_), _) => {
                Late::None
            }
        }
    }

    /// Names the run; `record` is what the record says behind which there is a crash.
    pub(super) fn name(&self, graph: &Graph, record: &str) -> String {
        let named = |step| name(graph, step);
        let course = match self.course {
            Course::Plain => None,
            Course::Refused(step) => Some(format!("{} is refused", named(step))),
            Course::Missing(step) => Some(format!("no request for {} arrives", named(step))),
            Course::Unheard(step) => Some(format!("no reply of {} arrives", named(step))),
        };
        let fault = match self.fault {
            Fault::None => return course.unwrap_or_else(|| "plain".to_owned()),
            Fault::Twice(effect) => format!("{} comes twice", told(graph, effect)),
            Fault::Lost(effect) => format!("the first reply of {} is lost", told(graph, effect)),
            Fault::Crash { after, delivers } => {
                let record = if record.is_empty() { "" } else { &format!(" ({record})") };
                let requests = if delivers { ", its requests unheard" } else { "" };
                format!("crash after record {}{record}{requests}", after.0)
            }
            Fault::UndoRefused(step) => format!("undo of {} is refused", named(step)),
            Fault::UndoUnheard(step) => format!("no reply of undo of {} arrives", named(step)),
        };
        match course {
            Some(course) => format!("{fault}, where {course}"),
            None => fault,
        }
    }
}

/// Returns the name of a step.
pub(super) fn name(graph: &Graph, step: StepId) -> &str {
    graph.step(step).map_or("?", |step| step.name.as_str())
}

/// Returns what is asked for, like `goods` or `undo of goods`.
pub(super) fn told(graph: &Graph, (step, op): Effect) -> String {
    let name = name(graph, step);
    match op {
        Op::Action => name.to_owned(),
        Op::Undo => format!("undo of {name}"),
    }
}

/// Returns what is done about a step.
pub(super) fn class(graph: &Graph, step: StepId) -> Class {
    graph.step(step).expect("a script names steps of its graph").class
}

/// Returns how often a step is asked for.
pub(super) fn attempts_max(graph: &Graph, step: StepId) -> u32 {
    let step = graph.step(step).expect("a script names steps of its graph");
    step.retry.attempts_max.max(1)
}
