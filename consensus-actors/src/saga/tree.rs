//! A saga for who looks at one: its steps as the log has them, and what the executor is about.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::{
    Time,
    saga::{Class, Entry, Graph, Op, Order, Phase, Record, StepId, UnderWay},
};

use super::{handle::Listed, telling::text};

/// A saga as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// How it stands.
    pub listed: Listed,
    /// What it was started with, as it is encoded; `None` where there is no log.
    pub input: Option<Bytes>,
    /// Its steps, in their order; none where there is no log, or the definition that it was begun
    /// with is not registered on this node.
    pub steps: Vec<ShownStep>,
    /// Its log. There is none while it waits for what others hold. When it has ended it is kept
    /// for as long as it is among the last 1,024 that completed, or the last 1,024 that did not,
    /// and the logs of either kind take no more than about 4 MiB.
    pub log: Vec<Entry>,
    /// The node that carries sagas out, as far as this one knows.
    pub in_charge: Option<u64>,
    /// Whether that is this node, so that the steps say what is being asked for: no other knows.
    pub is_live: bool,
}

/// A step as operators see it. Times are those at which the saga had been at work so long, by the
/// monotonic clocks of its executors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownStep {
    /// Which it is.
    pub id: StepId,
    /// Its name.
    pub name: String,
    /// How many steps stand above it, one waiting for the other.
    pub depth: usize,
    /// What is done about it when the saga cannot go on.
    pub class: Class,
    /// The steps that it names as those that it waits for.
    pub after: Vec<String>,
    /// How it stands.
    pub stands: Stands,
    /// When it was first asked for.
    pub asked: Option<Duration>,
    /// When its outcome was known.
    pub ended: Option<Duration>,
    /// When it was undone, or that failed.
    pub undone: Option<Duration>,
    /// How often it was asked for, as [`Record`] counts it. Where the node in charge is asked,
    /// those are counted too that have no outcome yet.
    pub attempts: u32,
    /// The same of its compensation.
    pub undo_attempts: u32,
    /// How often it was refused.
    pub refused: u32,
    /// What it brought, as it is encoded.
    pub output: Option<Bytes>,
    /// Why it was refused, or could not be undone.
    pub cause: Option<String>,
    /// What the executor is about, if this node is in charge.
    pub now: Option<Now>,
}

/// How a step stands by the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It was not asked for.
    Waits,
    /// It was asked for, or is about to be.
    Asked,
    /// It was carried out.
    Done,
    /// It was refused.
    Rejected,
    /// Nobody could say what came of it.
    Unknown,
    /// It was undone.
    Undone,
    /// It could not be undone.
    UndoFailed,
    /// An operator skipped it, or its compensation.
    Skipped,
}

/// What an executor is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// It has asked for this so long ago, and has no answer.
    Asked(Op, Duration),
    /// It asks for this in so long.
    Rests(Op, Duration),
}

/// What a coordinator knows of a saga that is in no log.
pub(super) struct Live {
    /// The node that leads the group of the logs.
    pub(super) in_charge: Option<u64>,
    /// What is under way at this moment, if that is this node.
    pub(super) under_way: Option<(Time, Vec<UnderWay>)>,
}

impl Stands {
    /// Returns the word that tools have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Asked => "asked",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Undone => "undone",
            Self::UndoFailed => "undo_failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Shown {
    pub(super) fn new(listed: Listed, log: Vec<Entry>, graph: Option<&Graph>, live: Live) -> Self {
        let mut input = None;
        if let Some(Record::Begun { input: begun, .. }) = log.first().map(|first| &first.record) {
            input = Some(begun.clone());
        }
        let mut steps = graph.map_or_else(Vec::new, |graph| steps(&log, graph));
        let is_live = live.under_way.is_some();
        if let Some((now, under_way)) = live.under_way {
            for of in under_way {
                let step = steps.iter_mut().find(|step| step.id == of.step);
                step.into_iter().for_each(|step| step.see(of, now));
            }
        }
        Self { listed, input, steps, log, in_charge: live.in_charge, is_live }
    }
}

impl ShownStep {
    fn note(&mut self, entry: &Entry) {
        let (step, at) = (self.id, Some(entry.spent));
        match entry.record.attempts() {
            Some(((id, Op::Action), attempts)) if id == step => self.attempts = attempts,
            Some(((id, Op::Undo), attempts)) if id == step => self.undo_attempts = attempts,
            Some(_) | None => {}
        }
        match &entry.record {
            Record::Intended(id) if *id == step => {
                (self.asked, self.stands) = (at, Stands::Asked);
            }
            Record::Done { step: id, output, .. } if *id == step => {
                (self.ended, self.stands) = (at, Stands::Done);
                self.output = Some(output.clone());
            }
            Record::Rejected { step: id, cause, .. } if *id == step => {
                self.refused += 1;
                (self.ended, self.stands) = (at, Stands::Rejected);
                self.cause = Some(text(cause));
            }
            Record::Unresolved { step: id, .. } if *id == step => {
                (self.ended, self.stands) = (at, Stands::Unknown);
            }
            Record::Undone { step: id, .. } if *id == step => {
                (self.undone, self.stands) = (at, Stands::Undone);
            }
            Record::UndoFailed { step: id, cause, .. } if *id == step => {
                (self.undone, self.stands) = (at, Stands::UndoFailed);
                self.cause = Some(text(cause));
            }
            Record::Ordered { order: Order::Skip(id), .. } if *id == step => {
                (self.ended, self.stands) = (self.ended.or(at), Stands::Skipped);
            }
            Record::Begun { .. }
            | Record::Intended(_)
            | Record::Done { .. }
            | Record::Rejected { .. }
            | Record::Unresolved { .. }
            | Record::Turned(_)
            | Record::Undone { .. }
            | Record::UndoFailed { .. }
            | Record::Resumed
            | Record::Ordered { .. } => {}
        }
    }

    /// Takes in what its executor is about, which may be ahead of the log that was read.
    fn see(&mut self, UnderWay { op, attempts, phase, .. }: UnderWay, now: Time) {
        let known = match op {
            Op::Action => &mut self.attempts,
            Op::Undo => &mut self.undo_attempts,
        };
        *known = attempts.max(*known);
        self.now = Some(match phase {
            Phase::Resting(until) => Now::Rests(op, until.since(now)),
            Phase::Asked { since, .. } => Now::Asked(op, now.since(since)),
        });
    }
}

/// Returns each step with what it waits for, how deep that makes it, and what the log says of it.
fn steps(log: &[Entry], graph: &Graph) -> Vec<ShownStep> {
    let mut steps: Vec<ShownStep> = Vec::new();
    for (id, step) in graph.steps() {
        let above = graph.before(id).filter_map(|it| steps.get(usize::from(it.0)));
        let depth = above.map(|above| above.depth + 1).max().unwrap_or(0);
        let name = |id: &StepId| Some(graph.step(*id)?.name.clone());
        let mut shown = ShownStep {
            id,
            name: step.name.clone(),
            depth,
            class: step.class,
            after: step.after.iter().filter_map(name).collect(),
            stands: Stands::Waits,
            asked: None,
            ended: None,
            undone: None,
            attempts: 0,
            undo_attempts: 0,
            refused: 0,
            output: None,
            cause: None,
            now: None,
        };
        log.iter().for_each(|entry| shown.note(entry));
        steps.push(shown);
    }
    steps
}
