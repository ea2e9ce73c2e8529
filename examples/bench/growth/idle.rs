//! Groups that nobody calls: what they take of memory, and of the processors.

use std::{
    thread,
    time::{Duration, Instant},
};

use consensus_actors::{Node, Result};
use serde_json::json;

use super::process::{processor_share, resident_bytes};
use crate::{
    cast::Cast,
    cluster::{Members, NODES, Scene},
    map::{Map, MapClient},
    report::{Report, rounded, say},
};

/// How many groups there are.
pub(crate) const GROUPS: u64 = 1_000;

/// What a member says once each group has answered.
const SERVED: &str = "served";

/// For how long their use of the processors is measured.
const SPAN: Duration = Duration::from_secs(20);

/// How long they may take to come to rest; then they are measured as they are.
const REST_MAX: Duration = Duration::from_secs(60);

/// Measures three processes with the groups, and without.
pub(crate) fn measure(scene: &Scene<'_>, report: &mut Report) -> Result {
    let none = idle(scene, Cast::Nothing)?;
    let all = idle(scene, Cast::Idle)?;
    let group_bytes = all.resident.saturating_sub(none.resident) / GROUPS;
    report.fact(json!({
        "mode": "idle-groups",
        "groups": GROUPS,
        "resident_mib": all.resident >> 20,
        "resident_mib_without": none.resident >> 20,
        "group_kib": rounded(group_bytes as f64 / 1024.0),
        "cpu_percent": rounded(all.share * 100.0),
        "cpu_percent_without": rounded(none.share * 100.0),
        "seconds_to_serve": rounded(all.served.as_secs_f64()),
        "seconds_to_rest": rounded(all.rested.as_secs_f64()),
    }));
    Ok(())
}

/// How much a node uses that does nothing; of several, the one that uses most.
struct Idle {
    resident: u64,
    share: f64,
    /// How long it took from the start until each group had answered.
    served: Duration,
    /// How long it took from when all was served until nothing more was done.
    rested: Duration,
}

fn idle(scene: &Scene<'_>, cast: Cast) -> Result<Idle> {
    let started = Instant::now();
    let mut members = Members::start(scene, (NODES, cast), 1..=NODES)?;
    for id in 1..=NODES {
        members.words(id).await_word(SERVED);
    }
    let processes: Vec<u32> = members.processes().map(|(_, process)| process).collect();
    let (served, began) = (started.elapsed(), Instant::now());
    let mut before = f64::MAX;
    loop {
        let share = most(shares(&processes, Duration::from_secs(1))?);
        // At rest is who does as little as a moment ago.
        if share > before * 0.9 && share < before * 1.1 || began.elapsed() > REST_MAX {
            break;
        }
        before = share;
    }
    let rested = began.elapsed();
    let share = most(shares(&processes, SPAN)?);
    let mut resident = 0;
    for process in &processes {
        resident = resident.max(resident_bytes(*process)?);
    }
    Ok(Idle { resident, share, served, rested })
}

/// Returns the share of a processor that each process uses meanwhile.
fn shares(processes: &[u32], span: Duration) -> Result<Vec<f64>> {
    let each = processes.iter().map(|process| {
        let process = *process;
        thread::spawn(move || processor_share(process, span))
    });
    let each: Vec<_> = each.collect();
    let ended = each.into_iter().map(|thread| thread.join().expect("nothing here panics"));
    Ok(ended.collect::<std::io::Result<_>>()?)
}

fn most(shares: Vec<f64>) -> f64 {
    shares.into_iter().fold(0.0, f64::max)
}

/// Hosts so many groups, has each answer once, and says so: what a member runs.
pub(crate) async fn host(node: &Node, groups: u64) -> Result {
    let mut clients: Vec<MapClient> = Vec::new();
    for group in 0..groups {
        clients.push(node.host::<Map>(format!("idle{group}")).await?);
    }
    for client in clients {
        client.length(String::new()).deadline("60s").await?;
    }
    say(SERVED);
    Ok(())
}
