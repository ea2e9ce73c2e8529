//! What callers are told while a majority is out of reach, and that no read is stale.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    cluster::{Cluster, PATIENCE},
    http::{self, GET, Http},
    process::{Signal, eventually, signal, throughout},
};

// Goal: without a majority a command ends by its deadline with an honest outcome and a query is
// refused; with it service returns, what was said not to be applied is not, and what nobody knew is
// told by its key.
// Method: kill two of three, so that the leader survives alone; each add has a bit of its own.
#[test]
fn a_leader_alone_is_honest() {
    alone_is_honest(|cluster, leader| cluster.ids().filter(|id| *id != leader).collect());
}

// Goal: the same holds for a follower that survives alone.
// Method: kill the leader and another.
#[test]
fn a_follower_alone_is_honest() {
    alone_is_honest(|cluster, leader| {
        let survivor = cluster.ids().find(|id| *id != leader);
        cluster.ids().filter(|id| Some(*id) != survivor).collect()
    });
}

fn alone_is_honest(victims: impl FnOnce(&Cluster, u64) -> Vec<u64>) {
    let mut cluster = Cluster::start(3);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    let victims = victims(&cluster, cluster.leader());
    let survivor = cluster.ids().find(|id| !victims.contains(id)).expect("one survives");
    victims.iter().for_each(|id| cluster.kill(*id));

    let (node, http) = (cluster.http(survivor), Http::new());
    let (mut not_applied, mut unknown) = (Vec::new(), Vec::new());
    for by in [2, 4, 8] {
        let (begun, key) = (Instant::now(), format!("add-{by}"));
        let headers = [("Consensus-Deadline", "1s"), ("Idempotency-Key", &*key)];
        let answer = http.add(node, by, &headers).expect("the survivor answers");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(3), "a deadline of 1 s took {took:?}");
        let problem = answer.problem();
        assert!(["CX101", "CX102"].contains(&&*problem.code), "{answer:?}");
        match (&*problem.outcome, answer.status) {
            ("not_applied", 503) => not_applied.push(by),
            ("unknown", 504) => unknown.push((by, key)),
            _ => panic!("{answer:?}"),
        }
        let read = http.get(node, GET, &[("Consensus-Deadline", "300ms")]);
        read.expect("the survivor answers").problem();
    }

    victims.iter().for_each(|id| cluster.start_node(*id));
    cluster.await_ready();
    let total = http::add(cluster.http(victims[0]), 16);
    assert_eq!(total & 17, 17, "what was acknowledged is there: {total}");
    for by in &not_applied {
        assert_eq!(total & by, 0, "{by} was said not to be applied: {total}");
    }
    // A repeat under its key makes each definite, and applies it once.
    for (by, key) in &unknown {
        http::add_keyed(cluster.http(victims[1]), *by, key).number();
    }
    let expected = 31 - not_applied.iter().sum::<i64>();
    assert_eq!(http::value(node), expected, "{not_applied:?} {unknown:?}");
}

// Goal: a minority that waits for others elects nobody and serves nothing stale, however long.
// Method: restart one node of three alone, after an add.
#[test]
fn a_node_that_starts_alone_serves_nothing() {
    let mut cluster = Cluster::start(3);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    cluster.kill_all();
    cluster.start_node(2);
    eventually("the node lives", PATIENCE, || {
        Http::new().get(cluster.http(2), "/livez", &[]).ok().filter(|answer| answer.status == 200)
    });
    throughout("nobody leads", Duration::from_secs(2), || {
        cluster.status(2).is_none_or(|status| status.role != "leader" && status.leader.is_none())
    });
    let read = Http::new().get(cluster.http(2), GET, &[("Consensus-Deadline", "300ms")]);
    read.expect("the node answers").refused(503, "CX101");
}

// Goal: a leader that was deposed while it stood still answers no read from its old state.
// Method: stop the leader, let another be elected and add there, continue the old one and ask it at
// once.
#[test]
fn a_leader_that_slept_serves_no_stale_read() {
    let mut cluster = Cluster::start(3);
    for round in 1..=5 {
        let old = cluster.leader();
        assert_eq!(http::value(cluster.http(old)), (round - 1) * 10);
        signal(cluster.process(old).pid(), Signal::Stop);
        let others: Vec<u64> = cluster.ids().filter(|id| *id != old).collect();
        let new = cluster.leader_of(&others);
        assert_eq!(http::add(cluster.http(new), 10), round * 10);
        signal(cluster.process(old).pid(), Signal::Continue);
        assert_eq!(http::value(cluster.http(old)), round * 10, "round {round}, on node {old}");
        cluster.settle();
    }
}

// Goal: nor does it when the query lay in its socket when it woke, before anything that its
// successor sent.
// Method: as above, with the query written to the sleeping node's socket after the add was
// answered.
#[test]
fn a_query_that_waited_for_a_sleeping_leader_sees_the_present() {
    let mut cluster = Cluster::start(3);
    for round in 1..=5 {
        let old = cluster.leader();
        // Accepted while it is awake; the request comes when it is not.
        let mut stream = TcpStream::connect(cluster.http(old)).expect("the leader serves");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        signal(cluster.process(old).pid(), Signal::Stop);
        let others: Vec<u64> = cluster.ids().filter(|id| *id != old).collect();
        let new = cluster.leader_of(&others);
        assert_eq!(http::add(cluster.http(new), 10), round * 10);
        write!(stream, "GET {GET} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("the socket takes a request");
        signal(cluster.process(old).pid(), Signal::Continue);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the old leader answers");
        let expected = format!("{{\"reply\":{}}}", round * 10);
        assert!(answer.ends_with(&expected), "round {round}, on node {old}: {answer}");
        cluster.settle();
    }
}
