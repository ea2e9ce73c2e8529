//! Known bugs, put back one at a time: the tests find each, at the rule that it breaks, and none
//! shows in a cluster without faults.
//!
//! `cargo test -p consensus-core --features mutants --test it mutants`

use std::{collections::BTreeSet, fs, io, path::PathBuf, time::Duration};

use consensus_core::{
    fast_paxos,
    mutants::{Bug, UnknownBug},
    paxos,
    raft::{self, Raft},
    sim::{Faults, Plan, Store, StoreWorkload, run},
};

use crate::{bug, multi_paxos, paxos::script::traced as traced_decision, raft::traced};

// Goal: a bug is found by its name, which is its own, and says which rule it breaks.
#[test]
fn names_tell_bugs_apart() {
    let names: BTreeSet<_> = Bug::all().map(Bug::name).collect();
    assert_eq!(names.len(), Bug::all().count());
    let rules: BTreeSet<_> = Bug::all().map(Bug::rule).collect();
    assert_eq!(rules.len(), Bug::all().count(), "each breaks a rule of its own");
    for bug in Bug::all() {
        assert_eq!(bug.name().parse(), Ok(bug));
        assert_eq!(bug.to_string(), bug.name());
    }
    assert_eq!("x".parse::<Bug>(), Err(UnknownBug { name: "x".into() }));
}

// Goal: each of Raft's rules is pinned by a golden script, which fails without the rule.
// Method: the script with the bug put back leaves another trace, or an invariant fails.
#[test]
fn scripts_find_raft_bugs() {
    for mutant in raft::Mutant::ALL {
        find(Bug::Raft(*mutant), "raft", traced);
    }
}

// Goal: each of Paxos's rules is pinned by a golden script, which fails without the rule.
// Method: as for Raft's.
#[test]
fn scripts_find_paxos_bugs() {
    Bug::of_paxos().for_each(|bug| find(bug, "paxos", traced_decision::<paxos::Role>));
}

// Goal: each of Fast Paxos's rules is pinned by a golden script, which fails without the rule.
// Method: as for Raft's.
#[test]
fn scripts_find_fast_paxos_bugs() {
    let traced = traced_decision::<fast_paxos::Role>;
    Bug::of_fast_paxos().for_each(|bug| find(bug, "fast_paxos", traced));
}

// Goal: each of Multi-Paxos's rules is pinned by a golden script, which fails without the rule.
// Method: as for Raft's.
#[test]
fn scripts_find_multi_paxos_bugs() {
    Bug::of_multi_paxos().for_each(|bug| find(bug, "multi_paxos", multi_paxos::traced));
}

/// Asserts that its script finds a bug, and passes without it.
fn find(bug: Bug, protocol: &str, traced: fn(&str) -> io::Result<String>) {
    let (folder, name) = (env!("CARGO_MANIFEST_DIR"), bug.pinned_by());
    let path = PathBuf::from(folder).join("tests/scripts").join(protocol).join(name);
    let script = fs::read_to_string(&path).expect("the script is there");
    let leaves = |bug| bug::with(bug, || traced(&script).is_ok_and(|trace| trace == script));
    assert!(matches!(leaves(None), Ok(true)), "{name} passes");
    assert!(!matches!(leaves(Some(bug)), Ok(true)), "{name} does not find {bug}");
}

// Goal: each of the replica's, the client's and sagas' rules is pinned by a test, which fails
// without it.
#[test]
fn tests_find_bugs() {
    let others = Bug::of_raft().filter(|bug| !matches!(bug, Bug::Raft(_)));
    for other in others.chain(Bug::of_sagas()) {
        let (name, test) = (other.pinned_by(), test(other));
        assert!(bug::with(None, test).is_ok(), "{name} passes");
        assert!(bug::with(Some(other), test).is_err(), "{name} does not find {other}");
    }
}

/// Returns the test that pins the rule, by its name.
fn test(bug: Bug) -> fn() {
    macro_rules! named {
        ($name:expr, $part:ident { $($test:ident),+ $(,)? }) => {
            match $name {
                $(stringify!($test) => crate::$part::$test,)+
                other => panic!("{other} is no test of {}", stringify!($part)),
            }
        };
    }
    match bug {
        Bug::Raft(_) | Bug::Paxos(_) | Bug::MultiPaxos(_) | Bug::FastPaxos(_) => {
            panic!("scripts pin the rules of protocols")
        }
        Bug::Saga(mutant) => named!(
            mutant.test(),
            saga {
                s06_intent_before_call,
                s15_what_goes_on_is_not_forgotten,
                s34_old_executor_cannot_append,
                s08_gap_is_refused,
                s19_unknown_is_resolved_first,
                s19_lost_step_is_undone,
                s02_undo_runs_backwards,
                s25_cancel_before_pivot_only,
                s24_pivot_waits_for_all,
                s15_retry_has_the_same_key,
                s20_unknown_is_not_rejected,
                s15_reply_lost_effect_once,
                s34_old_executor_cannot_command,
                s16_action_after_undo_is_refused,
                s17_undo_before_action_undoes_nothing,
                s29_circle_is_refused,
                s29_keys_are_held_on_the_way_back,
                s29_keys_of_a_step_are_held_for_its_saga,
                s29_keys_outlive_a_saga_given_up,
                s29_nobody_overtakes,
                s29_what_is_cancelled_does_not_begin,
                s31_ended_step_is_kept_for_its_saga,
                s31_late_request_begins_nothing,
                s31_step_asked_for_again_begins_nothing,
                s31_what_is_refused_stays_so,
            }
        ),
        Bug::Replica(mutant) => named!(
            mutant.test(),
            replica {
                time_never_goes_back,
                replicas_agree_whoever_took_a_request,
                request_of_a_session_applies_once,
                refused_requests_change_nothing,
                reply_is_kept_until_it_is_acknowledged,
                session_expires_by_the_time_in_the_log,
                panic_is_an_outcome_like_any_other,
                key_stands_for_one_body,
                snapshot_remembers_what_was_executed,
                snapshot_remembers_the_keys,
            }
        ),
        Bug::Snapshot(mutant) => named!(
            mutant.test(),
            snapshot { part_of_another_snapshot_is_refused, whole_snapshot_survives_a_crash }
        ),
        Bug::Client(mutant) => named!(
            mutant.test(),
            client {
                answer_to_another_life_is_nobodys,
                deadline_tells_the_truth,
                busy_is_reported_unless_an_attempt_is_open,
                refusal_by_the_window_is_retried,
                expired_session_leaves_doubt_where_an_attempt_is_open,
                new_leader_gets_the_same_request,
            }
        ),
    }
}

// Goal: no bug shows while nothing goes wrong, so that only faults, and what judges them, find it.
// Method: simulated runs without faults, by all that a caller can tell; invariants are not judged.
#[test]
fn bugs_do_not_show_in_a_calm_cluster() {
    assert!(raft::Mutant::ALL.len() >= 25);
    for bug in Bug::of_raft() {
        for seed in 0..4 {
            let plan = Plan::builder().seed(seed).nodes(3 + seed % 2 * 2).operations(60);
            let plan = plan.duration(Duration::from_secs(5)).faults(Faults::NONE);
            let plan = plan.invariants(false).bug(bug).build().expect("the values fit");
            let report = run::<Raft, Store>(&plan, &StoreWorkload).expect("operations are made up");
            assert_eq!(report.failure, None, "{bug} shows, seed {seed}");
        }
    }
}
