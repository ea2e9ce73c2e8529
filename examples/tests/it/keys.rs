//! A command under an `Idempotency-Key` is applied once, whoever repeats it, wherever and whenever.

use serde_json::json;

use crate::{
    cluster::Cluster,
    http::{self, ADD, Http},
};

// Goal: a repeated POST applies once and is answered as the first was; without the key it applies
// again.
// Method: post the same on every node, twice.
#[test]
fn a_repeated_key_applies_once() {
    let cluster = Cluster::start(3);
    for (count, node) in cluster.addresses().into_iter().chain(cluster.addresses()).enumerate() {
        assert_eq!(http::add_keyed(node, 5, "order-17").number(), 5, "repeat {count}");
    }
    assert_eq!(http::value(cluster.http(2)), 5);
    assert_eq!(http::add_keyed(cluster.http(1), 5, "order-18").number(), 10, "another key");
    assert_eq!(http::add(cluster.http(1), 5), 15, "no key");
    assert_eq!(http::add(cluster.http(1), 5), 20, "no key, again");
}

// Goal: a key holds across the death of the leader that took it.
// Method: post on one node, kill the leader, repeat at once on the others, and on the former leader
// when it is back.
#[test]
fn a_key_outlives_the_leader() {
    let mut cluster = Cluster::start(3);
    let former = cluster.leader();
    assert_eq!(http::add_keyed(cluster.http(former), 7, "k").number(), 7);
    cluster.kill(former);
    for id in cluster.ids().filter(|id| *id != former) {
        assert_eq!(http::add_keyed(cluster.http(id), 7, "k").number(), 7, "node {id}");
    }
    cluster.start_node(former);
    cluster.await_ready();
    assert_eq!(http::add_keyed(cluster.http(former), 7, "k").number(), 7, "the former leader");
    assert_eq!(http::value(cluster.http(former)), 7);
}

// Goal: a key holds across the death of all nodes.
// Method: post, kill all, start all, repeat on each.
#[test]
fn a_key_outlives_all_nodes() {
    let mut cluster = Cluster::start(3);
    assert_eq!(http::add_keyed(cluster.http(2), 7, "k").number(), 7);
    assert_eq!(http::add(cluster.http(3), 1), 8);
    cluster.kill_all();
    cluster.start_all();
    for id in cluster.ids() {
        assert_eq!(http::add_keyed(cluster.http(id), 7, "k").number(), 7, "node {id}");
        assert_eq!(http::add_keyed(cluster.http(id), 8, "k").refused(422, "CX160"), REUSED);
    }
    assert_eq!(http::value(cluster.http(1)), 8);
}

const REUSED: &str =
    "this idempotency key was used with another body; take a new key for a new command";

// Goal: a key with another body is refused on every node, changes nothing, and does not spoil the
// key.
// Method: post another body under a used key; then the first again.
#[test]
fn a_key_with_another_body_is_refused() {
    let cluster = Cluster::start(3);
    assert_eq!(http::add_keyed(cluster.http(1), 1, "k").number(), 1);
    for node in cluster.addresses() {
        assert_eq!(http::add_keyed(node, 2, "k").refused(422, "CX160"), REUSED);
        assert_eq!(http::add_keyed(node, 1, "k").number(), 1);
    }
    assert_eq!(http::value(cluster.http(1)), 1);
}

// Goal: the same arguments are the same body, however they are written.
// Method: repeat under one key with other spaces, and with the arguments in the URL.
#[test]
fn a_body_is_the_same_however_it_is_written() {
    let cluster = Cluster::start(1);
    let (node, http, key) = (cluster.http(1), Http::new(), [("Idempotency-Key", "k")]);
    let post = |path: &str, body: &str| {
        http.send("POST", node, path, &key, body).expect("the node answers").number()
    };
    assert_eq!(post(ADD, r#"{"by":3}"#), 3);
    assert_eq!(post(ADD, "{ \"by\" :\n3 }"), 3);
    assert_eq!(post(&format!("{ADD}?by=3"), ""), 3);
    assert_eq!(http::value(node), 3);
}

// Goal: a key that cannot be one is refused with what to do.
// Method: an empty key, one that is too long, one beyond ASCII.
#[test]
fn an_unusable_key_is_refused() {
    let cluster = Cluster::start(1);
    let (node, long) = (cluster.http(1), "k".repeat(10_000));
    for (key, reason) in [("", "1 to"), (&*long, "1 to"), ("schlüssel", "ASCII")] {
        let detail = http::add_keyed(node, 1, key).refused(400, "CX161");
        assert!(detail.contains(reason), "{detail}");
    }
    let body = json!({ "by": 1 }).to_string();
    assert_eq!(http::post(node, ADD, &body).number(), 1, "nothing was applied before");
}
