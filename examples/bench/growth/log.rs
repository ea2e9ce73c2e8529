//! What a command costs as the log grows: it should cost what the first ones did.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_rt::ArbiterHandle;
use consensus_actors::{MemoryCluster, Result};
use serde_json::json;

use super::process::{own_processor_time, resident_bytes};
use crate::{
    cluster::{Led, Scene, client_of_leader, gather},
    load,
    map::{Map, MapClient},
    report::{Report, rounded},
};

/// Where in the log it is measured first.
const FIRST: u64 = 1_000;

/// And where later.
const LATER: [u64; 2] = [100_000, 10_000_000];

/// Over how many commands it is measured: a multiple of those between two snapshots, so that each
/// window bears as many.
const WINDOW: u64 = 50_000;

/// How often it is measured at each position; what is in the middle counts.
const ROUNDS: usize = 5;

/// How many keys there are: so few that the state is as large at the first position as at the last.
const FEW_KEYS: u64 = 100;

/// Which cluster it is, and how long the way to a position may be: where it ends is measured
/// instead.
type Place = (&'static str, Duration);

const MEMORY: Place = ("memory", Duration::from_secs(300));
const DISK: Place = ("disk", Duration::from_secs(60));

/// Measures a cluster in memory, then one of three processes.
pub(crate) fn measure(scene: &Scene<'_>, report: &mut Report) -> Result {
    positions(MEMORY, report, || {
        let cluster = MemoryCluster::start(3)?;
        let runtime = actix_rt::System::new();
        let clients: Vec<MapClient> = runtime.block_on(cluster.host::<Map>("map"))?;
        let client = runtime.block_on(client_of_leader(&clients))?;
        let arbiter = cluster.nodes()[0].arbiter();
        Ok(Course::begin(scene, (client, arbiter), (cluster, runtime)))
    })?;
    positions(DISK, report, || {
        let led = Led::maps(scene)?;
        let place = (led.hosted[0].clone(), led.arbiter());
        Ok(Course::begin(scene, place, led))
    })
}

fn positions(place: Place, report: &mut Report, begin: impl Fn() -> Result<Course>) -> Result {
    // So early, each round needs a cluster of its own; the last goes on.
    let mut costs = Vec::new();
    for _ in 1..ROUNDS {
        let mut course = begin()?;
        course.advance_to(FIRST, place.1);
        costs.push(course.cost());
    }
    let mut course = begin()?;
    course.advance_to(FIRST, place.1);
    costs.push(course.cost());
    let first = Cost::middle(&mut costs);
    tell(report, (place.0, FIRST), (first, first))?;
    for position in LATER {
        course.advance_to(position, place.1);
        let position = course.position;
        let mut costs = [(); ROUNDS].map(|()| course.cost());
        tell(report, (place.0, position), (Cost::middle(&mut costs), first))?;
    }
    Ok(())
}

fn tell(
    report: &mut Report,
    (cluster, position): (&str, u64),
    (cost, first): (Cost, Cost),
) -> Result {
    let resident = resident_bytes(std::process::id())?;
    report.fact(json!({
        "mode": "growth-log",
        "cluster": cluster,
        "position": position,
        "cpu_us": rounded(cost.cpu_us),
        "cpu_ratio": rounded(cost.cpu_us / first.cpu_us),
        "ops_per_s": cost.ops_per_s.round(),
        "resident_mib": resident >> 20,
    }));
    Ok(())
}

/// What a command costs.
#[derive(Clone, Copy)]
struct Cost {
    /// The time that the leader's process has a processor for it; with what else lives there.
    cpu_us: f64,
    ops_per_s: f64,
}

impl Cost {
    fn middle(costs: &mut [Self]) -> Self {
        costs.sort_unstable_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
        costs[costs.len() / 2]
    }
}

/// A cluster, and how far its log has come.
struct Course {
    client: MapClient,
    arbiter: ArbiterHandle,
    clients: usize,
    position: u64,
    _cluster: Box<dyn Any>,
}

impl Course {
    fn begin(
        scene: &Scene<'_>,
        (client, arbiter): (MapClient, ArbiterHandle),
        cluster: impl Any,
    ) -> Self {
        let _cluster = Box::new(cluster);
        Self { client, arbiter, clients: scene.clients, position: 0, _cluster }
    }

    /// Goes on until the log has so many commands, or for as long as it may take.
    fn advance_to(&mut self, position: u64, limit: Duration) {
        let began = Instant::now();
        while self.position < position && began.elapsed() < limit {
            self.put(WINDOW.min(position - self.position));
        }
    }

    /// Goes on by a window, and tells what that cost this process: the leader's.
    fn cost(&mut self) -> Cost {
        let (began, before) = (Instant::now(), own_processor_time());
        self.put(WINDOW);
        let (used, took) = (own_processor_time() - before, began.elapsed());
        let window = WINDOW as f64;
        Cost { cpu_us: used.as_secs_f64() * 1e6 / window, ops_per_s: window / took.as_secs_f64() }
    }

    /// Has the clients put so many values.
    fn put(&mut self, count: u64) {
        let value = "v".repeat(load::VALUE_BYTES);
        let upto = self.position + count;
        let next = Arc::new(AtomicU64::new(self.position));
        gather(self.clients, |_| {
            let (client, value, next) = (self.client.clone(), value.clone(), Arc::clone(&next));
            let puts = async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= upto {
                        return;
                    }
                    let put = client.put(load::key(number % FEW_KEYS), value.clone());
                    put.await.expect("the cluster serves while it is measured");
                }
            };
            (self.arbiter.clone(), puts)
        });
        self.position = upto;
    }
}
