//! Nodes that are restarted one after another, while clients go on.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    cluster::{Cluster, PATIENCE},
    http::{self, Http},
    process::{Signal, signal},
};

/// How many clients add.
const CLIENTS: usize = 4;

/// How long a client that was turned away waits before it turns to the next node.
const PAUSE: Duration = Duration::from_millis(2);

/// What a client met.
#[derive(Debug, Default)]
struct Met {
    adds: u64,
    /// How often it was turned away, or met no node.
    turned_away: u64,
    slowest: Duration,
}

/// Adds until it is told to stop, at one node after another. Where a node ends, or has just started
/// and hosts nothing yet, it says that it took nothing, or is not there: anything else is a call that
/// failed.
fn add_until(stop: &AtomicBool, nodes: &[SocketAddr], client: usize) -> Met {
    let (http, mut met, mut turn) = (Http::new(), Met::default(), client);
    while !stop.load(Ordering::SeqCst) {
        let (begun, key) = (Instant::now(), format!("client-{client}-add-{}", met.adds));
        loop {
            turn += 1;
            match http.add(nodes[turn % nodes.len()], 1, &[("Idempotency-Key", &key)]) {
                Ok(answer) if answer.status == 200 => break,
                Ok(answer) => {
                    let starts = answer.problem().code == "CX171";
                    answer.refused(503, if starts { "CX171" } else { "CX170" });
                }
                Err(_) => {}
            }
            met.turned_away += 1;
            thread::sleep(PAUSE);
        }
        met.adds += 1;
        met.slowest = met.slowest.max(begun.elapsed());
    }
    met
}

// Goal: nodes that are restarted one after another cost no call: the one that ends hands over what it
// leads, says that it takes no more calls, and ends with success when all are answered.
// Method: four clients add at all nodes; SIGTERM to each node in turn, twice around; the longest that
// any add took is printed.
#[test]
fn nodes_restarted_in_turn_fail_no_call() {
    let mut cluster = Cluster::start_alone(3);
    let (stop, nodes) = (Arc::new(AtomicBool::new(false)), cluster.addresses());
    let client = |number| {
        let (stop, nodes) = (Arc::clone(&stop), nodes.clone());
        thread::spawn(move || add_until(&stop, &nodes, number))
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    let mut led = 0;
    for id in cluster.ids().chain(cluster.ids()) {
        led += u64::from(cluster.leader() == id);
        signal(cluster.process(id).pid(), Signal::Terminate);
        assert_eq!(cluster.process(id).wait(PATIENCE).code(), Some(0), "node {id}");
        assert!(!cluster.log(id).contains("although not all is done"), "node {id}");
        cluster.start_node(id);
        cluster.await_ready();
    }
    stop.store(true, Ordering::SeqCst);
    let met: Vec<Met> = clients.into_iter().map(|it| it.join().expect("a call failed")).collect();
    let adds: u64 = met.iter().map(|met| met.adds).sum();
    let turned_away: u64 = met.iter().map(|met| met.turned_away).sum();
    let slowest = met.iter().map(|met| met.slowest).max().unwrap_or_default();
    eprintln!(
        "6 restarts, {led} of the leader: {adds} adds, turned away {turned_away} times, slowest add \
         {slowest:?}"
    );
    assert!(adds > 100 && led > 0, "{adds} adds, {led} times the leader");
    for id in cluster.ids() {
        assert_eq!(http::value(cluster.http(id)), adds as i64, "node {id}");
    }
}
