//! Random sagas.

use std::time::Duration;

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

/// Draws a saga: up to five steps that can be undone, perhaps a pivot, perhaps retriable steps.
/// Deadlines are short, so that some pass only where there are faults: there are none else.
pub(super) fn graph(draw: &mut ChaCha8Rng, faulty: bool) -> Graph {
    let free = 1 + below(draw, 5) as u16;
    let has_pivot = happens(draw, 500);
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
    let deadline =
        (happens(draw, 300) && faulty).then(|| Duration::from_millis(100 + below(draw, 2_000)));
    Graph::new(("random", 1), deadline, steps).expect("it is drawn by the rules")
}
