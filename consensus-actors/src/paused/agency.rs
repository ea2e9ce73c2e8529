//! A cluster under a paused clock that carries trips out, and those who order them.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    rc::Rc,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{
    RECOVERY,
    random::{Random, Trace},
    tally::Tally,
    trips::{DEADLINE, Errand, STEPS, Services, Trip},
    world::{Work, World},
};
use crate::{
    Protocol,
    saga::{Saga, SagaId, Sagas},
};

/// The group of the sagas' logs.
const TRIPS: &str = "trips";

/// A cluster whose nodes carry trips out.
pub(super) struct Agency {
    pub(super) world: Rc<World>,
    pub(super) services: Services,
    sagas: Rc<RefCell<BTreeMap<u64, Sagas>>>,
    /// When each was asked for first, with its input.
    orders: RefCell<BTreeMap<u64, (Instant, Trip)>>,
    /// The nodes that know no trips when they are started.
    pub(super) ignorant: Rc<RefCell<BTreeSet<u64>>>,
    random: RefCell<Random>,
    pub(super) over: Cell<bool>,
}

impl Agency {
    /// Opens one on so many nodes, all of which live.
    pub(super) async fn open(nodes: u64, protocol: Protocol, random: Random) -> Rc<Self> {
        Self::open_but((nodes, &[]), protocol, random).await
    }

    /// Opens one where some nodes know no trips.
    pub(super) async fn open_but(
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
                let hosting =
                    if knows { hosting.register::<Trip>().register::<Errand>() } else { hosting };
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
    pub(super) fn of(&self, node: u64) -> Option<Sagas> {
        self.world.living(node)?;
        self.sagas.borrow().get(&node).cloned()
    }

    /// Returns the sagas of some node that lives.
    fn any(&self) -> Option<Sagas> {
        let node = self.random.borrow_mut().pick(&self.world.ids());
        self.of(node)
    }

    /// Waits until a node leads, and returns it.
    pub(super) async fn leader(&self) -> u64 {
        loop {
            if let Some(leader) = self.world.leader().filter(|node| self.of(*node).is_some()) {
                return leader;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Notes an order and returns its input: half of them have a step that is refused.
    pub(super) fn order(&self, number: u64) -> Trip {
        let step = self.random.borrow_mut().between(0, u64::from(STEPS) * 2) as u16;
        // Behind what decides nothing is refused.
        let trip = Trip { refused: Some(step).filter(|step| *step < STEPS - 1) };
        self.orders.borrow_mut().insert(number, (Instant::now(), trip.clone()));
        trip
    }

    /// Orders trips until it is over, and leaves some of them alone in the middle.
    pub(super) async fn call(self: Rc<Self>, caller: u64) {
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
    pub(super) async fn transfer(self: Rc<Self>, longest: u64) {
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

    /// Orders so many trips, of which nobody waits for any.
    pub(super) async fn order_many(&self, numbers: Range<u64>) {
        for number in numbers {
            let trip = self.order(number);
            let sagas = self.of(self.leader().await).expect("the leader lives");
            drop(sagas.start_once(&number.to_string(), trip).await.expect("the cluster serves"));
        }
    }

    /// Waits until no saga is left, as a node sees it.
    pub(super) async fn await_end(&self, node: u64) {
        let due = Instant::now() + RECOVERY * 5;
        loop {
            let sagas = self.of(node).expect("it lives");
            if sagas.list(None).await.is_ok_and(|left| left.is_empty()) {
                return;
            }
            assert!(Instant::now() < due, "some are left");
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Demands that every trip ends, whole, and that all replicas come to hold the same.
    pub(super) async fn settle(&self) {
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

    pub(super) fn end(&self) -> (Trace, Tally) {
        self.world.ids().into_iter().for_each(|node| self.world.bury(node, false));
        let (trace, mut tally) = self.world.seen();
        tally.merge(&self.services.tally());
        (trace, tally)
    }
}
