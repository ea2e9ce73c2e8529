//! Decisions under every fault, from seeds, by either protocol.

use std::time::Duration;

use consensus_core::sim::{
    Asked, Counts, DECISION_FAULTS, Deciding, Ended, Fault, Faults, Plan, decide, shrink_decisions,
};

under_both! {
    faults_choose_no_second_value,
    same_seed_gives_same_decisions,
    calm_decisions_are_calm,
    nothing_is_left_to_shrink_of_what_holds,
}

fn plan(seed: u64) -> Plan {
    let builder = Plan::builder().seed(seed).nodes(3 + seed % 2 * 2);
    builder.operations(160).duration(Duration::from_secs(8)).build().expect("the values fit")
}

// Goal: under every fault one value is chosen once, every fault happens, and most callers are told.
// Method: seeded runs of twenty decisions each; the command `consensus sim` runs many more.
fn faults_choose_no_second_value<P: Deciding>() {
    let runs = 40;
    let (mut counts, mut asked, mut told) = (Counts::default(), 0, 0);
    for seed in 0..runs {
        let report = decide::<P>(&plan(seed));
        let failure = report.failure.map(|failure| (failure.to_string(), failure.evidence));
        assert_eq!(failure, None, "seed {seed}");
        counts.add(&report.counts);
        asked += report.operations;
        told += report.answered;
    }
    let promised: Faults = DECISION_FAULTS.into_iter().collect();
    assert_eq!(counts.missing(promised, runs), []);
    assert!(told * 10 > asked * 6, "{told} of {asked} were told");
}

// Goal: a seed decides a run, so that a failure can be looked at again, recorded or not.
fn same_seed_gives_same_decisions<P: Deciding>() {
    for seed in 0..4 {
        let recorded = decide::<P>(&plan(seed).recording(true));
        let again = decide::<P>(&plan(seed).recording(true));
        assert!(!recorded.trace.is_empty());
        assert_eq!(recorded.trace, again.trace, "seed {seed}");
        assert_eq!(recorded.digest, decide::<P>(&plan(seed)).digest, "seed {seed}");
    }
    assert_ne!(decide::<P>(&plan(1)).digest, decide::<P>(&plan(3)).digest);
}

// Goal: without faults all callers are told, and nothing is counted.
fn calm_decisions_are_calm<P: Deciding>() {
    for seed in 0..5 {
        let plan = Plan::builder().seed(seed).operations(80).faults(Faults::NONE);
        let plan = plan.duration(Duration::from_secs(8)).build().expect("the values fit");
        let report = decide::<P>(&plan);
        assert_eq!(report.failure, None);
        let is_told = |asked: &Asked| matches!(asked.ended(), Some(Ended::Ok(_)));
        assert!(report.history.iter().all(is_told), "seed {seed}");
        assert!(Fault::ALL.into_iter().all(|fault| report.counts.of(fault) == 0), "seed {seed}");
    }
}

// Goal: a run that does not fail is not shrunk.
fn nothing_is_left_to_shrink_of_what_holds<P: Deciding>() {
    assert!(shrink_decisions::<P>(&plan(0)).is_none());
}

#[cfg(feature = "mutants")]
mod mutants {
    use consensus_core::{fast_paxos, mutants::Bug, paxos, sim::Flaw};

    use super::*;

    under_both! {
        random_decisions_find_bugs,
        bugs_do_not_show_in_calm_decisions,
        failing_decisions_are_shrunk,
    }

    /// A protocol whose bugs are known.
    trait Known: Deciding {
        /// One that shows soon.
        const OWN_VALUE_FIRST: Bug;

        fn bugs() -> Vec<Bug>;

        /// Tells whether a few hundred seeds show it too seldom to be counted on.
        fn is_rare(bug: Bug) -> bool;
    }

    impl Known for paxos::Role {
        const OWN_VALUE_FIRST: Bug = Bug::Paxos(paxos::Mutant::OwnValueFirst);

        fn bugs() -> Vec<Bug> {
            Bug::of_paxos().collect()
        }

        fn is_rare(bug: Bug) -> bool {
            bug.is_seldom() || bug == Bug::Paxos(paxos::Mutant::ReadJoinsRunningBallot)
        }
    }

    impl Known for fast_paxos::Role {
        const OWN_VALUE_FIRST: Bug = Bug::FastPaxos(fast_paxos::Mutant::OwnValueFirst);

        fn bugs() -> Vec<Bug> {
            Bug::of_fast_paxos().collect()
        }

        fn is_rare(bug: Bug) -> bool {
            bug.is_seldom()
        }
    }

    fn plan_with(bug: Bug, seed: u64) -> Plan {
        let builder = Plan::builder().seed(seed).nodes(3 + seed % 2 * 2).bug(bug);
        let builder = builder.operations(160).duration(Duration::from_secs(8));
        builder.build().expect("the values fit")
    }

    // Goal: random runs show each bug that is put back, but for those of which more must come
    // together; `consensus sim --mutants` runs enough seeds for all but what is seldom.
    fn random_decisions_find_bugs<P: Known>() {
        for bug in P::bugs().into_iter().filter(|bug| !P::is_rare(*bug)) {
            let fails = |seed: &u64| decide::<P>(&plan_with(bug, *seed)).failure.is_some();
            assert!((0..300).any(|seed| fails(&seed)), "{bug} is not found");
        }
    }

    // Goal: no bug shows while nothing goes wrong, so that only faults, and what judges them, find
    // it. Method: decisions without faults, by what callers are told; invariants are not judged.
    fn bugs_do_not_show_in_calm_decisions<P: Known>() {
        for bug in P::bugs() {
            for seed in 0..6 {
                let plan = Plan::builder().seed(seed).nodes(3 + seed % 2 * 2).operations(80);
                let plan = plan.duration(Duration::from_secs(8)).faults(Faults::NONE);
                let plan = plan.invariants(false).bug(bug).build().expect("the values fit");
                assert_eq!(decide::<P>(&plan).failure, None, "{bug} shows, seed {seed}");
            }
        }
    }

    // Goal: a run that fails is made small: one decision, and few faults and callers.
    fn failing_decisions_are_shrunk<P: Known>() {
        let failing = (0..300).map(|seed| plan_with(P::OWN_VALUE_FIRST, seed));
        let failing = failing.into_iter().find_map(|plan| shrink_decisions::<P>(&plan));
        let shrunk = failing.expect("it shows");
        let failure = shrunk.report.failure.expect("it fails still");
        assert_eq!(failure.flaw, Flaw::Invariant, "{failure}");
        assert!(!failure.evidence.is_empty() && !shrunk.report.trace.is_empty());
        assert_eq!(shrunk.operations.0, 160);
        assert!(shrunk.operations.1 <= 4, "a few callers are enough: {:?}", shrunk.operations);
        assert!(shrunk.faults.1 <= 3, "a few faults are enough: {:?}", shrunk.faults);
    }
}
