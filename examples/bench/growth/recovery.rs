//! How long a node takes from its start until it answers, with a long log and no snapshot.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use consensus_actors::{Result, prelude::*};
use serde_json::json;

use crate::{
    cast::Cast,
    cluster::{Led, Members, Scene, gather},
    load,
    report::{Report, rounded, say},
};

/// How many entries the log has; with few, it is the elections that are measured.
const ENTRIES: [u64; 2] = [1_000, 1_000_000];

/// What the group is called.
pub(crate) const NAME: &str = "log";

/// What a member says when it has read what it left behind, and when its first query is answered.
const HOSTED: &str = "hosted";
const SERVED: &str = "served";

/// How long members are given to end what clients have no part in.
const SETTLING: Duration = Duration::from_secs(2);

/// A map whose replicas take no snapshots.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft, snapshot(every = 1_000_000_000_000, bytes = "4096GiB"))]
pub(crate) struct Log {
    map: std::collections::BTreeMap<String, String>,
}

#[replicated]
impl Log {
    /// Sets `key`.
    #[command]
    fn put(&mut self, key: String, value: String) {
        self.map.insert(key, value);
    }

    /// Returns how many keys there are.
    #[query]
    fn count(&self) -> u64 {
        self.map.len() as u64
    }
}

/// Measures a single node, three that start at once, and one of three while the others serve.
pub(crate) fn measure(scene: &Scene<'_>, report: &mut Report) -> Result {
    for entries in ENTRIES {
        for nodes in [1, 3] {
            let mut members = filled(scene, (nodes, entries))?;
            for id in 2..=nodes {
                members.kill(id);
            }
            tell(report, entries, &restart(&mut members, 1..=nodes)?);
            if nodes > 1 {
                members.kill(nodes);
                tell(report, entries, &restart(&mut members, nodes..=nodes)?);
            }
        }
    }
    Ok(())
}

/// How long it took.
struct Took {
    nodes: u64,
    restarted: usize,
    /// Until the slowest had read its log.
    hosted: Duration,
    /// Until the first query of all was answered.
    served: Duration,
    /// Until each had answered one.
    all_served: Duration,
}

fn tell(report: &mut Report, entries: u64, took: &Took) {
    report.fact(json!({
        "mode": "recovery",
        "nodes": took.nodes,
        "restarted": took.restarted,
        "entries": entries,
        "hosted_s": rounded(took.hosted.as_secs_f64()),
        "first_served_s": rounded(took.served.as_secs_f64()),
        "all_served_s": rounded(took.all_served.as_secs_f64()),
    }));
}

/// Makes a cluster whose log has the entries, and ends this process's part in it.
fn filled(scene: &Scene<'_>, (nodes, entries): (u64, u64)) -> Result<Members> {
    let led = Led::start(scene, (nodes, Cast::Log), async |node| {
        let client = node.host::<Log>(NAME).await?;
        client.client().transfer(Some(1)).deadline("20s").await?;
        Ok(client)
    })?;
    let next = Arc::new(AtomicU64::new(0));
    let value = "v".repeat(load::VALUE_BYTES);
    gather(scene.clients, |_| {
        let (client, value, next) = (led.hosted.clone(), value.clone(), Arc::clone(&next));
        let puts = async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= entries {
                    return;
                }
                let put = client.put(load::key(number), value.clone());
                put.await.expect("the cluster serves while it is filled");
            }
        };
        (led.arbiter(), puts)
    });
    thread::sleep(SETTLING);
    Ok(led.into_members())
}

/// Starts members, and waits until they answer.
fn restart(members: &mut Members, ids: std::ops::RangeInclusive<u64>) -> Result<Took> {
    let began = Instant::now();
    let mut each = Vec::new();
    for id in ids {
        members.spawn(id)?;
        let mut words = members.words(id);
        each.push(thread::spawn(move || {
            words.await_word(HOSTED);
            let hosted = began.elapsed();
            words.await_word(SERVED);
            (hosted, began.elapsed())
        }));
    }
    let restarted = each.len();
    let times = each.into_iter().map(|thread| thread.join().expect("a member answers"));
    let (hosted, served): (Vec<_>, Vec<_>) = times.unzip();
    let longest = |times: &[Duration]| times.iter().max().copied().unwrap_or_default();
    Ok(Took {
        nodes: members.addresses().len() as u64,
        restarted,
        hosted: longest(&hosted),
        served: served.iter().min().copied().unwrap_or_default(),
        all_served: longest(&served),
    })
}

/// Asks until there is an answer, and says so: what a member does once it hosts the log.
pub(crate) async fn serve(client: LogClient) -> Result {
    say(HOSTED);
    client.count().linearizable().deadline("120s").await?;
    say(SERVED);
    Ok(())
}
