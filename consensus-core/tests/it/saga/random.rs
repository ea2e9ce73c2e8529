//! Random sagas under faults.

use std::time::Duration;

use consensus_core::sim::{Fault, Faults, Plan, SAGA_FAULTS, SagaTally, sagas, sagas_told};

fn plan(faults: Faults) -> Plan {
    let plan = Plan::builder().operations(40).duration(Duration::from_secs(4)).faults(faults);
    plan.build().expect("the values fit")
}

// Goal: whatever is lost, doubled, killed or replaced, each saga is carried out or undone, each
// effect comes about once, and all kinds of faults and ends are there. Method: 400 random runs of
// forty sagas each, which in half of the runs hold keys and have steps that are sagas.
#[test]
fn sagas_end_whole_under_faults() {
    let plan = plan(SAGA_FAULTS.into_iter().collect());
    let mut all = [0; 7];
    let mut counts = consensus_core::sim::Counts::default();
    for seed in 0..400 {
        let (report, tally) = sagas_told(&plan.with_seed(seed));
        assert_eq!(report.failure, None, "seed {seed}");
        counts.add(&report.counts);
        let SagaTally { completed, compensated, helped, refused, nested, waited, denied } = tally;
        let told = [completed, compensated, helped, refused, nested, waited, denied];
        all.iter_mut().zip(told).for_each(|(sum, count)| *sum += count);
    }
    assert!(all.iter().all(|count| *count > 100), "{all:?}");
    assert_eq!(counts.missing(plan.faults(), 400), [] as [Fault; 0]);
}

// Goal: without faults every saga is carried out, and each that is a step of one.
#[test]
fn sagas_complete_without_faults() {
    for seed in 0..20 {
        let (report, tally) = sagas_told(&plan(Faults::NONE).with_seed(seed));
        assert_eq!((report.failure, tally.completed), (None, 40 + tally.nested), "seed {seed}");
    }
}

// Goal: the same seed gives the same run.
#[test]
fn saga_runs_repeat() {
    let plan = plan(SAGA_FAULTS.into_iter().collect());
    let digest = |seed| sagas(&plan.with_seed(seed)).digest;
    (0..20).for_each(|seed| assert_eq!(digest(seed), digest(seed)));
    assert_ne!(digest(1), digest(2));
}

// Goal: each known bug of sagas shows within a bounded number of random runs.
#[cfg(feature = "mutants")]
#[test]
fn known_bugs_of_sagas_show() {
    use consensus_core::mutants::Bug;

    for bug in Bug::of_sagas() {
        let plan = Plan::builder().operations(40).duration(Duration::from_secs(4)).bug(bug);
        let plan = plan.faults(SAGA_FAULTS.into_iter().collect()).build().expect("it fits");
        let caught = (0..500).find(|seed| sagas(&plan.with_seed(*seed)).failure.is_some());
        assert!(caught.is_some(), "{bug} is not seen; the rule is: {}", bug.rule());
    }
}
