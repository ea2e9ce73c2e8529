//! Sagas of clusters under a paused clock, with faults from seeds: their executors crash, are parted
//! from the others, stand still and hand over, and each effect comes about once.

use std::{rc::Rc, time::Duration};

use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};

use super::{
    RECOVERY, SEED,
    agency::Agency,
    disk::Trap,
    faults,
    network::Parting,
    paused,
    random::{Random, Trace},
    tally::Tally,
    tell_seeds,
    trips::{Errand, STEPS, UNDONE},
};
use crate::{
    Protocol,
    saga::{Saga, StepId},
};

/// How many clusters carry sagas out under each protocol; `PAUSED_SAGA_SEEDS` has it be more.
const SEEDS: u64 = 2;

/// Torments the cluster of `seed` while it carries trips out.
fn run(seed: u64, protocol: Protocol) -> (Trace, Tally) {
    tell_seeds();
    SEED.set(Some(seed));
    let seen = paused(async {
        let mut random = Random::new(seed);
        let agency = Agency::open(random.pick(&[3, 3, 5]), protocol, random.fork()).await;
        let callers = (0..4).map(|caller| spawn_local(Rc::clone(&agency).call(caller)));
        let mut tasks: Vec<_> = callers.collect();
        tasks.push(spawn_local(Rc::clone(&agency).transfer(60_000)));
        faults::torment(&agency.world, random.fork()).await;
        agency.over.set(true);
        for task in tasks {
            task.await.expect("it comes to an end");
        }
        agency.settle().await;
        agency.end()
    });
    SEED.set(None);
    seen
}

/// Torments clusters of some seeds, or that of the only one.
fn torment(protocol: Protocol) {
    let number = |name| std::env::var(name).ok().map(|it| it.parse().expect("it is a number"));
    let mut tally = Tally::default();
    match number("PAUSED_SEED") {
        Some(seed) => tally.merge(&run(seed, protocol).1),
        None => {
            let seeds = 0..number("PAUSED_SAGA_SEEDS").unwrap_or(SEEDS);
            seeds.for_each(|seed| tally.merge(&run(seed, protocol).1));
            for (what, least) in ENOUGH {
                assert!(tally.of(what) >= least, "{what}: not {least} times; all: {tally:#?}");
            }
        }
    }
}

/// What must have happened in all runs together, at the least.
const ENOUGH: [(&str, u64); 9] = [
    ("caller gone", 100),
    ("caller told", 200),
    ("request doubled", 200),
    ("request lost", 100),
    ("reply lost", 100),
    ("request too late", 10),
    ("trip completed", 200),
    ("trip refused", 100),
    ("transfer", 10),
];

// Goal: whatever befalls the nodes that carry sagas out (crashes, partitions, pauses, bad disks, wrong
// clocks, transfers), each saga ends whole, each effect comes about once, no deadline is early, and
// all replicas hold the same; callers that go away change nothing for theirs.
// Method: clusters of three or five nodes for ten virtual minutes each, from seeds.
#[test]
fn s35_sagas_end_whole_under_faults() {
    torment(Protocol::Raft);
}

// Goal: the same holds under Multi-Paxos.
#[test]
fn s35_sagas_end_whole_under_faults_of_multi_paxos() {
    torment(Protocol::MultiPaxos);
}

// Goal: a seed of sagas stands for one run, too.
#[test]
fn same_seed_same_sagas() {
    assert_eq!(run(7, Protocol::Raft), run(7, Protocol::Raft));
}

// Goal: when the lead goes from node to node during every step and every compensation, each effect
// comes about once.
// Method: transfers all the time, until every step and every compensation was asked for by two nodes.
#[test]
fn s35_leader_changes_in_every_step() {
    for protocol in Protocol::ALL {
        paused(async {
            let agency = Agency::open(3, protocol, Random::new(35)).await;
            let callers = (0..4).map(|caller| spawn_local(Rc::clone(&agency).call(caller)));
            let mut tasks: Vec<_> = callers.collect();
            tasks.push(spawn_local(Rc::clone(&agency).transfer(1_500)));
            let actions = (0..STEPS).map(|step| (StepId(step), false));
            let all = actions.chain((0..UNDONE).map(|step| (StepId(step), true))).collect();
            let due = Instant::now() + Duration::from_secs(3_600);
            while agency.services.handed_over() != all {
                assert!(Instant::now() < due, "only {:?}", agency.services.handed_over());
                sleep(Duration::from_secs(1)).await;
            }
            agency.over.set(true);
            for task in tasks {
                task.await.expect("it comes to an end");
            }
            agency.settle().await;
            agency.end();
        });
    }
}

// Goal: wall clocks that jump by an hour, either way, bring no deadline nearer and cost nobody the
// lead: all trips end as they would have.
// Method: the clocks of all nodes jump to and fro every second, for so long that a deadline that goes
// by them would have passed.
#[test]
fn s37_clock_jumps_change_nothing() {
    for protocol in Protocol::ALL {
        paused(async {
            let agency = Agency::open(3, protocol, Random::new(37)).await;
            let leader = agency.leader().await;
            agency.order_many(0..40).await;
            for second in 0..60 {
                for node in agency.world.ids() {
                    let hour = [0, 3_600_000, -3_600_000][((second + node) % 3) as usize];
                    agency.world.set_wall(node, hour);
                }
                sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(agency.leader().await, leader);
            agency.settle().await;
            let tally = agency.end().1;
            assert_eq!(tally.of("trip completed") + tally.of("trip refused"), 40);
            assert_eq!(tally.of("trip too late"), 0);
        });
    }
}

// Goal: sagas that the node in charge does not know are stuck, visibly, and go on by themselves as
// soon as a node is there that knows all that are needed, whether it was there before or is started.
// Method: a node that knows trips has others lead that do not; then it dies while trips are under way,
// and another is started anew, with what it lacked.
#[test]
fn s14_node_that_knows_takes_over() {
    for protocol in Protocol::ALL {
        paused(async {
            let agency = Agency::open_but((3, &[2, 3]), protocol, Random::new(14)).await;
            let knows = agency.of(1).expect("it lives");
            knows.transfer(Some(2)).deadline("60s").await.expect("it is fit to lead");
            let run = knows.start_once("0", agency.order(0)).await.expect("it serves");
            let told = run.wait().await.expect("it serves");
            let Saga::Stuck { step: None, cause, .. } = told else { panic!("{told:?}") };
            assert!(cause.contains("on the node in charge; register the type"), "{cause}");
            let stuck = knows.stuck(None).await.expect("it serves");
            assert_eq!(stuck.iter().map(|it| it.id).collect::<Vec<_>>(), [run.id()]);
            agency.await_end(1).await;
            assert_eq!(agency.leader().await, 1);

            agency.order_many(1..10).await;
            agency.world.bury(1, true);
            let ignorant = agency.of(agency.leader().await).expect("it lives");
            while ignorant.stuck(None).await.map_or(0, |stuck| stuck.len()) == 0 {
                sleep(Duration::from_secs(1)).await;
            }
            agency.ignorant.borrow_mut().clear();
            agency.world.bury(3, false);
            agency.world.start(3).await;
            agency.await_end(3).await;
            agency.world.start(1).await;
            agency.world.bury(2, false);
            agency.world.start(2).await;
            agency.settle().await;
            agency.end();
        });
    }
}

// Goal: what a saga of three steps costs that is alone on three nodes is what the documentation says:
// commands to the group of the logs, syncs of each disk, frames between nodes.
// Method: it is started where the sagas are carried out, and its steps have nothing to do.
#[test]
fn lone_saga_costs_what_is_said() {
    for protocol in Protocol::ALL {
        paused(async {
            let agency = Agency::open(3, protocol, Random::new(3)).await;
            let leader = agency.leader().await;
            let sagas = agency.of(leader).expect("it lives");
            let errand = async || {
                let run = sagas.start(Errand).await.expect("it serves");
                assert_eq!(run.wait().await.expect("it ends"), Saga::Completed(2));
            };
            errand().await;
            sleep(Duration::from_secs(5)).await;
            let seen = || {
                let committed = agency.world.status(leader).expect("it lives").committed.0;
                let disks = agency.world.ids().into_iter();
                let disks = disks.map(|node| agency.world.platter(node).seen().1.of("sync"));
                let frames = agency.world.seen().1.of("frame");
                [committed, frames].into_iter().chain(disks).collect::<Vec<u64>>()
            };
            let before = seen();
            errand().await;
            let spent = seen().into_iter().zip(before).map(|(after, before)| after - before);
            // It is begun; then comes a write before each step, and one behind the last. Each goes to
            // two nodes, which answer.
            assert_eq!(spent.collect::<Vec<_>>(), [5, 20, 5, 5, 5], "{protocol:?}");
            agency.end();
        });
    }
}

// Goal: an executor that is parted from the majority gets nowhere, and asks for nothing that it had
// not asked for before; the others end its sagas and those that come, and once the network is whole
// all hold the same.
// Method: the leader is isolated among forty trips; what it asked for and what its replica holds are
// compared a second and two minutes later.
#[test]
fn s36_parted_executor_asks_for_nothing_new() {
    for protocol in Protocol::ALL {
        paused(async {
            let agency = Agency::open(3, protocol, Random::new(36)).await;
            agency.order_many(0..40).await;
            let old = agency.leader().await;
            let others = agency.world.ids().into_iter().filter(|node| *node != old);
            let pairs = others.flat_map(|node| [(old, node), (node, old)]).collect::<Vec<_>>();
            agency.world.wire.part(&pairs, Parting::Lose);
            sleep(Duration::from_secs(1)).await;
            let stale = agency.of(old).expect("it lives");
            let then = (agency.services.asked_by(old), stale.replica().await);
            sleep(Duration::from_secs(30)).await;
            let leader = agency.leader().await;
            assert_ne!(leader, old, "the majority goes on");
            agency.order_many(40..60).await;
            sleep(Duration::from_secs(90)).await;
            let sagas = agency.of(leader).expect("it lives");
            assert_eq!(sagas.list(None).await.expect("it serves"), [], "the majority ended all");
            assert!(then == (agency.services.asked_by(old), stale.replica().await));
            assert!(!then.0.is_empty(), "it was at work");
            agency.world.wire.heal();
            agency.settle().await;
            agency.end();
        });
    }
}

// Goal: a sync that fails ends the node that carries sagas out: nothing is pretended, another goes
// on, each effect comes about once, and what the node finds on its disk later is no other story.
// Method: the leader's disk fails at some sync among forty trips, and stays away until all have ended.
#[test]
fn s12_failed_sync_ends_the_executor() {
    for (sync, protocol) in [1, 3, 7].into_iter().flat_map(|it| Protocol::ALL.map(|of| (it, of))) {
        paused(async {
            let agency = Agency::open(3, protocol, Random::new(12 + sync)).await;
            agency.order_many(0..40).await;
            let old = agency.leader().await;
            agency.world.platter(old).set_trap(Trap::FailedSync, sync);
            let due = Instant::now() + RECOVERY;
            while agency.world.living(old).is_some() {
                assert!(Instant::now() < due, "its disk did not fail");
                sleep(Duration::from_millis(100)).await;
            }
            assert!(agency.world.platter(old).has_failed());
            assert_ne!(agency.leader().await, old);
            agency.await_end(agency.leader().await).await;
            faults::calm(&agency.world).await;
            agency.settle().await;
            let (_, tally) = agency.end();
            assert_eq!(tally.of("sync failed"), 1);
        });
    }
}
