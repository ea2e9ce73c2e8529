//! Clients in programs that are no members, while nodes are killed, stand still, and are visited by
//! strangers.

use std::{
    future::IntoFuture,
    io::Write,
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use consensus_actors::{CommitToken, prelude::*};
use serde_json::json;
use tokio::{runtime::Runtime, task::LocalSet};

use crate::{
    cluster::{Cluster, PATIENCE},
    http,
    load::{Add, History},
    peer,
    process::{Signal, counter_command, eventually, run, signal},
    transport::await_closed,
};

/// What the nodes of `examples/counter.rs` host.
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

/// How long an add may take at most until it has a definite answer.
const DEFINITE_WITHIN: Duration = Duration::from_secs(30);

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn peers(cluster: &Cluster) -> Vec<SocketAddr> {
    cluster.ids().map(|id| cluster.peer(id)).collect()
}

async fn connect(addresses: &[SocketAddr]) -> CounterClient {
    let addresses = addresses.iter().map(ToString::to_string);
    let hits = CounterClient::connect(addresses, "hits").deadline(PATIENCE);
    hits.await.expect("a node is there")
}

/// Starts a program that adds until `until`, some calls at a time over one client.
fn program(addresses: Vec<SocketAddr>, until: Instant) -> JoinHandle<Vec<Add>> {
    const AT_A_TIME: i64 = 8;
    thread::spawn(move || {
        LocalSet::new().block_on(&runtime(), async {
            let hits = connect(&addresses).await;
            let adder = |by| {
                let hits = hits.clone();
                tokio::task::spawn_local(async move {
                    let mut adds = Vec::new();
                    while Instant::now() < until {
                        let begun = Instant::now();
                        let total = hits.add(by).deadline(DEFINITE_WITHIN).await;
                        let total = total.expect("there is a definite answer in the end");
                        adds.push(Add { by, total, begun, ended: Instant::now(), sent: 1 });
                    }
                    adds
                })
            };
            let mut adds = Vec::new();
            for adder in (1..=AT_A_TIME).map(adder).collect::<Vec<_>>() {
                adds.extend(adder.await.expect("an adder fails"));
            }
            adds
        })
    })
}

// Goal: four programs add while the leader dies again and again: every add is answered in the end,
// and counts once, whichever connection it was sent over and how often.
// Method: the leader is killed with SIGKILL every two seconds; the answers must be those of one
// counter, and in the end every node's own.
#[test]
fn remote_adds_survive_the_death_of_the_leader() {
    let mut cluster = Cluster::start_alone(3);
    let begun = Instant::now();
    let until = begun + Duration::from_secs(16);
    // Each knows one node: the others it learns.
    let known = peers(&cluster).into_iter().cycle().take(4);
    let programs: Vec<_> = known.map(|peer| program(vec![peer], until)).collect();
    let mut kills = 0;
    while Instant::now() < until {
        let leader = cluster.leader();
        cluster.kill(leader);
        kills += 1;
        thread::sleep(Duration::from_secs(1));
        cluster.start_node(leader);
        thread::sleep(Duration::from_secs(1));
    }
    let adds = programs.into_iter().flat_map(|program| program.join().expect("a program fails"));
    let history = History::of_adds(adds.collect(), begun);
    eprintln!("{kills} times the leader killed: {}", history.summary());
    assert!(kills >= 4, "{kills} kills");
    history.check();
    cluster.await_ready();
    for id in cluster.ids() {
        assert_eq!(http::value(cluster.http(id)), history.sum(), "node {id}");
    }
}

// Goal: a call keeps its deadline when all nodes stand still, says that it may have been applied,
// and is counted once at most when they go on.
#[test]
fn deadline_is_kept_when_all_nodes_stand_still() {
    let mut cluster = Cluster::start(3);
    let addresses = peers(&cluster);
    runtime().block_on(async {
        let hits = connect(&addresses).await;
        assert_eq!(hits.add(1).await.expect("added"), 1);
        cluster.ids().for_each(|id| signal(cluster.process(id).pid(), Signal::Stop));
        let begun = Instant::now();
        let error = hits.add(10).deadline("700ms").await.expect_err("nobody answers");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(3), "{took:?}");
        assert_eq!((error.code(), error.outcome()), (Code::Deadline, Outcome::Unknown), "{error}");
        let error = hits.get().deadline("300ms").await.expect_err("nobody answers");
        assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");

        cluster.ids().for_each(|id| signal(cluster.process(id).pid(), Signal::Continue));
        let total = hits.add(100).deadline(PATIENCE).await.expect("they go on");
        assert!([101, 111].contains(&total), "{total}");
    });
}

// Goal: a leader that stands still, and whose connections stay open therefore, is left for the
// next.
#[test]
fn standing_leader_is_left() {
    let mut cluster = Cluster::start(3);
    let addresses = peers(&cluster);
    runtime().block_on(async {
        let hits = connect(&addresses).await;
        assert_eq!(hits.add(1).await.expect("added"), 1);
        let leader = cluster.leader();
        signal(cluster.process(leader).pid(), Signal::Stop);
        let total = hits.add(10).deadline(PATIENCE).await.expect("another leads");
        assert_eq!(total, 11, "it counts once, though two leaders were asked");
        signal(cluster.process(leader).pid(), Signal::Continue);
        assert_eq!(hits.add(100).deadline(PATIENCE).await.expect("added"), 111);
    });
}

// Goal: what no client would say closes its connection with a logged reason, and nothing else
// happens.
// Method: greet as a client would, then send what is no frame, no items, no request, a request to
// another group, and what only nodes say.
#[test]
fn garbage_of_a_client_closes_its_connection_only() {
    let mut cluster = Cluster::prepare(1);
    cluster.start_node(1);
    cluster.await_ready();
    let port = cluster.peer(1);
    let mut wrong = peer::frame(&peer::item("hits", 1, b"a request"));
    wrong[4] ^= 1;
    let many = peer::item("hits", 1, &[0, 0, 0, 0, 0, 0, 0, 0, 2]).repeat(5_000);
    let cases = [
        (vec![0xff; 64], "a frame of"),
        (wrong, "checksum"),
        ((3_u32 << 20).to_le_bytes().repeat(3), "a frame of 3145728 bytes, more than 2097152"),
        (peer::frame(b"no items"), ""),
        (peer::frame(&peer::item("hits", 9, b"")), "item"),
        (peer::frame(&peer::item("hits", 0, b"a message")), "no request to the client's group"),
        (peer::frame(&peer::item("misses", 1, b"?")), "no request to the client's group"),
        (peer::frame(&peer::item("hits", 1, b"short")), ""),
        (peer::frame(&peer::item("hits", 1, &[0xff; 200])), "request"),
        (peer::frame(&many), "more than 4096 requests"),
    ];
    for (bytes, reason) in &cases {
        let mut stream = peer::visit(3, port).expect("the node takes clients");
        stream.write_all(bytes).expect("the socket takes bytes");
        await_closed(&mut stream);
        let address = stream.local_addr().expect("a bound socket").to_string();
        cluster.await_log(1, &["WARN", "connection closed", reason, &address]);
    }
    let (ground, reason) = peer::visit(2, port).expect_err("the version is wrong");
    assert_eq!(ground, "OtherVersion");
    assert!(reason.contains("n1 speaks version 3") && reason.contains("version 2"), "{reason}");
    assert_eq!(http::add(cluster.http(1), 1), 1);
    assert!(cluster.process(1).ended().is_none());
}

// Goal: a node takes so many clients and tells the next; those it has, and its peers, notice
// nothing; a place that is left is given again. How many there are stands in the node's status.
#[test]
fn clients_beyond_the_bound_are_sent_away() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let follower = cluster.ids().find(|id| *id != leader).expect("there are others");
    let port = cluster.peer(leader);
    let mut visitors: Vec<_> =
        (0..256).map(|_| peer::visit(3, port).expect("there is a place")).collect();
    let (ground, reason) = peer::visit(3, port).expect_err("there is none");
    assert_eq!(ground, "TooManyClients");
    assert!(reason.contains("has 256 clients, the most it takes"), "{reason}");
    let clients = |id| http::get(cluster.http(id), "/v1/status").json()["clients"].clone();
    assert_eq!(clients(leader), json!({ "connected": 256, "max": 256 }));
    assert_eq!(clients(follower), json!({ "connected": 0, "max": 256 }));
    let shown = |id| {
        let addr = cluster.http(id).to_string();
        run(counter_command().args(["status", "--addr", &addr])).out
    };
    let all = format!("node {leader} of cluster test, 256 of 256 remote clients\n");
    assert!(shown(leader).starts_with(&all), "{}", shown(leader));
    let none = format!("node {follower} of cluster test\n");
    assert!(shown(follower).starts_with(&none), "{}", shown(follower));
    runtime().block_on(async {
        let at = [port.to_string()];
        let error = CounterClient::connect(at, "hits").deadline("500ms").await;
        assert_eq!(error.err().expect("there is no place").code(), Code::TooManyClients);
    });
    cluster.kill(follower);
    cluster.start_node(follower);
    cluster.await_ready();
    assert_eq!(http::add(cluster.http(follower), 1), 1);
    cluster.settle();

    visitors.truncate(200);
    eventually("the places are given again", PATIENCE, || peer::visit(3, port).ok());
    let clients = || http::get(cluster.http(leader), "/v1/status").json()["clients"].clone();
    eventually("so many are left", PATIENCE, || {
        // The visitor that found a place again is gone.
        (clients()["connected"] == 200).then_some(())
    });
    for visitor in &mut visitors {
        visitor.write_all(&peer::frame(b"")).expect("the connection is open");
        peer::read(visitor).expect("where the leader is");
        peer::read(visitor).expect("and again, as it was asked for");
    }
}

// Goal: a program that ends its client, or never awaits its calls, leaves nothing behind.
#[test]
fn dropped_clients_leave_their_places() {
    let mut cluster = Cluster::prepare(1);
    cluster.start_node(1);
    cluster.await_ready();
    let addresses = peers(&cluster);
    runtime().block_on(async {
        // More than there are places.
        for total in 1..=300 {
            let hits = connect(&addresses).await;
            assert_eq!(hits.add(1).await.expect("added"), total);
            drop(hits.add(1).into_future());
        }
    });
    assert_eq!(http::value(cluster.http(1)), 300);
}

/// The counter as a program has it that bears old values, unless it says otherwise at the call.
mod content {
    use super::*;

    #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
    #[replica(name = "counter")]
    pub(super) struct Patient {
        value: i64,
    }

    #[replicated]
    impl Patient {
        #[query(read = stale(max_lag = "10m"))]
        fn get(&self) -> i64 {
            self.value
        }
    }
}

/// Returns the token of a place that is so far behind another in the log.
fn later(token: &CommitToken, by: u64) -> CommitToken {
    let text = token.to_string();
    let (group, index) = text.split_once('-').expect("a token has a group and an index");
    let index = index.parse::<u64>().expect("an index is a number") + by;
    format!("{group}-{index}").parse().expect("it is a token")
}

// Goal: a remote client reads at every level that a client in a node does, by its method's default
// or by what is said at the call, and what a level cannot serve is refused, never weakened: with a
// leader, and with one follower left of all nodes, which is asked then.
#[test]
fn remote_reads_keep_their_level() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let left = cluster.ids().find(|id| *id != leader).expect("there are others");
    let addresses = peers(&cluster);
    runtime().block_on(async {
        let hits = connect(&addresses).await;
        let texts = addresses.iter().map(ToString::to_string);
        let patient = content::PatientClient::connect(texts, "hits").deadline(PATIENCE).await;
        let patient = patient.expect("a node is there");
        let (total, token) = hits.add(7).token().await.expect("added");
        assert_eq!(total, 7);
        assert_eq!(hits.get().await.expect("read"), 7);
        assert_eq!(hits.get().after(token).await.expect("read"), 7);
        assert_eq!(hits.get().stale("10m").await.expect("read"), 7);
        assert_eq!(patient.get().linearizable().await.expect("read"), 7);
        let foreign = "0123456789abcdef-1".parse().expect("it is a token");
        let error = hits.get().after(foreign).await.expect_err("it is of another group");
        assert_eq!((error.code(), error.outcome()), (Code::ForeignToken, Outcome::NotApplied));
        let error = hits.get().stale("soon").await.expect_err("that is no duration");
        assert_eq!(error.code(), Code::InvalidArgument);
        let behind = hits.get().after(later(&token, 9)).deadline("500ms").await;
        assert_eq!(behind.expect_err("nobody has applied that").code(), Code::Behind);

        // The one that is left can prove how fresh its state was.
        assert_eq!(http::value(cluster.http(left)), 7);
        let others: Vec<u64> = cluster.ids().filter(|id| *id != left).collect();
        others.into_iter().for_each(|id| cluster.kill(id));
        assert_eq!(hits.get().stale("10m").deadline(PATIENCE).await.expect("read"), 7);
        assert_eq!(patient.get().deadline(PATIENCE).await.expect("read"), 7);
        assert_eq!(hits.get().after(token).deadline(PATIENCE).await.expect("read"), 7);
        let refusals = [
            (hits.get(), Code::NoLeader),
            (patient.get().linearizable(), Code::NoLeader),
            (patient.get().stale("1ms"), Code::TooStale),
            (hits.get().after(later(&token, 9)), Code::Behind),
        ];
        for (call, code) in refusals {
            let error = call.deadline("2s").await.expect_err("there is no majority");
            assert_eq!((error.code(), error.outcome()), (code, Outcome::NotApplied), "{error}");
        }
        let error = hits.add(1).deadline("2s").await.expect_err("there is no majority");
        assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
    });
}
