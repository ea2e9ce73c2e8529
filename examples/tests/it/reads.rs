//! Reads at every level, on nodes that lead and nodes that do not.

use serde_json::Value;

use crate::{
    cluster::{Cluster, PATIENCE},
    http::Http,
    process::{counter_command, eventually, run},
};

const GET: &str = "/v1/groups/hits/queries/get";

/// Adds through the command line and returns the commit token that came with the reply.
fn add(node: std::net::SocketAddr, by: &str) -> String {
    let arguments = ["call", "hits", "add", by, "--output", "json"];
    let done = run(counter_command().args(arguments).args(["--addr", &node.to_string()]));
    assert_eq!(done.code, Some(0), "{done:?}");
    let answer: Value = serde_json::from_str(&done.out).expect("an answer is JSON");
    answer["token"].as_str().expect("a command has a token").to_owned()
}

// Goal: any node answers at any level: a read after a token sees the command on every node at once,
// and what a level cannot serve is refused with what to do.
#[test]
fn every_node_reads_at_every_level() {
    let cluster = Cluster::start(3);
    let http = Http::new();
    for (round, id) in cluster.ids().enumerate() {
        let token = add(cluster.http(id), "by=1");
        for reader in cluster.ids() {
            let read = |query: &str, headers: &[(&str, &str)]| {
                http.get(cluster.http(reader), &format!("{GET}{query}"), headers)
                    .expect("it answers")
            };
            let sum = round as i64 + 1;
            assert_eq!(read(&format!("?read=after&token={token}"), &[]).number(), sum);
            let after = format!("after {token}");
            assert_eq!(read("", &[("Consensus-Read", &after)]).number(), sum);
            assert_eq!(read("", &[]).number(), sum);
            // It was just confirmed there that nothing newer is.
            assert_eq!(read("?read=stale&max_lag=10s", &[]).number(), sum);

            read("?read=stale", &[]).refused(400, "CX150");
            // Leases are off.
            let why = read("?read=lease", &[]).refused(409, "CX115");
            assert!(why.contains("lease"), "{why}");
            read("?read=after&token=0123456789abcdef-1", &[]).refused(400, "CX162");
        }
    }
    let offered = http.get(cluster.http(1), "/v1/groups/hits", &[]).expect("it answers").json();
    assert_eq!(offered["queries"][0]["read"], "linearizable");

    let token = add(cluster.http(1), "by=1");
    let arguments = ["call", "hits", "get", "--read", "after", "--token", &token];
    let node = cluster.http(3).to_string();
    let done = run(counter_command().args(arguments).args(["--addr", &node]));
    assert_eq!((done.code, done.out.trim()), (Some(0), "4"), "{done:?}");
    let arguments = ["call", "hits", "add", "by=1", "--read", "linearizable"];
    let done = run(counter_command().args(arguments).args(["--addr", &node]));
    assert_eq!(done.code, Some(1), "{done:?}");
}

// Goal: without a majority a node still reads what it can prove to be fresh enough, and refuses the
// rest, with how old its state may be.
#[test]
fn a_node_alone_reads_what_is_fresh_enough() {
    let mut cluster = Cluster::start(3);
    let http = Http::new();
    add(cluster.http(1), "by=7");
    let read = |node, query: &str| {
        let headers = [("Consensus-Deadline", "1s")];
        http.get(node, &format!("{GET}{query}"), &headers).expect("it answers")
    };
    let last = cluster.http(3);
    assert_eq!(read(last, "").number(), 7);
    cluster.kill(1);
    cluster.kill(2);
    assert_eq!(read(last, "?read=stale&max_lag=10m").number(), 7);
    let why = read(last, "?read=stale&max_lag=1ms").refused(503, "CX113");
    assert!(why.contains("old"), "{why}");
}

// Goal: where all nodes keep leases, queries that may rest on one are answered on every node, over
// HTTP and the command line, and the leader says that it holds one.
#[test]
fn every_node_reads_from_a_lease() {
    let mut cluster = Cluster::prepare(3);
    for id in cluster.ids() {
        cluster.start_node_with(id, &[("--lease", "true"), ("--clock-drift", "5")]);
    }
    let http = Http::new();
    eventually("a node leads under a lease", PATIENCE, || {
        let held = |id| -> Option<bool> {
            let status = http.get(cluster.http(id), "/v1/status", &[]).ok()?.json();
            let group = status["groups"].get(0)?;
            assert_eq!(group["lease"], true);
            group["lease_held"].as_bool()
        };
        let held: Vec<bool> = cluster.ids().filter_map(held).collect();
        (held.iter().filter(|held| **held).count() == 1).then_some(())
    });
    for (round, id) in cluster.ids().enumerate() {
        add(cluster.http(id), "by=1");
        for reader in cluster.ids() {
            let url = format!("{GET}?read=lease");
            let sum = http.get(cluster.http(reader), &url, &[]).expect("it answers").number();
            assert_eq!(sum, round as i64 + 1);
        }
        let arguments = ["call", "hits", "get", "--read", "lease"];
        let node = cluster.http(id).to_string();
        let done = run(counter_command().args(arguments).args(["--addr", &node]));
        assert_eq!((done.code, done.out.trim()), (Some(0), &*(round + 1).to_string()), "{done:?}");
    }
}
