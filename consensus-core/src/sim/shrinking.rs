//! Making a failing run small: fewer faults and fewer operations that still break the same.

use super::{
    Failure,
    plan::Plan,
    protocol::Simulated,
    runner::{Report, Run},
    script::Script,
    workload::Workload,
};
use crate::state_machine::StateMachine;

/// A failing run made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The small run, its trace kept.
    pub report: Report,
    /// How many faults were struck on purpose, before and after.
    pub faults: (usize, usize),
    /// How many operations were asked for, before and after.
    pub operations: (usize, usize),
    /// How many runs it took.
    pub runs: usize,
}

/// The most runs that shrinking takes.
const RUNS_MAX: usize = 300;

/// How often the small run is run again if it passes.
const AGAIN_MAX: usize = 20;

/// Shrinks a run that fails; `None` if it does not.
///
/// The parts of a run draw from streams of their own, so what is left behaves much as before. The
/// same plan is shrunk to the same run.
///
/// # Errors
/// A text for people, where the workload cannot make up an operation.
pub fn shrink<P: Simulated, S: StateMachine>(
    plan: &Plan,
    workload: &dyn Workload<S>,
) -> Result<Option<Shrunk>, String> {
    let script = Run::<P, S>::new(plan, workload)?.into_script();
    let run =
        |script: &Script| Run::<P, S>::scripted(plan, workload, script.clone()).report().failure;
    let Some(failure) = run(&script) else { return Ok(None) };
    let before = (script.strikes.len(), script.calls.len());
    let mut shrinking = Shrinking { failure, script, runs: 1, run };
    shrinking.settle_surroundings();
    // Operations cost the most time, so most of them go first.
    shrinking.calls();
    shrinking.strikes();
    shrinking.calls();

    let Shrinking { script, runs, .. } = shrinking;
    let after = (script.strikes.len(), script.calls.len());
    let plan = plan.recording(true);
    let report = || Run::<P, S>::scripted(&plan, workload, script.clone()).report();
    let mut last = report();
    // A state machine that is not deterministic fails now and then.
    for _ in 0..AGAIN_MAX {
        if last.failure.is_some() {
            break;
        }
        last = report();
    }
    let report = last;
    let (faults, operations) = ((before.0, after.0), (before.1, after.1));
    Ok(Some(Shrunk { report, faults, operations, runs }))
}

/// A script of a run that fails, on its way to a small one.
pub(super) struct Shrinking<T, R> {
    pub(super) failure: Failure,
    pub(super) script: T,
    pub(super) runs: usize,
    pub(super) run: R,
}

impl<T: Clone, R: Fn(&T) -> Option<Failure>> Shrinking<T, R> {
    /// Takes `script` if it breaks the same; tells whether it does.
    pub(super) fn take(&mut self, script: T) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let Some(failure) = (self.run)(&script) else { return false };
        if failure.flaw != self.failure.flaw {
            return false;
        }
        (self.failure, self.script) = (failure, script);
        true
    }

    /// Drops parts of a list as long as the run still breaks: halves, quarters, and so on to single
    /// ones (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
    pub(super) fn drop_parts(&mut self, length: fn(&T) -> usize, drop: fn(&mut T, usize, usize)) {
        let mut part = length(&self.script).div_ceil(2);
        while part > 0 && self.runs < RUNS_MAX {
            let mut from = 0;
            while from < length(&self.script) {
                let mut script = self.script.clone();
                let to = (from + part).min(length(&script));
                drop(&mut script, from, to);
                if !self.take(script) {
                    from = to;
                }
            }
            part /= 2;
        }
    }
}

impl<R: Fn(&Script) -> Option<Failure>> Shrinking<Script, R> {
    /// Tries without each of the faults that have odds.
    fn settle_surroundings(&mut self) {
        let settled: [fn(&mut Script); 4] = [
            |script| script.temper.loss = 0,
            |script| script.temper.duplication = 0,
            |script| script.temper.reordering = 0,
            |script| script.temper.drift.iter_mut().for_each(|drift| *drift = 0),
        ];
        for settle in settled {
            let mut script = self.script.clone();
            settle(&mut script);
            self.take(script);
        }
    }

    fn strikes(&mut self) {
        self.drop_parts(
            |script| script.strikes.len(),
            |script, from, to| {
                script.strikes.drain(from..to);
            },
        );
    }

    fn calls(&mut self) {
        self.drop_parts(
            |script| script.calls.len(),
            |script, from, to| {
                script.calls.drain(from..to);
            },
        );
    }
}
