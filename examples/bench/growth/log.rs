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
use consensus_actors::{Error, MemoryCluster, Result};
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

/// How often it is measured at each position, by turns with the first; what is in the middle counts.
const ROUNDS: usize = 7;

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
    let at_first = || {
        let mut course = begin()?;
        course.advance_to(FIRST, place.1);
        Ok::<_, Error>((course.cost(), course))
    };
    let mut course = at_first()?.1;
    for position in LATER {
        course.advance_to(position, place.1);
        let position = course.position;
        let resident = resident_bytes(std::process::id())?;
        // By turns with a young log, so that both bear what else the machine does.
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            first.push(at_first()?.0);
            later.push(course.cost());
        }
        let ratio = ratio(&first, &later);
        let (first, later) = (Cost::middle(first), Cost::middle(later));
        report.fact(json!({
            "mode": "growth-log",
            "cluster": place.0,
            "position": position,
            "cpu_us": rounded(later.cpu_us),
            "cpu_us_at_first": rounded(first.cpu_us),
            "cpu_ratio": rounded(ratio),
            "ops_per_s": later.ops_per_s.round(),
            "ops_per_s_at_first": first.ops_per_s.round(),
            "first": FIRST,
            "resident_mib": resident >> 20,
        }));
    }
    Ok(())
}

/// Returns by how much more the later commands cost: what is in the middle of all rounds.
fn ratio(first: &[Cost], later: &[Cost]) -> f64 {
    let ratios = first.iter().zip(later).map(|(first, later)| later.cpu_us / first.cpu_us);
    middle(ratios.collect(), f64::total_cmp)
}

fn middle<T: Copy>(mut all: Vec<T>, order: impl FnMut(&T, &T) -> std::cmp::Ordering) -> T {
    all.sort_unstable_by(order);
    all[all.len() / 2]
}

/// What a command costs.
#[derive(Clone, Copy)]
struct Cost {
    /// The time that the leader's process has a processor for it; with what else lives there.
    cpu_us: f64,
    ops_per_s: f64,
}

impl Cost {
    fn middle(costs: Vec<Self>) -> Self {
        middle(costs, |a, b| a.cpu_us.total_cmp(&b.cpu_us))
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
