//! A snapshot of a gigabyte while clients write: for how long it holds them up.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use consensus_actors::{Error, Result, prelude::*};
use serde_json::json;

use crate::{
    cast::Cast,
    cluster::{Led, Member, NODES, Scene},
    report::{Report, rounded},
};

/// How many items there are, of a kibibyte each.
const ITEMS: u64 = 1_000_000;

/// How many of them a command brings.
const FILL: u64 = 10_000;

/// What the group is called.
pub(crate) const NAME: &str = "shelf";

/// A state that is copied for a snapshot, item by item.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft, snapshot(every = 1_000_000_000, bytes = "1024GiB"))]
pub(crate) struct Copied {
    items: BTreeMap<u64, String>,
}

#[replicated]
impl Copied {
    /// Puts `count` items at `from` and after it.
    #[command]
    fn fill(&mut self, from: u64, count: u64) {
        self.items.extend((from..from + count).map(|at| (at, item(at))));
    }

    /// Puts an item at `at`.
    #[command]
    fn put(&mut self, at: u64) {
        self.items.insert(at, item(at));
    }
}

/// How many items share a board.
const BOARD: u64 = 100;

/// A state of boards that its copies share; the one that is written to is copied then.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft, snapshot(every = 1_000_000_000, bytes = "1024GiB"))]
pub(crate) struct Shared {
    boards: BTreeMap<u64, Arc<BTreeMap<u64, String>>>,
}

#[replicated]
impl Shared {
    /// Puts `count` items at `from` and after it.
    #[command]
    fn fill(&mut self, from: u64, count: u64) {
        for at in from..from + count {
            Arc::make_mut(self.boards.entry(at / BOARD).or_default()).insert(at, item(at));
        }
    }

    /// Puts an item at `at`.
    #[command]
    fn put(&mut self, at: u64) {
        Arc::make_mut(self.boards.entry(at / BOARD).or_default()).insert(at, item(at));
    }
}

fn item(at: u64) -> String {
    format!("{at:01024}")
}

/// The two are called alike.
trait Shelf: Clone + Send + 'static {
    const CAST: Cast;

    async fn host(node: Node) -> Result<Self>;

    async fn fill(&self, from: u64) -> Result;

    fn put(&self, at: u64) -> impl Future<Output = Result> + Send;
}

macro_rules! shelves {
    ($($client:ty: $state:ident),+ $(,)?) => {
        $(impl Shelf for $client {
            const CAST: Cast = Cast::$state;

            async fn host(node: Node) -> Result<Self> {
                let client = node.host::<$state>(NAME).own_thread().await?;
                client.client().transfer(Some(1)).deadline("20s").await?;
                Ok(client)
            }

            async fn fill(&self, from: u64) -> Result {
                Self::fill(self, from, FILL).deadline("30s").await
            }

            async fn put(&self, at: u64) -> Result {
                Self::put(self, at).deadline("30s").await
            }
        })+
    };
}

shelves!(CopiedClient: Copied, SharedClient: Shared);

/// Measures both kinds of state.
pub(crate) fn measure(scene: &Scene<'_>, report: &mut Report) -> Result {
    shelf::<CopiedClient>(scene, report)?;
    shelf::<SharedClient>(scene, report)
}

fn shelf<S: Shelf>(scene: &Scene<'_>, report: &mut Report) -> Result {
    let led = Led::start(scene, (NODES, S::CAST), S::host)?;
    led.runtime.block_on(async {
        for from in (0..ITEMS).step_by(FILL as usize) {
            led.hosted.fill(from).await?;
        }
        Ok::<_, Error>(())
    })?;
    let watch = Arc::new(Watch::default());
    for number in 0..scene.clients as u64 {
        led.arbiter().spawn(Arc::clone(&watch).client(led.hosted.clone(), number));
    }
    thread::sleep(scene.span.warm_up);
    let told = led.members.told.clone();
    let took = |ids: &[u64]| {
        watch.begin();
        let began = Instant::now();
        match ids.is_empty() {
            true => thread::sleep(scene.span.measured),
            false => save(&told, ids)?,
        }
        Ok::<_, Error>(began.elapsed())
    };
    for ids in [&[][..], &[1], &[1, 2, 3]] {
        let took = took(ids)?;
        let (operations, longest) = watch.read();
        report.fact(json!({
            "mode": "snapshot-gb",
            "state": S::CAST.name(),
            "clients": scene.clients,
            "snapshots": ids.len(),
            "seconds": rounded(took.as_secs_f64()),
            "ops_per_s": (operations as f64 / took.as_secs_f64()).round(),
            "longest_ms": rounded(longest.as_secs_f64() * 1e3),
        }));
    }
    watch.end();
    Ok(())
}

/// Has nodes take a snapshot, all at once; returns when they have.
fn save(told: &Member, ids: &[u64]) -> Result {
    let asked = ids.iter().map(|id| {
        let url = format!("http://{}/v1/groups/{NAME}/snapshots", told.http_address(*id));
        thread::spawn(move || ureq::post(&url).send_empty().map(drop))
    });
    let asked: Vec<_> = asked.collect();
    for answer in asked {
        let answer = answer.join().expect("nothing here panics");
        answer.map_err(std::io::Error::other)?;
    }
    Ok(())
}

/// What clients see meanwhile.
#[derive(Default)]
struct Watch {
    operations: AtomicU64,
    longest_nanos: AtomicU64,
    ended: AtomicBool,
}

impl Watch {
    /// Runs a client that puts one item after the other until the watch ends.
    async fn client(self: Arc<Self>, shelf: impl Shelf, number: u64) {
        let mut at = number.wrapping_mul(7_919);
        while !self.ended.load(Ordering::Relaxed) {
            let began = Instant::now();
            shelf.put(at % ITEMS).await.expect("the cluster serves while it is measured");
            at = at.wrapping_add(0x9e37_79b9);
            let took = began.elapsed().as_nanos() as u64;
            self.operations.fetch_add(1, Ordering::Relaxed);
            self.longest_nanos.fetch_max(took, Ordering::Relaxed);
        }
    }

    /// Forgets what was.
    fn begin(&self) {
        self.operations.store(0, Ordering::Relaxed);
        self.longest_nanos.store(0, Ordering::Relaxed);
    }

    /// Returns how many calls ended, and how long the longest took.
    fn read(&self) -> (u64, Duration) {
        let longest = Duration::from_nanos(self.longest_nanos.load(Ordering::Relaxed));
        (self.operations.load(Ordering::Relaxed), longest)
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
