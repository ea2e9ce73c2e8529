//! Clients in programs that are no members: under every runtime and without one, what they are
//! refused, and what they keep to.

use std::{
    future::IntoFuture,
    io::Write,
    net::TcpListener,
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use consensus_actors::{NodeBuilder, prelude::*};
use tempfile::TempDir;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Note {
    text: String,
}

#[replicated]
impl Note {
    #[command]
    fn write(&mut self, text: String) -> u64 {
        self.text = text;
        self.text.len() as u64
    }

    #[query]
    fn read(&self) -> String {
        self.text.clone()
    }
}

/// The counter as programs of other versions see it.
mod elsewhere {
    use super::*;

    #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
    #[replica(name = "counter")]
    pub(super) struct Older {
        value: i64,
    }

    #[replicated]
    impl Older {
        #[command]
        fn add(&mut self, by: i64) -> i64 {
            self.value += by;
            self.value
        }
    }

    #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
    #[replica(name = "counter")]
    pub(super) struct Newer {
        value: u64,
    }

    #[replicated]
    impl Newer {
        #[command]
        fn add(&mut self, by: u64) -> u64 {
            self.value += by;
            self.value
        }

        #[command]
        fn reset(&mut self) {
            self.value = 0;
        }
    }

    #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
    pub(super) struct Sink {
        bytes: u64,
    }

    #[replicated]
    impl Sink {
        #[command]
        fn write(&mut self, bytes: u64) {
            self.bytes += bytes;
        }
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    listener.local_addr().expect("it is bound").to_string()
}

fn nodes(addresses: &[String], data: &TempDir) -> Vec<NodeBuilder> {
    let builder = |id: u64| {
        let builder = addresses.iter().zip(1..).fold(Node::builder(), |b, (at, id)| b.peer(id, at));
        builder
            .id(id)
            .cluster("remote")
            .data(data.path().join(id.to_string()))
            .election_timeout(Duration::from_millis(300))
            .heartbeat(Duration::from_millis(60))
    };
    (1..=addresses.len() as u64).map(builder).collect()
}

/// A node alone in its cluster, which hosts a counter.
async fn single() -> (Node, String, TempDir) {
    let (data, address) = (TempDir::new().expect("a temporary directory"), free_address());
    let builder = nodes(std::slice::from_ref(&address), &data).remove(0);
    let node = builder.start().expect("a node starts");
    node.host::<Counter>("hits").await.expect("it hosts");
    (node, address, data)
}

/// What a program does with a client.
async fn use_it() {
    let (node, address, _data) = single().await;
    let hits = CounterClient::connect([address], "hits").await.expect("the node is there");
    assert_eq!(hits.add(2).await.expect("added"), 2);
    let elsewhere = hits.clone();
    let added = thread::spawn(move || block_on(elsewhere.add(3).deadline("2s").into_future()));
    assert_eq!(added.join().expect("the thread ends").expect("added"), 5);
    assert_eq!(hits.get().await.expect("read"), 5);
    node.stop();
}

/// Awaits without any runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

// Goal: a remote client works under #[tokio::main].
#[tokio::test(flavor = "multi_thread")]
async fn client_works_under_tokio() {
    use_it().await;
}

// Goal: a remote client works under #[actix::main].
#[actix::test]
async fn client_works_under_actix() {
    use_it().await;
}

// Goal: a remote client works under #[actix_web::main].
#[actix_web::test]
async fn client_works_under_actix_web() {
    use_it().await;
}

// Goal: a remote client works in a plain `main`, whatever polls its futures.
#[tokio::test]
async fn client_works_on_the_runtime_of_its_callers() {
    let (node, address, _data) = single().await;
    let hits = CounterClient::connect([address], "hits").on_this_runtime().await.unwrap();
    assert_eq!(hits.add(2).await.unwrap(), 2);
    assert_eq!(hits.get().await.unwrap(), 2);
    node.stop();
}

#[test]
fn client_needs_the_runtime_that_it_asks_for() {
    let connecting = CounterClient::connect(["127.0.0.1:1"], "hits").on_this_runtime();
    let Err(error) = block_on(connecting.into_future()) else { panic!("there is no runtime") };
    assert_eq!(error.code(), Code::Config);
}

#[test]
fn client_works_without_a_runtime() {
    block_on(use_it());
}

// Goal: any node of three will do, whoever leads; many calls at once are each applied once, and
// clients of one program share nothing.
#[actix::test]
async fn any_node_of_three_will_do() {
    let data = TempDir::new().expect("a temporary directory");
    let addresses: Vec<String> = (0..3).map(|_| free_address()).collect();
    let start = |builder: NodeBuilder| builder.start().expect("a node starts");
    let nodes: Vec<Node> = nodes(&addresses, &data).into_iter().map(start).collect();
    for node in &nodes {
        node.host::<Counter>("hits").await.expect("it hosts");
    }
    let mut clients = Vec::new();
    for address in &addresses {
        let hits = CounterClient::connect([address], "hits").cluster("remote").deadline("10s");
        clients.push(hits.await.expect("the node is there"));
    }
    let calls = clients.iter().cycle().take(600);
    let calls: Vec<_> = calls.map(|hits| actix::spawn(hits.add(1).into_future())).collect();
    let mut totals = Vec::new();
    for call in calls {
        totals.push(call.await.expect("the call ends").expect("added"));
    }
    totals.sort_unstable();
    assert_eq!(totals, (1..=600).collect::<Vec<i64>>());
    for hits in &clients {
        assert_eq!(hits.get().await.expect("read"), 600);
    }
    nodes.iter().for_each(Node::stop);
}

// Goal: a client that is started before any node finds the group once a node is there.
#[actix::test]
async fn client_may_come_first() {
    let (data, address) = (TempDir::new().expect("a temporary directory"), free_address());
    let connecting = CounterClient::connect([&address], "hits").deadline("30s").into_future();
    let connecting = actix::spawn(connecting);
    // Long enough to be refused a few times, and it does not matter if not.
    actix::clock::sleep(Duration::from_millis(200)).await;
    let node = nodes(&[address], &data).remove(0).start().expect("a node starts");
    node.host::<Counter>("hits").await.expect("it hosts");
    let hits = connecting.await.expect("the search ends").expect("the node is there");
    assert_eq!(hits.add(1).await.expect("added"), 1);
    node.stop();
}

// Goal: where nobody is, each address is named with what is wrong there, at the deadline.
#[actix::test]
async fn nobody_listens() {
    let (first, second) = (free_address(), free_address());
    let begun = Instant::now();
    let error = CounterClient::connect([&first, &second], "hits").deadline("300ms").await;
    let error = error.err().expect("nobody is there");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!((error.code(), error.outcome()), (Code::Unreachable, Outcome::NotApplied));
    for address in [first, second] {
        assert!(error.message().contains(&format!("{address}: Connection refused")), "{error}");
    }
    let error = CounterClient::connect([] as [&str; 0], "hits").await.err().expect("nowhere");
    assert_eq!(error.code(), Code::Config);
    let error = CounterClient::connect(["127.0.0.1:1"], "hits").deadline("soon").await;
    assert_eq!(error.err().expect("no duration").code(), Code::InvalidArgument);
}

// Goal: a port that is no node's is called that, also one that accepts and says nothing.
#[actix::test]
async fn other_ports_are_told() {
    let strange = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = strange.local_addr().expect("it is bound").to_string();
    let (over, until_over) = mpsc::channel::<()>();
    let serving = thread::spawn(move || {
        let (mut stream, _) = strange.accept().expect("a client comes");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("it listens");
        let silent = strange.accept().expect("it comes again");
        until_over.recv().expect_err("the test ends, and says nothing");
        drop((stream, silent));
    });
    let error = CounterClient::connect([&address], "hits").deadline("700ms").await;
    let error = error.err().expect("it is no node");
    assert_eq!(error.code(), Code::Unreachable);
    assert!(error.message().contains("is no peer port of a node"), "{error}");
    drop(over);
    serving.join().expect("the thread ends");
}

// Goal: what no node will ever take is refused at once, with a sentence that says what is wrong.
#[actix::test]
async fn wrong_groups_are_refused_at_once() {
    let (node, address, _data) = single().await;
    let begun = Instant::now();
    let at = || [address.clone()];
    let refused = |error: Option<Error>, code, words: &[&str]| {
        let error = error.expect("it is wrong");
        assert_eq!((error.code(), error.outcome()), (code, Outcome::NotApplied), "{error}");
        words.iter().for_each(|words| assert!(error.message().contains(words), "{error}"));
    };
    let error = CounterClient::connect(at(), "hits").cluster("other").deadline("60s").await.err();
    refused(error, Code::OtherCluster, &["cluster \"remote\"", "the client wants \"other\""]);
    let error = elsewhere::SinkClient::connect(at(), "hits").deadline("60s").await.err();
    let offer = "a \"counter\" with the commands add(by: i64) and the queries get()";
    refused(error, Code::OtherType, &[offer, "the client is one of a \"sink\""]);
    let error = elsewhere::NewerClient::connect(at(), "hits").deadline("60s").await.err();
    refused(error, Code::OtherType, &[offer, "the client knows 2 by another name"]);
    // It is known only after a while that a node will host nothing more.
    let hosting = node.clone();
    let run = actix::spawn(async move { hosting.run().await });
    let error = CounterClient::connect(at(), "hist").deadline("60s").await.err();
    refused(error, Code::UnknownGroup, &["hosts no group \"hist\"", "did you mean \"hits\"?"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "nothing waits for the deadline");
    run.abort();

    let older = elsewhere::OlderClient::connect(at(), "hits").await;
    let older = older.expect("who calls less than there is does no harm");
    assert_eq!(older.add(1).await.expect("added"), 1);
    node.stop();
}

// Goal: calls beyond the window are refused and not queued, and the others are served.
#[actix::test]
async fn calls_are_bounded() {
    let (node, address, _data) = single().await;
    let hits = CounterClient::connect([address], "hits").await.expect("the node is there");
    let mut calls = Vec::new();
    for _ in 0..20_000 {
        calls.push(actix::spawn(hits.add(1).deadline("60s").into_future()));
    }
    let (mut added, mut busy) = (0, 0);
    for call in calls {
        match call.await.expect("the call ends") {
            Ok(_) => added += 1,
            Err(error) => {
                assert_eq!((error.code(), error.outcome()), (Code::Busy, Outcome::NotApplied));
                busy += 1;
            }
        }
    }
    // The window holds 2,048, of which the opening of the session takes one.
    assert!(busy > 0 && added >= 2_047, "{added} added, {busy} refused");
    assert_eq!(hits.get().await.expect("read"), added);
    node.stop();
}

// Goal: large commands and many large replies pass, each in a frame of its own if need be.
#[actix::test]
async fn large_commands_pass() {
    let (node, address, _data) = single().await;
    node.host::<Note>("note").await.expect("it hosts");
    let note = NoteClient::connect([address], "note").await.expect("the node is there");
    let length = consensus_actors::COMMAND_BYTES_MAX - 100;
    assert_eq!(note.write("x".repeat(length)).await.expect("it fits"), length as u64);
    let error = note.write("x".repeat(length + 200)).await.expect_err("it does not");
    assert_eq!((error.code(), error.outcome()), (Code::TooLarge, Outcome::NotApplied));
    let writes: Vec<_> = (0..40)
        .map(|_| actix::spawn(note.write("y".repeat(length)).deadline("60s").into_future()))
        .collect();
    for write in writes {
        assert_eq!(write.await.expect("the call ends").expect("written"), length as u64);
    }
    let reads: Vec<_> = (0..40).map(|_| actix::spawn(note.read().into_future())).collect();
    for read in reads {
        assert_eq!(read.await.expect("the call ends").expect("read").len(), length);
    }
    node.stop();
}

// Goal: a call that never left is denied; one that was on its way when its node ended is not.
#[actix::test]
async fn outcomes_are_true_when_the_node_ends() {
    let (node, address, _data) = single().await;
    let hits = CounterClient::connect([address], "hits").await.expect("the node is there");
    assert_eq!(hits.add(1).await.expect("added"), 1);
    node.stop();
    let error = hits.add(1).deadline("300ms").await.expect_err("nobody is there");
    assert_eq!(error.code(), Code::NoLeader, "{error}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
}

// Goal: who asks a remote client for a replica is told that there is none.
#[actix::test]
async fn remote_client_has_no_replica() {
    let (node, address, _data) = single().await;
    let hits = CounterClient::connect([address], "hits").await.expect("the node is there");
    let addr = std::panic::AssertUnwindSafe(|| hits.addr());
    let told = std::panic::catch_unwind(addr).expect_err("there is none");
    let told = told.downcast_ref::<&str>().expect("a sentence");
    assert!(told.contains("no replica in this process"), "{told}");
    node.stop();
}
