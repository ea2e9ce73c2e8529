//! Sagas: random runs under faults.

use consensus_core::sim::saga::{self, Tally};

/// Adds up what happened in runs, none of which broke a rule.
fn runs(seeds: std::ops::Range<u64>) -> Tally {
    let mut all = Tally::default();
    for seed in seeds {
        let run = saga::run(seed);
        assert_eq!(run.failure, None, "seed {seed}");
        all = all.and(&run.tally);
    }
    all
}

// Goal: whatever is lost, doubled, killed or replaced, each saga is carried out or undone, each
// effect comes about once, and all kinds of faults and ends are there. Method: 2,000 random runs of
// eight sagas each.
#[test]
fn sagas_end_whole_under_faults() {
    let all = runs(0..2_000);
    eprintln!("{all:?}");
    let Tally { completed, compensated, helped, killed, replaced, broken_off, lost, .. } = all;
    let counts = [completed, compensated, helped, killed, replaced, broken_off, lost];
    assert!(counts.iter().all(|count| *count > 100), "{all:?}");
    assert!(all.doubled > 100 && all.refused > 100, "{all:?}");
}

// Goal: the same seed gives the same run.
#[test]
fn saga_runs_repeat() {
    for seed in 0..50 {
        assert_eq!(saga::run(seed), saga::run(seed));
    }
}

// Goal: each known bug of sagas shows within a bounded number of random runs. Method: run each by
// its own until a rule is broken.
#[cfg(feature = "mutants")]
#[test]
fn known_bugs_of_sagas_show() {
    use consensus_core::saga::Mutant;

    for mutant in Mutant::ALL.iter().copied() {
        let caught = (0..5_000).find_map(|seed| {
            saga::run_with_bug(seed, mutant).failure.map(|failure| (seed, failure))
        });
        let (name, rule) = (mutant.name(), mutant.rule());
        assert!(caught.is_some(), "{name} is not seen; the rule is: {rule}");
    }
}
