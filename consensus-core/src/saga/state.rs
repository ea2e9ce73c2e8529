//! How a saga stands: the fold of its log.

use bytes::Bytes;

use super::{
    graph::{Class, Graph, StepId},
    mutant::Mutant,
    record::{Entry, Order, Reason, Record, Seq},
};
use crate::mutants::Bugs;

/// How often executors may take a saga up, one after the other, without anything coming of it.
pub const RESUMES_MAX: u32 = 16;

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was never asked for.
    Idle,
    /// It was asked for, or is about to be: it may have been carried out.
    Intended,
    /// It was carried out.
    Done,
    /// It was refused, and has changed nothing.
    Rejected,
    /// Nobody could say what became of it.
    Lost,
    /// It was carried out, perhaps, and is undone.
    Undone,
    /// It was carried out, perhaps, and could not be undone.
    UndoFailed,
}

/// A step, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepState {
    /// How it stands.
    pub standing: Standing,
    /// What came of it, if that is known.
    pub output: Option<Bytes>,
    /// Why it was refused, or could not be undone.
    pub cause: Option<Bytes>,
    /// How often it was refused and asked for anew: each round is another effect.
    pub round: u32,
    /// How often an operator had it undone anew.
    pub undo_round: u32,
    /// Whether what is known of it stands as it was before its compensation failed.
    was_lost: bool,
}

/// Where a saga is going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// To its end.
    Forward,
    /// Back, for this reason.
    Back(Reason),
    /// Nowhere: an operator gave it up.
    Abandoned,
}

/// How a saga ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All steps are done.
    Completed,
    /// Everything that was done is undone.
    Compensated(Reason),
    /// An operator gave it up, whatever was half done.
    Abandoned,
}

/// Why a log is no log of this saga.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {} cannot be: {reason}", seq.0)]
pub struct Contradiction {
    /// The record.
    pub seq: Seq,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Why an operator's order is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The saga has ended.
    #[error("the saga has ended; nothing is left to be done about it")]
    Over,
    /// The pivot may have decided.
    #[error("the saga has reached its pivot and goes on to its end; it cannot be cancelled")]
    Decided,
    /// It is being undone already.
    #[error("the saga is being undone already")]
    TurnedBack,
    /// Nothing there is stuck.
    #[error("that is not stuck; `show` tells what is")]
    NotStuck,
    /// A later step rests on what the step would have brought.
    #[error(
        "a step that is not done waits for what this one brings; retry it, or abandon the saga"
    )]
    Needed,
}

/// How a saga stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it is going.
    pub course: Course,
    /// What it was started with.
    pub input: Bytes,
    steps: Vec<StepState>,
    /// How often it was taken up since anything came of it.
    resumes: u32,
    bugs: Bugs<Mutant>,
}

impl State {
    pub(super) fn new(graph: &Graph, bugs: Bugs<Mutant>) -> Self {
        let step = StepState {
            standing: Standing::Idle,
            output: None,
            cause: None,
            round: 0,
            undo_round: 0,
            was_lost: false,
        };
        let steps = graph.steps().map(|_| step.clone()).collect();
        Self { course: Course::Forward, input: Bytes::new(), steps, resumes: 0, bugs }
    }

    #[cfg(feature = "mutants")]
    pub(super) fn set_bugs(&mut self, bugs: Bugs<Mutant>) {
        self.bugs = bugs;
    }

    /// Returns how a step stands.
    ///
    /// # Panics
    /// Panics if the saga has no such step.
    pub fn step(&self, id: StepId) -> &StepState {
        self.steps.get(id.place()).expect("the saga has this step")
    }

    pub(super) fn standing(&self, id: StepId) -> Standing {
        self.step(id).standing
    }

    /// Tells whether executors have taken it up so often that whatever it does may be what ends
    /// them.
    pub fn is_quarantined(&self) -> bool {
        self.resumes > RESUMES_MAX
    }

    /// Tells whether the step that decides has been asked for, or everything is done.
    pub(super) fn is_decided(&self, graph: &Graph) -> bool {
        let begun = |pivot| !matches!(self.standing(pivot), Standing::Idle | Standing::Rejected);
        graph.pivot().is_some_and(begun)
    }

    /// Tells whether a step must be undone before the saga has ended.
    pub(super) fn owes(&self, graph: &Graph, id: StepId) -> bool {
        let known_only = self.bugs.has(Mutant::UndoOnlyKnown);
        let may_have_run = match self.standing(id) {
            Standing::Done => true,
            Standing::Lost => !known_only,
            Standing::Idle
            | Standing::Intended
            | Standing::Rejected
            | Standing::Undone
            | Standing::UndoFailed => false,
        };
        may_have_run
            && matches!(self.course, Course::Back(_))
            && graph.step(id).is_some_and(|step| step.class == Class::Compensatable)
    }

    /// Returns how it ended, if it has.
    pub fn verdict(&self, graph: &Graph) -> Option<Verdict> {
        let mut standings = graph.steps().map(|(id, _)| (id, self.standing(id)));
        match &self.course {
            Course::Abandoned => Some(Verdict::Abandoned),
            Course::Forward => {
                let all = standings.all(|(_, standing)| standing == Standing::Done);
                all.then_some(Verdict::Completed)
            }
            Course::Back(reason) => {
                let open = |(id, standing)| {
                    matches!(standing, Standing::Intended | Standing::UndoFailed)
                        || self.owes(graph, id)
                };
                (!standings.any(open)).then(|| Verdict::Compensated(reason.clone()))
            }
        }
    }

    /// Returns the steps that nothing but an operator can help.
    pub fn stuck(&self, graph: &Graph) -> Vec<StepId> {
        let is_stuck = |id| match self.course {
            Course::Forward => self.standing(id) == Standing::Lost,
            Course::Back(_) => self.standing(id) == Standing::UndoFailed,
            Course::Abandoned => false,
        };
        graph.steps().map(|(id, _)| id).filter(|id| is_stuck(*id)).collect()
    }

    /// Tells whether an order can be carried out.
    ///
    /// # Errors
    /// [`OrderError`] says why not.
    pub fn permits(&self, graph: &Graph, order: &Order) -> Result<(), OrderError> {
        let is_over = match self.verdict(graph) {
            Some(Verdict::Completed) => *order != Order::Revoke,
            Some(Verdict::Compensated(_) | Verdict::Abandoned) => true,
            None => false,
        };
        if is_over {
            return Err(OrderError::Over);
        }
        let stuck = self.stuck(graph);
        match order {
            Order::Abandon => Ok(()),
            Order::Cancel | Order::Revoke => match self.course {
                Course::Forward
                    if self.is_decided(graph) && !self.bugs.has(Mutant::TurnsBackBehindPivot) =>
                {
                    Err(OrderError::Decided)
                }
                Course::Forward => Ok(()),
                Course::Back(_) | Course::Abandoned => Err(OrderError::TurnedBack),
            },
            Order::Retry(None) if stuck.is_empty() && !self.is_quarantined() => {
                Err(OrderError::NotStuck)
            }
            Order::Retry(None) => Ok(()),
            Order::Retry(Some(step)) | Order::Skip(step) if !stuck.contains(step) => {
                Err(OrderError::NotStuck)
            }
            Order::Retry(Some(_)) => Ok(()),
            Order::Skip(step) => {
                let waits = |(id, other): (StepId, &super::graph::Step)| {
                    other.after.contains(step) && self.standing(id) != Standing::Done
                };
                let needed = self.course == Course::Forward && graph.steps().any(waits);
                if needed { Err(OrderError::Needed) } else { Ok(()) }
            }
        }
    }

    /// Takes in one record.
    ///
    /// # Errors
    /// [`Contradiction`] when nobody can have written it here.
    pub(super) fn apply(&mut self, graph: &Graph, entry: &Entry) -> Result<(), Contradiction> {
        let wrong = |reason| Err(Contradiction { seq: entry.seq, reason });
        let record = &entry.record;
        if (entry.seq == Seq(1)) != matches!(record, Record::Begun { .. }) {
            return wrong("a saga begins once, by its first record");
        }
        let revokes = matches!(record, Record::Ordered { order: Order::Revoke, .. });
        if !revokes && self.verdict(graph).is_some() {
            return wrong("the saga had ended");
        }
        let named = match record {
            Record::Intended(step)
            | Record::Turned(Reason::Rejected(step) | Reason::Unresolved(step))
            | Record::Done { step, .. }
            | Record::Rejected { step, .. }
            | Record::Unresolved { step, .. }
            | Record::Undone { step, .. }
            | Record::UndoFailed { step, .. }
            | Record::Ordered { order: Order::Retry(Some(step)) | Order::Skip(step), .. } => {
                Some(*step)
            }
            Record::Begun { .. } | Record::Turned(_) | Record::Resumed | Record::Ordered { .. } => {
                None
            }
        };
        let class = match named.map(|step| graph.step(step)) {
            Some(None) => return wrong("there is no such step"),
            Some(Some(step)) => Some(step.class),
            None => None,
        };
        let owed = named.is_some_and(|step| self.owes(graph, step));
        let expects = |standing| named.is_some_and(|step| self.standing(step) == standing);
        let fits = match record {
            Record::Begun { digest, .. } => *digest == graph.digest(),
            Record::Resumed => true,
            Record::Intended(_) => self.course == Course::Forward && expects(Standing::Idle),
            Record::Done { .. } | Record::Rejected { .. } | Record::Unresolved { .. } => {
                expects(Standing::Intended)
            }
            Record::Turned(_) => self.course == Course::Forward,
            Record::Undone { .. } | Record::UndoFailed { .. } => owed,
            Record::Ordered { order, .. } => self.permits(graph, order).is_ok(),
        };
        if !fits {
            return wrong("it does not follow from what was before");
        }
        self.resumes = if matches!(record, Record::Resumed) { self.resumes + 1 } else { 0 };
        self.note(graph, record, class);
        Ok(())
    }

    fn note(&mut self, graph: &Graph, record: &Record, class: Option<Class>) {
        match record {
            Record::Begun { input, .. } => self.input = input.clone(),
            Record::Resumed => {}
            Record::Intended(step) => self.at(*step).standing = Standing::Intended,
            Record::Done { step, output, .. } => {
                let step = self.at(*step);
                (step.standing, step.output) = (Standing::Done, Some(output.clone()));
            }
            Record::Rejected { step, cause, .. } => {
                let at = self.at(*step);
                at.cause = Some(cause.clone());
                if class == Some(Class::Retriable) {
                    at.round += 1;
                } else {
                    at.standing = Standing::Rejected;
                    self.turn(Reason::Rejected(*step));
                }
            }
            Record::Unresolved { step, .. } => {
                let at = self.at(*step);
                (at.standing, at.was_lost) = (Standing::Lost, true);
                // Behind what may have decided nobody turns back.
                if !matches!(class, Some(Class::Pivot | Class::Retriable)) {
                    self.turn(Reason::Unresolved(*step));
                }
            }
            Record::Turned(reason) => self.turn(reason.clone()),
            Record::Undone { step, .. } => self.at(*step).standing = Standing::Undone,
            Record::UndoFailed { step, cause, .. } => {
                let at = self.at(*step);
                (at.standing, at.cause) = (Standing::UndoFailed, Some(cause.clone()));
            }
            Record::Ordered { order, .. } => self.carry_out(graph, order),
        }
    }

    fn turn(&mut self, reason: Reason) {
        if self.course == Course::Forward {
            self.course = Course::Back(reason);
        }
    }

    fn carry_out(&mut self, graph: &Graph, order: &Order) {
        match order {
            Order::Cancel => self.turn(Reason::Cancelled),
            Order::Revoke => self.turn(Reason::Revoked),
            Order::Abandon => self.course = Course::Abandoned,
            Order::Retry(Some(step)) => self.try_again(*step),
            Order::Retry(None) => {
                self.stuck(graph).into_iter().for_each(|step| self.try_again(step));
            }
            Order::Skip(step) => {
                self.at(*step).standing = match self.course {
                    Course::Forward | Course::Abandoned => Standing::Done,
                    Course::Back(_) => Standing::Undone,
                };
            }
        }
    }

    fn at(&mut self, step: StepId) -> &mut StepState {
        self.steps.get_mut(step.place()).expect("what names a step was checked")
    }

    fn try_again(&mut self, step: StepId) {
        let forward = self.course == Course::Forward;
        let at = self.at(step);
        if forward {
            at.standing = Standing::Intended;
        } else {
            at.undo_round += 1;
            at.standing = if at.was_lost { Standing::Lost } else { Standing::Done };
        }
    }
}
