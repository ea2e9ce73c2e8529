//! Adds go on, and none is lost or applied twice, while nodes are killed.

use std::{
    env, thread,
    time::{Duration, Instant},
};

use crate::{
    cluster::{Cluster, PATIENCE},
    http,
    load::Load,
    process::eventually,
};

/// How many clients add.
const CLIENTS: usize = 4;

/// From one kill to the next.
const KILL_EVERY: Duration = Duration::from_secs(2);
/// How long a killed node stays down.
const DOWN: Duration = Duration::from_secs(1);

// Goal: adds go on while the leader dies again and again, each is applied once, and none is lost
// when all nodes die.
// Method: three nodes, four clients; the leader is killed every two seconds.
#[test]
fn adds_survive_the_death_of_the_leader() {
    adds_survive(Cluster::start_alone(3), 1);
}

// Goal: the same holds under Multi-Paxos.
#[test]
fn adds_survive_the_death_of_the_leader_under_multi_paxos() {
    adds_survive(Cluster::start_alone_under(3, "multi_paxos"), 1);
}

// Goal: the same holds wherever nodes have Multi-Paxos's roles, which may change from one start to
// the next.
#[test]
fn adds_survive_the_death_of_the_leader_wherever_roles_are() {
    adds_survive(Cluster::start_alone_wandering(3), 1);
}

// Goal: five nodes bear the death of two at a time.
// Method: as above, with the leader and another node killed at once.
#[test]
fn adds_survive_the_death_of_two_of_five() {
    adds_survive(Cluster::start_alone(5), 2);
}

fn adds_survive(mut cluster: Cluster, killed: usize) {
    let nodes = cluster.ids().count() as u64;
    let load = Load::start(&cluster.addresses(), CLIENTS);
    let begun = Instant::now();
    let mut kills = 0;
    while begun.elapsed() < duration() {
        let leader = cluster.leader();
        // The others are killed in turn.
        let others = cluster.ids().chain(cluster.ids()).skip(kills as usize % nodes as usize);
        let others = others.filter(|id| *id != leader).take(killed - 1);
        let victims: Vec<u64> = [leader].into_iter().chain(others).collect();
        let due = begun + KILL_EVERY * kills;
        kills += 1;
        pace(due);
        victims.iter().for_each(|id| cluster.kill(*id));
        pace(Instant::now() + DOWN);
        victims.iter().for_each(|id| cluster.start_node(*id));
    }
    let history = load.finish();
    eprintln!("{nodes} nodes, {kills} times {killed} killed: {}", history.summary());
    history.check();

    cluster.await_ready();
    for id in cluster.ids() {
        assert_eq!(http::value(cluster.http(id)), history.sum(), "node {id}");
    }
    cluster.kill_all();
    cluster.start_all();
    for id in cluster.ids() {
        assert_eq!(http::value(cluster.http(id)), history.sum(), "node {id}");
    }
    let values = cluster.values_one_by_one();
    assert_eq!(values, vec![history.sum(); nodes as usize], "the nodes' own states");
}

/// How long the leader is killed again and again; `FAILOVER_SECONDS` says otherwise.
fn duration() -> Duration {
    let seconds = env::var("FAILOVER_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("FAILOVER_SECONDS is a number"));
    Duration::from_secs(seconds.unwrap_or(20))
}

/// Waits for the time of the next event of a test's plan; nothing is assumed to have happened by
/// then.
fn pace(until: Instant) {
    thread::sleep(until.saturating_duration_since(Instant::now()));
}

// Goal: what was acknowledged is durable on a majority, even if all nodes die in the middle of
// writing.
// Method: clients write while all nodes are killed at once and started again, five times over.
#[test]
fn nothing_acknowledged_is_lost_when_all_nodes_die_at_once() {
    let mut cluster = Cluster::start_alone(3);
    let load = Load::start(&cluster.addresses(), CLIENTS);
    for _ in 0..5 {
        let before = http::value(cluster.http(1));
        eventually("clients write", PATIENCE, || {
            (http::value(cluster.http(2)) > before + 1_000).then_some(())
        });
        cluster.kill_all();
        cluster.start_all();
    }
    let history = load.finish();
    eprintln!("three nodes, 5 times all killed: {}", history.summary());
    history.check();

    let values = cluster.values_one_by_one();
    assert_eq!(values, [history.sum(); 3], "after {} adds", history.len());
}
