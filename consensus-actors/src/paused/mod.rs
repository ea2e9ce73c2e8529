//! The actor layer, run whole: clusters in one thread under tokio's paused clock, the same from the
//! same seed.
//!
//! Everything is what production runs but the disk, the network, the calendar and chance, which are
//! injected ([`Parts`](crate::node::launch::Parts)), and the threads: a node's actors and its
//! journal are sets of tasks, polled by one task, so that a node can stand still or die between any
//! two of its steps. A dead node's disk and network refuse it from that moment on.

mod callers;
mod chronicle;
mod disk;
mod faults;
mod history;
mod network;
mod pipe;
mod pulse;
mod random;
mod tally;
mod world;

use std::{cell::Cell, io::Write, rc::Rc, sync::Once, time::Duration};

use tokio::{
    task::{LocalSet, spawn_local},
    time::{Instant, sleep},
};

use self::{
    history::Ask,
    random::{Random, Trace},
    tally::Tally,
    world::World,
};

/// How many clusters are tormented.
const SEEDS: u64 = 100;

/// How long a cluster without faults may take until every node serves, and until all hold the same.
const RECOVERY: Duration = Duration::from_secs(60);

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Says which seed failed, even when an actor's panic ends the process.
fn tell_seeds() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if let Some(seed) = SEED.get() {
                let text = format!(
                    "seed {seed} failed: {panic}\nalone: PAUSED_SEED={seed} cargo test -p \
                     consensus-actors paused\n"
                );
                std::io::stderr().write_all(text.as_bytes()).ok();
            }
            before(panic);
        }));
    });
}

/// Runs `test` on a paused clock, in this thread.
fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without input and output");
    LocalSet::new().block_on(&runtime, test)
}

/// Torments the cluster of `seed` and judges it.
fn run(seed: u64) -> (Trace, Tally) {
    tell_seeds();
    SEED.set(Some(seed));
    let seen = paused(async {
        let mut random = Random::new(seed);
        let world = World::new(random.pick(&[3, 3, 5]), random.fork());
        for node in world.ids() {
            world.start(node).await;
        }
        let callers: Vec<_> = (1..=5)
            .map(|caller| spawn_local(callers::run(Rc::clone(&world), caller, random.fork())))
            .collect();
        faults::torment(&world, random.fork()).await;
        world.over.set(true);
        for caller in callers {
            caller.await.expect("a caller comes to an end");
        }

        let names = settle(&world, 1).await;
        world.ids().into_iter().for_each(|node| world.bury(node, true));
        faults::calm(&world).await;
        let after = settle(&world, 2).await;
        assert!(after.starts_with(&names), "a restart of all lost what was there");
        world.history.borrow().check(&after);
        world.ids().into_iter().for_each(|node| world.bury(node, true));
        world.seen()
    });
    SEED.set(None);
    seen
}

/// Demands that every node serves, and that all hold the same; returns what they hold.
async fn settle(world: &Rc<World>, round: u64) -> Vec<u64> {
    let began = Instant::now();
    for node in world.ids() {
        let living = world.living(node).expect("all nodes were started");
        let ask = Ask::Note(u64::MAX / 4 * round + node);
        assert!(callers::call(world, living.clone(), ask, RECOVERY).await, "node {node} serves");
        let ask = Ask::Query(node);
        assert!(callers::call(world, living, ask, RECOVERY).await, "node {node} serves");
    }
    loop {
        let states = world.states().await;
        if states.len() == world.ids().len() && states.iter().all(|state| *state == states[0]) {
            return states[0].names().to_vec();
        }
        assert!(began.elapsed() < RECOVERY, "the replicas do not come to hold the same");
        sleep(Duration::from_secs(1)).await;
    }
}

// Goal: under every fault that a service must survive, what callers are told is true, commands
// apply once, histories are linearizable, and once the faults are over every node serves and all
// hold the same.
// Method: a hundred clusters of three or five nodes for ten virtual minutes each, from seeds, on
// two threads; what did not happen often enough was not tested.
#[test]
fn hundred_seeds() {
    let seeds: Vec<u64> = match std::env::var("PAUSED_SEED") {
        Ok(seed) => vec![seed.parse().expect("PAUSED_SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    };
    let all = seeds.len() as u64 == SEEDS;
    let (odd, even): (Vec<u64>, Vec<u64>) = seeds.into_iter().partition(|seed| seed % 2 == 1);
    let threads = [odd, even].map(|seeds| {
        std::thread::spawn(move || {
            let mut tally = Tally::default();
            seeds.into_iter().for_each(|seed| tally.merge(&run(seed).1));
            tally
        })
    });
    let mut tally = Tally::default();
    for thread in threads {
        tally.merge(&thread.join().expect("every seed passes"));
    }
    eprintln!("{tally:#?}");
    if all {
        let _ = tally.of("call");
    }
}

// Goal: a seed stands for one run, to the last byte on wires and disks; else no failure could be
// looked into.
// Method: some seeds run twice, the second time in another thread and behind other seeds.
#[test]
fn same_seed_same_run() {
    let runs = [[1, 2, 3, 4], [4, 3, 2, 1]].map(|seeds| {
        std::thread::spawn(move || seeds.map(|seed| (seed, run(seed).0)))
    });
    let [first, mut second] = runs.map(|thread| thread.join().expect("every seed passes"));
    second.reverse();
    assert_eq!(first, second);
}
