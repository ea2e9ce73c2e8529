//! How a node ends when it is asked to.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    cluster::{Cluster, PATIENCE},
    http::{self, Http},
    process::{Signal, signal},
};

/// How long a node allows itself to end.
const GRACE: Duration = Duration::from_secs(5);

// Goal: SIGTERM and SIGINT end a node with exit code 0, soon, and cost nothing but an election.
// Method: end the leader, under each signal, while connections to it are open; then start it again.
#[test]
fn a_signal_ends_a_node_with_success() {
    let mut cluster = Cluster::start(3);
    for (round, ending) in [Signal::Terminate, Signal::Interrupt].into_iter().enumerate() {
        let leader = cluster.leader();
        let kept = Http::new();
        let answer = kept.add(cluster.http(leader), 1, &[]).expect("the leader answers");
        assert_eq!(answer.number(), round as i64 * 2 + 1);
        let begun = Instant::now();
        signal(cluster.process(leader).pid(), ending);
        assert_eq!(cluster.process(leader).wait(PATIENCE).code(), Some(0), "{ending:?}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{ending:?} took {took:?}");
        assert!(cluster.log(leader).contains("stopping"));

        let other = cluster.ids().find(|id| *id != leader).expect("there are others");
        assert_eq!(http::add(cluster.http(other), 1), round as i64 * 2 + 2);
        cluster.start_node(leader);
        cluster.await_ready();
    }
}

// Goal: a node ends within its grace when it is asked to, though a caller waits for what cannot come,
// and the caller is told.
// Method: kill the other two; end the last while a command with a long deadline waits.
#[test]
fn a_signal_ends_a_node_that_has_callers() {
    let mut cluster = Cluster::start(3);
    let last = cluster.leader();
    cluster.ids().filter(|id| *id != last).for_each(|id| cluster.kill(id));
    let node = cluster.http(last);
    let before = cluster.status(last).expect("the node answers").last;
    let caller = thread::spawn(move || Http::new().add(node, 1, &[("Consensus-Deadline", "60s")]));
    crate::process::eventually("the command is on its way", PATIENCE, || {
        cluster.status(last).filter(|status| status.last > before)
    });
    let begun = Instant::now();
    signal(cluster.process(last).pid(), Signal::Terminate);
    assert_eq!(cluster.process(last).wait(PATIENCE).code(), Some(0));
    let took = begun.elapsed();
    assert!(took < GRACE + Duration::from_secs(5), "took {took:?}");
    // Either way it knows that it does not know: the connection broke, or an answer says so.
    if let Ok(answer) = caller.join().expect("the caller ends") {
        assert_eq!(answer.problem().outcome, "unknown", "{answer:?}");
    }
}

// Goal: a second signal ends a node at once, whatever waits.
// Method: as above, and SIGTERM again when the first has been taken note of.
#[test]
fn a_second_signal_ends_a_node_at_once() {
    let mut cluster = Cluster::start(3);
    let last = cluster.leader();
    cluster.ids().filter(|id| *id != last).for_each(|id| cluster.kill(id));
    let node = cluster.http(last);
    let before = cluster.status(last).expect("the node answers").last;
    let caller = thread::spawn(move || Http::new().add(node, 1, &[("Consensus-Deadline", "60s")]));
    crate::process::eventually("the command is on its way", PATIENCE, || {
        cluster.status(last).filter(|status| status.last > before)
    });
    signal(cluster.process(last).pid(), Signal::Interrupt);
    cluster.await_log(last, &["stopping"]);
    http::post(node, http::ADD, r#"{"by":1}"#).refused(503, "CX170");
    assert_eq!(http::get(node, "/readyz").status, 503);
    assert_eq!(http::get(node, "/v1/status").json()["stopping"], true);
    signal(cluster.process(last).pid(), Signal::Terminate);
    assert_eq!(cluster.process(last).wait(PATIENCE).code(), Some(130));
    assert!(caller.join().expect("the caller ends").is_err(), "its connection broke");
}
