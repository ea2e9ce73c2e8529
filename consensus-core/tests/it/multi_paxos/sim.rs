//! Groups under Multi-Paxos under every fault, from seeds.

use std::time::Duration;

use consensus_core::{
    ensemble::Ensemble,
    multi_paxos::Role,
    replica::Rejection,
    sim::{
        Counts, Ended, Fault, Faults, Plan, Profile, Report, Simulated, Store, StoreWorkload, run,
    },
};

type MultiPaxos = Ensemble<Role>;

fn plan(seed: u64) -> Plan {
    let builder = Plan::builder().seed(seed).nodes(3 + seed % 3);
    builder.operations(300).duration(Duration::from_secs(20)).build().expect("the values fit")
}

fn report(plan: &Plan) -> Report {
    run::<MultiPaxos, Store>(plan, &StoreWorkload).expect("operations can be made up")
}

// Goal: under every fault nothing that must hold breaks, every fault that the protocol can have
// happens, and most callers are served. Method: seeded runs; `consensus sim` runs many more.
#[test]
fn faults_break_nothing() {
    let runs = 60;
    let (mut counts, mut asked, mut answered) = (Counts::default(), 0, 0);
    for seed in 0..runs {
        let report = report(&plan(seed));
        let failure = report.failure.map(|failure| (failure.to_string(), failure.evidence));
        assert_eq!(failure, None, "seed {seed}");
        counts.add(&report.counts);
        asked += report.operations;
        answered += report.answered;
    }
    let promised = Profile::All.faults().within(MultiPaxos::faults());
    assert_eq!(counts.missing(promised, runs), []);
    assert!(answered * 10 > asked * 7, "{answered} of {asked} were answered");
}

// Goal: a group whose acceptors still have what is chosen goes on, though the only node that knew it
// to be chosen has let go of it and lost its snapshot to its disk.
// Method: two seeds that came to that; nobody would lead.
#[test]
fn what_one_node_has_lost_others_bring_back() {
    for seed in [6_548, 9_730] {
        let plan = Plan::builder().seed(seed).nodes(3).operations(400);
        // As it was when those who take part did not change.
        let plan = plan.faults(Profile::All.faults().without(Fault::MembershipChange));
        let plan = plan.duration(Duration::from_secs(20)).build().expect("the values fit");
        let failure = report(&plan).failure.map(|failure| failure.to_string());
        assert_eq!(failure, None, "seed {seed}");
    }
}

// Goal: who has become the only voter and has not heard so asks, and then leads.
// Method: a seed that came to that; the others knew, and could not campaign.
#[test]
fn only_voter_finds_out_that_it_is() {
    let plan = Plan::builder().seed(4_664).nodes(3).operations(400).faults(Profile::All.faults());
    let plan = plan.duration(Duration::from_secs(20)).build().expect("the values fit");
    let failure = report(&plan).failure.map(|failure| failure.to_string());
    assert_eq!(failure, None);
}

// Goal: a seed decides a run, so that a failure can be looked at again, recorded or not.
#[test]
fn same_seed_gives_same_trace() {
    for seed in 0..4 {
        let recorded = report(&plan(seed).recording(true));
        let again = report(&plan(seed).recording(true));
        assert!(!recorded.trace.is_empty());
        assert_eq!(recorded.trace, again.trace, "seed {seed}");
        assert_eq!(recorded.digest, report(&plan(seed)).digest, "seed {seed}");
    }
    assert_ne!(report(&plan(1)).digest, report(&plan(4)).digest);
}

// Goal: without faults every operation is answered, and nothing is counted but the snapshots that
// replicas take.
#[test]
fn calm_is_calm() {
    for seed in 0..5 {
        let plan = Plan::builder().seed(seed).operations(100).duration(Duration::from_secs(5));
        let report = report(&plan.faults(Faults::NONE).build().expect("the values fit"));
        assert_eq!(report.failure, None);
        let is_fine = |ended: Option<&Ended>| match ended {
            Some(Ended::Ok(_)) => true,
            // A command that panics is applied and has no reply.
            Some(Ended::Applied(why)) => *why == Rejection::Panicked,
            Some(Ended::Unanswered(_) | Ended::NotApplied(_) | Ended::Unknown(_)) | None => false,
        };
        assert!(report.history.iter().all(|asked| is_fine(asked.ended())), "seed {seed}");
        let there_were = |fault: &Fault| report.counts.of(*fault) > 0;
        let mut counted = Fault::ALL.into_iter().filter(there_were);
        assert!(counted.all(|fault| fault == Fault::SnapshotTaken), "seed {seed}");
    }
}

#[cfg(feature = "mutants")]
mod mutants {
    use consensus_core::mutants::Bug;

    use super::*;

    // Goal: no bug shows while nothing goes wrong, so that only faults, and what judges them, find
    // it. Method: runs without faults, by what callers are told; invariants are not judged.
    #[test]
    fn multi_paxos_bugs_do_not_show_in_a_calm_cluster() {
        for bug in Bug::of_multi_paxos() {
            for seed in 0..4 {
                let plan = Plan::builder().seed(seed).nodes(3 + seed % 2 * 2).operations(60);
                let plan = plan.duration(Duration::from_secs(5)).faults(Faults::NONE);
                let plan = plan.invariants(false).bug(bug).build().expect("the values fit");
                assert_eq!(report(&plan).failure, None, "{bug} shows, seed {seed}");
            }
        }
    }
}
