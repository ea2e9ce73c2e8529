//! Many seeds on all cores, their results in the order of the seeds whoever was first.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    ops::{ControlFlow, Range},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

/// Does `work` for each seed, each thread taking the next; hands the results to `take` in the order
/// of the seeds, until it breaks.
///
/// What `take` is given does not depend on the number of threads.
pub(crate) fn in_order<T: Send>(
    threads: NonZeroUsize,
    seeds: Range<u64>,
    work: impl Fn(u64) -> T + Sync,
    mut take: impl FnMut(u64, T) -> ControlFlow<()>,
) {
    let next = AtomicU64::new(seeds.start);
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            let (done, next, work) = (done.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let (loose, end) = (Ordering::Relaxed, seeds.end);
                    let taken =
                        next.fetch_update(loose, loose, |next| (next < end).then(|| next + 1));
                    let Ok(seed) = taken else { return };
                    // Nobody waits for results any more once one of them ended it all.
                    if done.send((seed, work(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut wanted = seeds.start;
        let mut early = BTreeMap::new();
        for (seed, result) in results {
            early.insert(seed, result);
            while let Some(result) = early.remove(&wanted) {
                if take(wanted, result).is_break() {
                    return;
                }
                wanted += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: results come in the order of their seeds, up to the one that ends it, on any threads.
    #[test]
    fn results_come_in_order() {
        for threads in [1, 2, 7] {
            let threads = NonZeroUsize::new(threads).expect("it is not zero");
            let mut taken = Vec::new();
            let work = |seed: u64| {
                if seed.is_multiple_of(3) {
                    thread::yield_now();
                }
                seed * 2
            };
            in_order(threads, 5..100, work, |seed, result| {
                taken.push((seed, result));
                if seed == 60 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let expected: Vec<_> = (5..=60).map(|seed| (seed, seed * 2)).collect();
            assert_eq!(taken, expected);
        }
    }
}
