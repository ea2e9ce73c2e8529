//! Sagas of clusters under a paused clock, with faults from seeds: their executors crash, are parted
//! from the others, stand still and hand over, and each effect comes about once.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use tokio::{
    task::spawn_local,
    time::{Instant, sleep, timeout},
};

use super::{
    RECOVERY, SEED,
    disk::Trap,
    faults,
    network::Parting,
    paused,
    random::{Random, Trace},
    tally::Tally,
    tell_seeds,
    trips::{DEADLINE, STEPS, Services, Trip, UNDONE},
    world::{Work, World},
};
use crate::{
    Protocol,
    saga::{Saga, SagaId, Sagas, StepId},
};

/// How many clusters carry sagas out under each protocol; `PAUSED_SAGA_SEEDS` has it be more.
const SEEDS: u64 = 2;

/// The group of the sagas' logs.
const TRIPS: &str = "trips";

/// A cluster whose nodes carry trips out.
struct Agency {
    world: Rc<World>,
    services: Services,
    sagas: Rc<RefCell<BTreeMap<u64, Sagas>>>,
    /// When each was asked for first, with its input.
    orders: RefCell<BTreeMap<u64, (Instant, Trip)>>,
    /// The nodes that know no trips when they are started.
    ignorant: Rc<RefCell<BTreeSet<u64>>>,
    random: RefCell<Random>,
    over: Cell<bool>,
}

impl Agency {
    /// Opens one on so many nodes, all of which live.
    async fn open(nodes: u64, protocol: Protocol, random: Random) -> Rc<Self> {
        Self::open_but((nodes, &[]), protocol, random).await
    }

    /// Opens one where some nodes know no trips.
    async fn open_but(
        (nodes, ignorant): (u64, &[u64]),
        protocol: Protocol,
        mut random: Random,
    ) -> Rc<Self> {
        let world = World::new(nodes, random.fork());
        world.protocol.set(protocol);
        world.watched.set(TRIPS);
        let (services, door) = Services::open(random.fork());
        let sagas = Rc::<RefCell<BTreeMap<u64, Sagas>>>::default();
        let of_nodes = Rc::clone(&sagas);
        let ignorant = Rc::new(RefCell::new(ignorant.iter().copied().collect::<BTreeSet<_>>()));
        let ignore = Rc::clone(&ignorant);
        let work: Work = Rc::new(move |node| {
            let (of_nodes, door) = (Rc::clone(&of_nodes), door(node.id()));
            let knows = !ignore.borrow().contains(&node.id());
            Box::pin(async move {
                let hosting = node.sagas(TRIPS).with(door).protocol(protocol);
                let hosting = if knows { hosting.register::<Trip>() } else { hosting };
                // Who dies before it is there hosts nothing.
                let Ok(hosted) = hosting.await else { return };
                of_nodes.borrow_mut().insert(node.id(), hosted);
            })
        });
        world.work.replace(Some(work));
        for node in world.ids() {
            world.start(node).await;
        }
        let (orders, over) = (RefCell::default(), Cell::new(false));
        let random = RefCell::new(random);
        let agency = Rc::new(Self { world, services, sagas, orders, ignorant, random, over });
        agency.leader().await;
        agency
    }

    /// Returns the sagas of a node that lives.
    fn of(&self, node: u64) -> Option<Sagas> {
        self.world.living(node)?;
        self.sagas.borrow().get(&node).cloned()
    }

    /// Returns the sagas of some node that lives.
    fn any(&self) -> Option<Sagas> {
        let node = self.random.borrow_mut().pick(&self.world.ids());
        self.of(node)
    }

    /// Waits until a node leads, and returns it.
    async fn leader(&self) -> u64 {
        loop {
            if let Some(leader) = self.world.leader().filter(|node| self.of(*node).is_some()) {
                return leader;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Notes an order and returns its input: half of them have a step that is refused.
    fn order(&self, number: u64) -> Trip {
        let step = self.random.borrow_mut().between(0, u64::from(STEPS) * 2) as u16;
        // Behind what decides nothing is refused.
        let trip = Trip { refused: Some(step).filter(|step| *step < STEPS - 1) };
        self.orders.borrow_mut().insert(number, (Instant::now(), trip.clone()));
        trip
    }

    /// Orders trips until it is over, and leaves some of them alone in the middle.
    async fn call(self: Rc<Self>, caller: u64) {
        for number in 0.. {
            let pause = self.random.borrow_mut().between(500, 6_000);
            sleep(Duration::from_millis(pause)).await;
            if self.over.get() {
                return;
            }
            let number = caller << 32 | number;
            let trip = self.order(number);
            let (leaves, patience) = {
                let mut random = self.random.borrow_mut();
                (random.chance(300), Duration::from_millis(random.between(0, 2_000)))
            };
            let Some(sagas) = self.any() else { continue };
            let ordering = async {
                let run = sagas.start_once(&number.to_string(), trip).await.ok()?;
                run.wait().await.ok()
            };
            let left = match leaves {
                true => timeout(patience, ordering).await.is_err(),
                false => timeout(Duration::from_secs(60), ordering).await.is_err(),
            };
            self.world.count(if left { "caller gone" } else { "caller told" });
        }
    }

    /// Hands the sagas over again and again until it is over.
    async fn transfer(self: Rc<Self>, longest: u64) {
        while !self.over.get() {
            let pause = self.random.borrow_mut().between(100, longest);
            sleep(Duration::from_millis(pause)).await;
            let to = self.random.borrow_mut().pick(&self.world.ids());
            if let Some(sagas) = self.any() {
                let handed = sagas.transfer(Some(to)).deadline("5s").await;
                self.world.count(if handed.is_ok() { "transfer" } else { "transfer refused" });
            }
        }
    }

    /// Demands that every trip ends, whole, and that all replicas come to hold the same.
    async fn settle(&self) {
        let orders = self.orders.borrow().clone();
        for (number, (began, trip)) in orders {
            let due = Instant::now() + RECOVERY * 5;
            let (saga, ended) = loop {
                assert!(Instant::now() < due, "trip {number} does not end");
                if let Some(ended) = self.ask(number, &trip).await {
                    break ended;
                }
                sleep(Duration::from_millis(500)).await;
            };
            self.services.check(saga, &ended);
            self.world.count(match &ended {
                Saga::Completed(_) => "trip completed",
                Saga::Compensated { failed: Some(_), .. } => "trip refused",
                _ => "trip too late",
            });
            let late = matches!(&ended, Saga::Compensated { failed: None, .. });
            assert!(!late || began.elapsed() >= DEADLINE, "trip {number} is late early: {ended:?}");
        }
        self.agree().await;
    }

    /// Asks for a trip that may have been begun or not; returns how it ended, if it has.
    async fn ask(&self, number: u64, trip: &Trip) -> Option<(SagaId, Saga<u16>)> {
        let sagas = self.any()?;
        let run = sagas.start_once(&number.to_string(), trip.clone()).await.ok()?;
        let ended = timeout(RECOVERY, run.wait()).await.ok()?.ok()?;
        if let Saga::Stuck { .. } = ended {
            self.world.count("trip stuck");
            sagas.retry(run.id(), "all is well again").await.ok();
            return None;
        }
        Some((run.id(), ended))
    }

    /// Demands that all replicas come to hold the same.
    async fn agree(&self) {
        let due = Instant::now() + RECOVERY;
        loop {
            let mut states = Vec::new();
            for sagas in self.world.ids().into_iter().filter_map(|node| self.of(node)) {
                states.extend(sagas.replica().await);
            }
            let all = states.len() == self.world.ids().len();
            if all && states.iter().all(|state| *state == states[0]) {
                return;
            }
            assert!(Instant::now() < due, "the replicas do not come to hold the same");
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn end(&self) -> (Trace, Tally) {
        self.world.ids().into_iter().for_each(|node| self.world.bury(node, false));
        let (trace, mut tally) = self.world.seen();
        tally.merge(&self.services.tally());
        (trace, tally)
    }
}

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
            order_many(&agency, 0..40).await;
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
            await_end(&agency, 1).await;
            assert_eq!(agency.leader().await, 1);

            order_many(&agency, 1..10).await;
            agency.world.bury(1, true);
            let ignorant = agency.of(agency.leader().await).expect("it lives");
            while ignorant.stuck(None).await.map_or(0, |stuck| stuck.len()) == 0 {
                sleep(Duration::from_secs(1)).await;
            }
            agency.ignorant.borrow_mut().clear();
            agency.world.bury(3, false);
            agency.world.start(3).await;
            await_end(&agency, 3).await;
            agency.world.start(1).await;
            agency.world.bury(2, false);
            agency.world.start(2).await;
            agency.settle().await;
            agency.end();
        });
    }
}

/// Waits until no saga is left, as a node sees it.
async fn await_end(agency: &Agency, node: u64) {
    let due = Instant::now() + RECOVERY * 5;
    loop {
        let sagas = agency.of(node).expect("it lives");
        if sagas.list(None).await.is_ok_and(|left| left.is_empty()) {
            return;
        }
        assert!(Instant::now() < due, "some are left");
        sleep(Duration::from_secs(1)).await;
    }
}

/// Orders so many trips, of which nobody waits for any.
async fn order_many(agency: &Agency, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let trip = agency.order(number);
        let sagas = agency.of(agency.leader().await).expect("the leader lives");
        drop(sagas.start_once(&number.to_string(), trip).await.expect("the cluster serves"));
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
            order_many(&agency, 0..40).await;
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
            order_many(&agency, 40..60).await;
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
            order_many(&agency, 0..40).await;
            let old = agency.leader().await;
            agency.world.platter(old).set_trap(Trap::FailedSync, sync);
            let due = Instant::now() + RECOVERY;
            while agency.world.living(old).is_some() {
                assert!(Instant::now() < due, "its disk did not fail");
                sleep(Duration::from_millis(100)).await;
            }
            assert!(agency.world.platter(old).has_failed());
            assert_ne!(agency.leader().await, old);
            await_end(&agency, agency.leader().await).await;
            faults::calm(&agency.world).await;
            agency.settle().await;
            let (_, tally) = agency.end();
            assert_eq!(tally.of("sync failed"), 1);
        });
    }
}
