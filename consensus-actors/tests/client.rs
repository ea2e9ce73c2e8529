//! The clients of a program: typed, by address, under every runtime; and what `Node::builder`
//! refuses.

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use actix::{Addr, Recipient};
use consensus_actors::prelude::*;
use tempfile::TempDir;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft)]
struct Counter {
    value: i64,
    by_caller: BTreeMap<String, i64>,
}

#[replicated]
impl Counter {
    /// Adds `by` and returns the new total.
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    /// Panics after it has changed something.
    #[command]
    fn fail(&mut self) -> i64 {
        self.value += 1_000;
        let empty: Option<i64> = self.by_caller.get("nobody").copied();
        empty.expect("nobody is there")
    }

    /// Returns the total.
    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    listener.local_addr().expect("it is bound").port()
}

/// A single node that hosts a counter.
async fn single() -> (Node, CounterClient, TempDir) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let node = Node::builder().data(data.path()).start().expect("a single node starts");
    let hits = node.host::<Counter>("hits").await.expect("it hosts");
    (node, hits, data)
}

/// What a program does with a client.
async fn use_it(hits: &CounterClient) {
    assert_eq!(hits.add(2).await.expect("added"), 2);
    let elsewhere = hits.clone();
    let added = std::thread::spawn(move || {
        actix::System::new().block_on(async move { elsewhere.add(3).deadline("2s").await })
    });
    assert_eq!(added.join().expect("the thread ends").expect("added"), 5);
    assert_eq!(hits.get().deadline(Duration::from_secs(2)).await.expect("read"), 5);
}

// Goal: the client works under #[tokio::main].
#[tokio::test(flavor = "multi_thread")]
async fn client_works_under_tokio() {
    let (node, hits, _data) = single().await;
    use_it(&hits).await;
    node.stop();
}

// Goal: the client works under #[actix::main].
#[actix::test]
async fn client_works_under_actix() {
    let (node, hits, _data) = single().await;
    use_it(&hits).await;
    node.stop();
}

// Goal: the client works under #[actix_web::main], and its errors are responses.
#[actix_web::test]
async fn client_works_under_actix_web() {
    use actix_web::{ResponseError, http::StatusCode};

    let (node, hits, _data) = single().await;
    use_it(&hits).await;
    let error = hits.fail().await.expect_err("the command panics");
    assert_eq!(error.status_code(), StatusCode::INTERNAL_SERVER_ERROR);
    node.stop();
}

// Goal: the replica's address takes commands and queries as messages, as an actor's does.
#[actix::test]
async fn address_takes_messages() {
    let (node, hits, _data) = single().await;
    let addr: Addr<Replica<Counter>> = hits.addr();
    assert_eq!(addr.send(counter::Add { by: 4 }).await.expect("delivered").expect("added"), 4);
    let recipient: Recipient<counter::Add> = addr.clone().recipient();
    assert_eq!(recipient.send(counter::Add { by: 1 }).await.expect("delivered").expect("added"), 5);
    assert_eq!(addr.send(counter::Get {}).await.expect("delivered").expect("read"), 5);
    node.stop();
}

// Goal: a command that panics is an outcome, and the node lives.
#[actix::test]
async fn panic_is_an_outcome() {
    let (node, hits, _data) = single().await;
    let error = hits.fail().await.expect_err("the command panics");
    assert_eq!((error.code(), error.outcome()), (Code::Panicked, Outcome::Applied));
    assert_eq!(hits.add(1).await.expect("the node lives"), 1_001);
    node.stop();
}

// Goal: a restart from disk keeps what was answered, and goes on.
#[actix::test]
async fn restart_keeps_what_was_answered() {
    let (node, hits, data) = single().await;
    for _ in 0..10 {
        hits.add(1).await.expect("added");
    }
    node.stop();
    let error = hits.add(1).await.expect_err("the node has stopped");
    assert_eq!(error.code(), Code::Stopping);

    let node = Node::builder().data(data.path()).start().expect("it starts again");
    let hits = node.host::<Counter>("hits").await.expect("it hosts");
    assert_eq!(hits.get().await.expect("read"), 10);
    node.stop();
}

// Goal: a key applies a command once, and stands for that command alone.
#[actix::test]
async fn key_applies_once() {
    let (node, hits, _data) = single().await;
    let client: &Client<Counter> = hits.client();
    for _ in 0..3 {
        let total = client.command_once("order-17", counter::Add { by: 7 }).await;
        assert_eq!(total.expect("applied once"), 7);
    }
    let error = client.command_once("order-17", counter::Add { by: 8 }).await;
    assert_eq!(error.expect_err("another command").code(), Code::KeyReused);
    assert_eq!(hits.get().await.expect("read"), 7);
    node.stop();
}

// Goal: without a majority a call ends at its deadline and says that nothing was applied.
#[actix::test]
async fn no_majority_ends_at_the_deadline() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let peer = |_| format!("127.0.0.1:{}", free_port());
    let node = (1..=3)
        .map(peer)
        .zip(1..)
        .fold(Node::builder(), |builder, (address, id)| builder.peer(id, address));
    let node = node.data(data.path()).start().expect("a node starts without its peers");
    let hits = node.host::<Counter>("hits").await.expect("hosting needs no leader");
    let error = hits.add(1).deadline("300ms").await.expect_err("nobody leads");
    assert_eq!((error.code(), error.outcome()), (Code::NoLeader, Outcome::NotApplied));
    node.stop();
}

// Goal: three nodes in one process replicate, whichever is called; many calls at once are each
// applied once.
#[actix::test]
async fn three_nodes_replicate() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let peers: Vec<String> = (1..=3).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let start = |id: u64| {
        let builder = peers.iter().zip(1..).fold(Node::builder(), |b, (peer, id)| b.peer(id, peer));
        let builder = builder
            .id(id)
            .data(data.path().join(id.to_string()))
            .election_timeout(Duration::from_millis(300))
            .heartbeat(Duration::from_millis(60));
        builder.start().expect("a node starts")
    };
    let nodes: Vec<Node> = (1..=3).map(start).collect();
    let mut clients = Vec::new();
    for node in &nodes {
        clients.push(node.host::<Counter>("hits").await.expect("it hosts"));
    }

    let mut calls = Vec::new();
    for client in clients.iter().cycle().take(300) {
        calls.push(actix::spawn(client.add(1).into_future()));
    }
    for call in calls {
        call.await.expect("the call ends").expect("added");
    }
    for client in &clients {
        assert_eq!(client.get().await.expect("read"), 300);
    }
    nodes.iter().for_each(Node::stop);
}

// Goal: hosting the same name twice, or under a name that no URL takes, is refused.
#[actix::test]
async fn group_name_is_checked() {
    let (node, _hits, _data) = single().await;
    let error = node.host::<Counter>("hits").await.err().expect("it is hosted");
    assert_eq!(error.code(), Code::GroupExists);
    let error = node.host::<Counter>("hits/today").await.err().expect("no URL takes it");
    assert_eq!(error.code(), Code::Config);
    node.stop();
}

// Goal: arguments beyond the bound, and a deadline that is none, are refused before anything is
// sent.
#[actix::test]
async fn unfit_calls_are_refused() {
    let (node, hits, _data) = single().await;
    let error = hits.add(1).deadline("soon").await.expect_err("no duration");
    assert_eq!((error.code(), error.outcome()), (Code::InvalidArgument, Outcome::NotApplied));
    let key = "k".repeat(256);
    let error = hits.client().command_once(&key, counter::Add { by: 1 }).await;
    assert_eq!(error.expect_err("too long").code(), Code::InvalidKey);
    assert_eq!(hits.get().await.expect("read"), 0);
    node.stop();
}

// Goal: a configuration that cannot work is refused with a sentence that says what to set.
#[test]
fn builder_refuses_what_cannot_work() {
    let refused = |builder: consensus_actors::NodeBuilder| {
        let error = builder.start().expect_err("it cannot work");
        (error.code(), error.message().to_owned())
    };
    let (code, message) = refused(Node::builder().heartbeat(Duration::from_millis(400)));
    assert_eq!(code, Code::Config);
    assert!(message.contains("set heartbeat to 333ms or less"), "{message}");
    let (code, message) = refused(Node::builder().id(4).peer(1, "127.0.0.1:1"));
    assert_eq!(code, Code::Config);
    assert!(message.contains("add 4=HOST:PORT, or set --id to one of: 1"), "{message}");
    let (code, message) = refused(Node::builder().http("0.0.0.0:0"));
    assert_eq!(code, Code::NotLoopback);
    assert!(message.contains("no TLS yet"), "{message}");
}
