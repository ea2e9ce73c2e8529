//! Random sagas.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand_chacha::{ChaCha8Rng, rand_core::Rng};

use crate::saga::{Class, Graph, Retry, Step, StepId};

/// Draws a number below `limit`.
pub(super) fn below(draw: &mut ChaCha8Rng, limit: u64) -> u64 {
    draw.next_u64() % limit.max(1)
}

/// Draws whether something happens that does so `of` times in a thousand.
pub(super) fn happens(draw: &mut ChaCha8Rng, of: u64) -> bool {
    below(draw, 1_000) < of
}

/// How many keys there are that sagas hold.
const KEYS: u64 = 6;
/// How deep sagas are steps of sagas.
const DEPTH: u32 = 2;

/// What a saga consists of.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub(super) graph: Arc<Graph>,
    /// The keys that it holds, and whether it is refused where it would have to wait for them.
    pub(super) keys: Vec<String>,
    pub(super) refuses: bool,
    /// The steps that are sagas.
    pub(super) nested: BTreeMap<StepId, Arc<Self>>,
}

/// Draws a saga: up to five steps that can be undone, perhaps a pivot, perhaps retriable steps.
/// Deadlines are short, so that some pass only where there are faults: there are none else.
pub(super) fn alone(draw: &mut ChaCha8Rng, faulty: bool) -> Definition {
    let free = 1 + below(draw, 5) as u16;
    let has_pivot = happens(draw, 500);
    let steps = steps(draw, free, has_pivot);
    let deadline = deadline(draw, faulty);
    Definition { graph: named(deadline, steps), keys: vec![], refuses: false, nested: [].into() }
}

/// What a saga may be, by the step that it is.
#[derive(Clone, Copy)]
struct Scope {
    faulty: bool,
    /// How many levels of steps that are sagas there may be below.
    depth: u32,
    /// Whether it may have a pivot: then it cannot be undone, and is no step that must be.
    may_decide: bool,
    /// Whether it may be undone for reasons that stay: a step that is retried until it succeeds must
    /// be able to.
    may_fail: bool,
}

/// Draws a saga that holds up to three keys, perhaps, and of which some steps are sagas.
pub(super) fn related(draw: &mut ChaCha8Rng, faulty: bool) -> Definition {
    let keys = if happens(draw, 400) { keys(draw, 3) } else { Vec::new() };
    let refuses = faulty && happens(draw, 250);
    let scope = Scope { faulty, depth: DEPTH, may_decide: true, may_fail: faulty };
    Definition { keys, refuses, ..family(draw, scope) }
}

/// Draws a saga with steps that are sagas, which hold keys of their own where they may fail: one that
/// would wait in a circle does.
fn family(draw: &mut ChaCha8Rng, scope: Scope) -> Definition {
    let free = 1 + below(draw, 3) as u16;
    let has_pivot = scope.may_decide && happens(draw, 500);
    let mut steps = steps(draw, free, has_pivot);
    let mut nested = BTreeMap::new();
    for (at, step) in steps.iter_mut().enumerate() {
        if scope.depth == 0 || step.class == Class::NoEffect || !happens(draw, 200) {
            continue;
        }
        let may_decide = step.class != Class::Compensatable;
        let may_fail = scope.may_fail && step.class != Class::Retriable;
        let inside = Scope { depth: scope.depth - 1, may_decide, may_fail, ..scope };
        let keys = if may_fail && happens(draw, 400) { keys(draw, 2) } else { Vec::new() };
        let refuses = happens(draw, 500);
        let inner = Definition { keys, refuses, ..family(draw, inside) };
        // Without faults no attempt is to be repeated.
        let short = Duration::from_millis(1_000 + below(draw, 2_000));
        step.timeout = if scope.faulty { short } else { Duration::from_secs(60) };
        nested.insert(StepId(at as u16), Arc::new(inner));
    }
    let deadline = deadline(draw, scope.faulty && scope.may_fail);
    Definition { graph: named(deadline, steps), keys: Vec::new(), refuses: false, nested }
}

fn steps(draw: &mut ChaCha8Rng, free: u16, has_pivot: bool) -> Vec<Step> {
    let retriable = if has_pivot { below(draw, 3) as u16 } else { 0 };
    let mut steps: Vec<Step> = Vec::new();
    for at in 0..free + u16::from(has_pivot) + retriable {
        let class = match at {
            at if at < free && happens(draw, 850) => Class::Compensatable,
            at if at < free => Class::NoEffect,
            at if at == free => Class::Pivot,
            _ => Class::Retriable,
        };
        let after = (0..at).filter(|_| happens(draw, 350)).map(StepId).collect();
        let attempts_max = 2 + below(draw, 4) as u32;
        let (base, cap) = (Duration::from_millis(20), Duration::from_millis(200));
        // Without faults an attempt takes eighty at the most.
        let timeout = Duration::from_millis(100 + below(draw, 100));
        let retry = Retry { attempts_max, base, cap };
        steps.push(Step { name: format!("s{at}"), class, after, timeout, retry });
    }
    steps
}

fn deadline(draw: &mut ChaCha8Rng, faulty: bool) -> Option<Duration> {
    (happens(draw, 300) && faulty).then(|| Duration::from_millis(100 + below(draw, 2_000)))
}

fn named(deadline: Option<Duration>, steps: Vec<Step>) -> Arc<Graph> {
    Arc::new(Graph::new(("random", 1), deadline, steps).expect("it is drawn by the rules"))
}

fn keys(draw: &mut ChaCha8Rng, most: u64) -> Vec<String> {
    let count = 1 + below(draw, most);
    (0..count).map(|_| format!("key-{}", below(draw, KEYS))).collect()
}
