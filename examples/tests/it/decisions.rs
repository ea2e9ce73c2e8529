//! Decisions over HTTP and from the command line, while nodes are killed.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    http::{self, Http},
    process::counter_command,
};

/// Tests that hold under both protocols.
macro_rules! under_both {
    ($($test:ident),+ $(,)?) => {
        mod by_paxos {
            $(#[test]
            fn $test() {
                super::$test("paxos");
            })+
        }

        mod by_fast_paxos {
            $(#[test]
            fn $test() {
                super::$test("fast_paxos");
            })+
        }
    };
}

under_both! { decisions_survive_kills, tools_decide }

fn path(name: u64) -> String {
    format!("/v1/decisions/name-{name}")
}

/// Proposes under one name after the other, on one node after the other, until it is told to stop;
/// returns what it was told.
fn propose(
    nodes: &[SocketAddr],
    client: u64,
    name: &AtomicU64,
    stop: &AtomicBool,
) -> Vec<(u64, Value)> {
    let (http, mut told) = (Http::new(), Vec::new());
    for turn in client.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let node = nodes[turn as usize % nodes.len()];
        let name = name.load(Ordering::Relaxed);
        let value = json!({ "client": client, "turn": turn }).to_string();
        let headers = [("Consensus-Deadline", "2s")];
        match http.send("PUT", node, &path(name), &headers, &value) {
            Ok(answer) if answer.status == 200 => told.push((name, answer.json()["value"].clone())),
            // It is down, or has no majority.
            Ok(_) | Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
    told
}

// Goal: each name has one value, whoever was told it and when, though nodes are killed all the time;
// and all nodes tell the same after all were killed at once.
// Method: three clients propose on all nodes under names that change ten times a second, while one
// node after the other is killed and started again, ten times.
fn decisions_survive_kills(protocol: &'static str) {
    let mut cluster = Cluster::start_deciding_by(3, protocol);
    let (name, stop) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..3)
        .map(|client| {
            let (nodes, name, stop) = (cluster.addresses(), Arc::clone(&name), Arc::clone(&stop));
            thread::spawn(move || propose(&nodes, client, &name, &stop))
        })
        .collect();
    for round in 0..10 {
        let victim = round % 3 + 1;
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(100));
            name.fetch_add(1, Ordering::Relaxed);
        }
        cluster.kill(victim);
        thread::sleep(Duration::from_millis(200));
        cluster.start_node(victim);
    }
    stop.store(true, Ordering::Relaxed);
    let mut decided: BTreeMap<u64, Value> = BTreeMap::new();
    for client in clients {
        for (name, value) in client.join().expect("a client ends") {
            let known = decided.entry(name).or_insert_with(|| value.clone());
            assert_eq!(*known, value, "{name}");
        }
    }
    assert!(decided.len() >= 20, "too little was decided: {}", decided.len());

    cluster.kill_all();
    cluster.start_all();
    for id in cluster.ids() {
        for (name, value) in &decided {
            let answer = http::get(cluster.http(id), &path(*name));
            assert_eq!(answer.json()["value"], *value, "{name} at node {id}");
        }
    }
}

// Goal: the command line and HTTP tell what is decided, and what is not is an error of its own.
fn tools_decide(protocol: &'static str) {
    let cluster = Cluster::start_deciding_by(3, protocol);
    let addr = cluster.http(2).to_string();
    let run = |arguments: &[&str]| {
        let mut command = counter_command();
        let output = command.args(arguments).args(["--addr", &addr]).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, error) = run(&["decide", "color"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("CX157") && error.contains("nothing is decided"), "{error}");
    assert_eq!(run(&["decide", "color", "blue"]).1, "blue");
    assert_eq!(run(&["decide", "color", "red"]).1, "blue");
    assert_eq!(run(&["decide", "color"]).1, "blue");
    assert_eq!(run(&["decide", "layout", r#"{"shards":4}"#]).1, r#"{"shards":4}"#);
    for id in cluster.ids() {
        let known = http::get(cluster.http(id), "/v1/decisions/color");
        assert_eq!(known.json(), json!({ "value": "blue" }));
    }
    let http = Http::new();
    let put =
        |body| http.send("PUT", cluster.http(1), "/v1/decisions/x", &[], body).expect("it answers");
    assert!(put("no json").refused(400, "CX153").contains("send the value"));
    let deleted =
        http.send("DELETE", cluster.http(1), "/v1/decisions/x", &[], "").expect("it answers");
    assert!(deleted.refused(405, "CX155").contains("GET or PUT"));
}
