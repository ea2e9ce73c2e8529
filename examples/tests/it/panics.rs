//! Commands that misbehave, in an application with a `main` of its own: this test, run again as
//! each node.

use std::{env, net::SocketAddr};

use consensus_actors::prelude::*;
use serde_json::json;

use crate::{
    cluster::{Cluster, NODE, PATIENCE, Program},
    http::{self, Answer},
    process::eventually,
};

/// A counter whose commands panic.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft)]
struct Moody {
    value: i64,
}

#[replicated]
impl Moody {
    /// Adds `by`, and panics before it does if `by` is negative.
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        assert!(by >= 0, "only up");
        self.value += by;
        self.value
    }

    /// Adds `by`, and panics after that.
    #[command]
    fn half(&mut self, by: i64) -> i64 {
        self.value += by;
        panic!("half way")
    }

    #[query]
    fn get(&self) -> i64 {
        self.value
    }

    #[query]
    fn fail(&self) -> i64 {
        panic!("no answer")
    }
}

/// Runs this process as the node that its environment describes.
fn serve(flags: &str) {
    let flags: Vec<(String, String)> = serde_json::from_str(flags).expect("flags as JSON");
    let flag = |name: &str| {
        let found = flags.iter().find(|(flag, _)| flag == name);
        found.map(|(_, value)| value.clone()).expect("the cluster gives every flag")
    };
    let mut builder = Node::builder()
        .id(flag("--id").parse().expect("an id is a number"))
        .http(flag("--http"))
        .data(flag("--data"))
        .cluster(flag("--cluster"));
    for peer in flag("--peers").split(',') {
        let (id, address) = peer.split_once('=').expect("a peer is ID=HOST:PORT");
        builder = builder.peer(id.parse().expect("an id is a number"), address);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ran = runtime.expect("a runtime").block_on(async {
        let node = builder.start()?;
        node.host::<Moody>("hits").await?;
        node.run().await
    });
    ran.expect("the node runs");
}

fn command(node: SocketAddr, name: &str, by: i64) -> Answer {
    http::post(node, &format!("/v1/groups/hits/commands/{name}"), &json!({ "by": by }).to_string())
}

#[track_caller]
fn panicked(answer: &Answer) {
    let problem = answer.problem();
    assert_eq!((answer.status, &*problem.code, &*problem.outcome), (500, "CX140", "applied"));
}

// Goal: a command that panics has that outcome on every replica alike; the nodes live, and their
// states are equal.
// Method: panic before and after a change, on each node; then compare what each node says when it
// leads, also after all have applied the log again.
#[test]
fn a_command_that_panics_has_one_outcome() {
    if let Ok(flags) = env::var(NODE) {
        return serve(&flags);
    }
    let program = Program::Test("panics::a_command_that_panics_has_one_outcome");
    let mut cluster = Cluster::prepare_program(3, program);
    cluster.start_all();
    let mut expected = 0;
    for node in cluster.addresses() {
        panicked(&command(node, "add", -1));
        panicked(&command(node, "half", 10));
        assert_eq!(command(node, "add", 1).number(), expected + 11, "what was changed stays");
        expected += 11;
    }
    // The outcome is remembered as any other: the repeat of a key does not run it again.
    let body = json!({ "by": 100 }).to_string();
    for node in cluster.addresses() {
        let path = "/v1/groups/hits/commands/half";
        let answer = http::Http::new().send("POST", node, path, &[("Idempotency-Key", "k")], &body);
        panicked(&answer.expect("the node answers"));
    }
    expected += 100;
    for node in cluster.addresses() {
        assert_eq!(http::value(node), expected);
    }

    for id in cluster.ids() {
        assert!(cluster.process(id).ended().is_none(), "node {id} lives");
        assert!(cluster.process(id).log().contains("half way"), "node {id} ran it");
    }
    // Each node answers from its own state when it leads, and the former leaders' states are made
    // anew.
    let mut led = std::collections::BTreeSet::new();
    eventually("every node has led", PATIENCE * 3, || {
        let leader = cluster.leader();
        assert_eq!(http::value(cluster.http(leader)), expected, "node {leader}");
        led.insert(leader);
        if led.len() == 3 {
            return Some(());
        }
        cluster.kill(leader);
        let others: Vec<u64> = cluster.ids().filter(|id| *id != leader).collect();
        let next = cluster.leader_of(&others);
        assert_eq!(http::value(cluster.http(next)), expected, "node {next}");
        led.insert(next);
        cluster.start_node(leader);
        cluster.await_ready();
        None
    });
}

// Goal: a query that panics is answered with an error, on any node, and changes nothing.
// Method: ask each node, and then for what can be answered.
#[test]
fn a_query_that_panics_is_answered() {
    if let Ok(flags) = env::var(NODE) {
        return serve(&flags);
    }
    let program = Program::Test("panics::a_query_that_panics_is_answered");
    let mut cluster = Cluster::prepare_program(3, program);
    cluster.start_all();
    assert_eq!(command(cluster.http(1), "add", 1).number(), 1);
    for node in cluster.addresses() {
        let problem = http::get(node, "/v1/groups/hits/queries/fail").problem();
        assert_eq!((&*problem.code, &*problem.outcome), ("CX140", "not_applied"), "{problem:?}");
        assert_eq!(http::value(node), 1);
    }
}
