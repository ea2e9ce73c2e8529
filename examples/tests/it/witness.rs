//! A member that votes and stores no data: what it keeps, what it is sent, and whom it asks.

use std::{fs, net::SocketAddr};

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, PATIENCE},
    http::{self, GET, Http},
    process::{Done, counter_command, eventually, run},
};

const EVERY: &[(&str, &str)] = &[("--snapshot-every", "20")];

fn verb(node: SocketAddr, arguments: &[&str]) -> Done {
    run(counter_command().args(arguments).args(["--addr", &node.to_string()]))
}

/// Returns what a node says of its group.
fn group(cluster: &Cluster, id: u64) -> Option<Value> {
    let answer = Http::new().get(cluster.http(id), "/v1/status", &[]).ok()?;
    answer.json().get("groups")?.get(0).cloned()
}

/// Waits until a node has let its log go up to `index` at least.
fn await_let_go(cluster: &Cluster, id: u64, index: u64) {
    eventually(&format!("node {id} lets go of {index} entries"), PATIENCE, || {
        group(cluster, id)?["snapshot"].as_u64().filter(|snapshot| *snapshot >= index)
    });
}

fn add_many(node: SocketAddr, count: i64, total: &mut i64) {
    for _ in 0..count {
        *total += 1;
        assert_eq!(http::add(node, 1), *total);
    }
}

// Goal: a witness lets its log go without files, and when it was away for long is sent no data; its
// callers are answered by the leader at every level, never from a state that it has not; it saves no
// snapshot, and never becomes a node that has data.
// Method: three nodes and a witness, all with short logs; the witness misses many writes, and starts
// again from what it was sent.
#[test]
fn witness_keeps_votes_and_no_data() {
    let mut cluster = Cluster::prepare(3);
    (1..=3).for_each(|id| cluster.start_node_with(id, EVERY));
    cluster.await_ready();
    let witness = cluster.spare();
    cluster.start_node_with(witness, EVERY);
    let (id, address) = (witness.to_string(), cluster.peer(witness).to_string());
    let (first, own) = (cluster.http(1), cluster.http(witness));
    let added = eventually("the witness is added", PATIENCE, || {
        let done = verb(first, &["add", &id, &address, "--witness", "--yes"]);
        (done.code == Some(0)).then_some(done)
    });
    assert!(added.out.contains("as a witness"), "{added:?}");

    let mut total = 0;
    add_many(first, 60, &mut total);
    await_let_go(&cluster, witness, 40);
    let answer = Http::new().get(own, GET, &[]).expect("the witness takes calls");
    assert_eq!(answer.number(), total, "the leader answers");
    assert_eq!(http::get(own, &format!("{GET}?read=stale&max_lag=1m")).number(), total);
    let added = verb(own, &["call", "hits", "add", "by=1", "--output", "json"]).out;
    total += 1;
    let added: Value = serde_json::from_str(&added).expect("the output is JSON");
    let token = added["token"].as_str().expect("a command has a token");
    assert_eq!(http::get(own, &format!("{GET}?read=after&token={token}")).number(), total);

    cluster.kill(witness);
    add_many(first, 60, &mut total);
    (1..=3).for_each(|id| await_let_go(&cluster, id, 100));
    cluster.start_node_with(witness, EVERY);
    await_let_go(&cluster, witness, 100);
    assert_eq!(http::value(own), total);
    let status = group(&cluster, witness).expect("it answers");
    assert_eq!((&status["witness"], &status["applied"]), (&json!(true), &json!(0)));
    assert_eq!(group(&cluster, 1).expect("it answers")["witness"], false);
    let shown = verb(own, &["status"]).out;
    assert!(shown.contains("witness"), "{shown}");
    let listed = http::get(own, "/v1/groups/hits/snapshots").json();
    assert_eq!(listed, json!({ "snapshots": [] }));
    let bodies = files(&cluster, witness).into_iter().filter(|file| file.contains("snapshot"));
    assert_eq!(bodies.filter(|file| file.ends_with(".snapshot")).count(), 0);

    let refused = verb(own, &["snapshot", "save", "hits"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("CX138") && refused.err.contains("is a witness"), "{refused:?}");
    let refused = verb(first, &["add", &id, &address, "--yes"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("CX135") && refused.err.contains("stays one"), "{refused:?}");
}

/// Returns the files of a node's data directory.
fn files(cluster: &Cluster, id: u64) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![cluster.data(id)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("a directory can be read") {
            let path = entry.expect("an entry can be read").path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path.display().to_string()),
            }
        }
    }
    found
}
