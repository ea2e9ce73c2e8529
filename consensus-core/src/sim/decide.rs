//! Runs of decisions, one after the other: a plan, what came of it, and a failing one made small.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{
    agenda::{self, Agenda},
    deciding::Deciding,
    decision::{Decision, Minutes},
    fault::Counts,
    operations::{Asked, Ended, Operations},
    plan::Plan,
    runner::{Failure, Flaw, Report, message},
    served::Reads,
    shrinking::{Shrinking, Shrunk},
    trace::{Trace, What},
};
use crate::time::Time;

/// Runs `plan`: its time and its operations are divided among decisions, each of one value by a
/// group of its own.
pub fn decide<P: Deciding>(plan: &Plan) -> Report {
    run::<P>(plan, &agenda::draw(plan))
}

/// Shrinks a run that fails; `None` if it does not.
///
/// First it is left to the decision that fails, then faults and callers are left out. The same plan
/// is shrunk to the same run.
pub fn shrink_decisions<P: Deciding>(plan: &Plan) -> Option<Shrunk> {
    let script = agenda::draw(plan);
    let fails = |script: &Vec<Agenda>| run::<P>(plan, script).failure;
    let failure = fails(&script)?;
    let before = sizes(&script);
    let mut shrinking = Shrinking { failure, script, runs: 1, run: fails };
    shrinking.drop_parts(Vec::len, |script, from, to| {
        script.drain(from..to);
    });
    let settled: [fn(&mut Agenda); 4] = [
        |agenda| agenda.temper.loss = 0,
        |agenda| agenda.temper.duplication = 0,
        |agenda| agenda.temper.reordering = 0,
        |agenda| agenda.temper.drift.iter_mut().for_each(|drift| *drift = 0),
    ];
    for settle in settled {
        let mut script = shrinking.script.clone();
        script.iter_mut().for_each(settle);
        shrinking.take(script);
    }
    let last = |script: &Vec<Agenda>| script.last().map_or(0, |agenda| agenda.strikes.len());
    shrinking.drop_parts(last, |script, from, to| {
        script.last_mut().map(|agenda| agenda.strikes.drain(from..to).count());
    });
    let last = |script: &Vec<Agenda>| script.last().map_or(0, |agenda| agenda.motions.len());
    shrinking.drop_parts(last, |script, from, to| {
        script.last_mut().map(|agenda| agenda.motions.drain(from..to).count());
    });

    let Shrinking { script, runs, .. } = shrinking;
    let after = sizes(&script);
    let report = run::<P>(&plan.recording(true), &script);
    let (faults, operations) = ((before.0, after.0), (before.1, after.1));
    Some(Shrunk { report, faults, operations, runs })
}

/// Returns how many faults and callers there are.
fn sizes(script: &[Agenda]) -> (usize, usize) {
    let strikes = script.iter().map(|agenda| agenda.strikes.len()).sum();
    let motions = script.iter().map(|agenda| agenda.motions.len()).sum();
    (strikes, motions)
}

fn run<P: Deciding>(plan: &Plan, script: &[Agenda]) -> Report {
    let mut minutes = Minutes {
        trace: Trace::new(plan.is_recording()),
        counts: Counts::default(),
        operations: Operations::default(),
        terms: BTreeSet::new(),
        now: Time::ZERO,
    };
    let mut failure = None;
    for agenda in script {
        failure = one::<P>(plan, agenda, &mut minutes).err();
        if failure.is_some() {
            break;
        }
    }
    if let Some(failure) = &failure {
        let what = || What::Broken { text: failure.to_string() };
        minutes.trace.note(minutes.now, None, [15, 0, 0], what);
    }
    let all = minutes.operations.all();
    let answered = |asked: &&Asked| matches!(asked.ended(), Some(Ended::Ok(_)));
    Report {
        seed: plan.seed(),
        digest: minutes.trace.digest(),
        counts: minutes.counts,
        reads: Reads::default(),
        operations: all.len(),
        answered: all.iter().filter(answered).count(),
        terms: minutes.terms.len(),
        simulated: minutes.now,
        failure,
        history: minutes.operations.into_all(),
        trace: minutes.trace.into_lines(),
    }
}

/// Runs one decision.
fn one<P: Deciding>(plan: &Plan, agenda: &Agenda, minutes: &mut Minutes) -> Result<(), Failure> {
    // An assertion of our own that fails is a finding like any other.
    let done = catch_unwind(AssertUnwindSafe(|| {
        let mut decision = Decision::<P>::new(plan, agenda.clone(), minutes)?;
        decision.run()?;
        decision.conclude()
    }));
    done.unwrap_or_else(|panic| {
        let what = message(panic.as_ref());
        Err(Failure { flaw: Flaw::Panic, what, evidence: Vec::new(), at: minutes.now })
    })
}
