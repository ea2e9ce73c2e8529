//! Who takes part: nodes that wait to be added, that move, and that were forgotten by their flags.

use std::time::Duration;

use serde_json::Value;

use crate::{
    cluster::{Cluster, PATIENCE, serve},
    http,
    process::{eventually, free_address, run, throughout},
};

/// Returns what a node says of the members.
fn members(cluster: &Cluster, id: u64) -> Value {
    http::get(cluster.http(id), "/v1/members").json()
}

/// Returns why a node is not ready.
fn unready(cluster: &Cluster, id: u64) -> Option<String> {
    let answer = http::Http::new().get(cluster.http(id), "/readyz", &[]).ok()?;
    (answer.status == 503).then_some(answer.text)
}

// Goal: a node that is to join hosts its groups, finds the cluster, disturbs nobody, says what it
// waits for, and is told of to operators; so it does after a restart without flags, too.
// Method: start a fourth node beside three; look at it, and at what the others say.
#[test]
fn a_node_that_joins_waits_to_be_added() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let term = cluster.status(leader).expect("the leader answers").term;
    let fourth = cluster.spare();
    cluster.start_node(fourth);
    let address = cluster.peer(fourth).to_string();
    for _ in 0..2 {
        let advice = format!("waits to be added to cluster \"test\": run `add 4 {address}`");
        eventually("the fourth node says what it waits for", PATIENCE, || {
            unready(&cluster, fourth).filter(|reason| reason.contains(&advice))
        });
        cluster.await_log(fourth, &[&advice]);
        for id in 1..=3 {
            eventually("all members know of it", PATIENCE, || {
                let members = members(&cluster, id);
                let waiting = members["waiting"].get(0)?;
                assert_eq!(waiting["id"], 4, "{members}");
                assert_eq!(waiting["address"], *address, "{members}");
                Some(())
            });
        }
        throughout("it stays quiet", Duration::from_secs(1), || {
            let status = cluster.status(fourth).expect("the fourth node answers");
            status.term == 0 && status.leader.is_none()
        });
        cluster.kill(fourth);
        cluster.start_node_again(fourth);
    }
    let table = run(crate::process::counter_command().args([
        "members",
        "--addr",
        &cluster.http(1).to_string(),
    ]));
    for words in ["n1 ", "n3 ", "voter", "n4 waits to be added: `add 4 "] {
        assert!(table.out.contains(words), "{words:?} is missing in {}", table.out);
    }
    let status = cluster.status(leader).expect("the leader answers");
    assert_eq!((&*status.role, status.term), ("leader", term), "nobody was disturbed");
    assert_eq!(http::add(cluster.http(1), 1), 1);
}

// Goal: a node may come back elsewhere: it tells its peers, and they and it remember.
// Method: move one of three to another port, by flag; then start all from their directories alone.
#[test]
fn a_node_that_moves_is_found() {
    let mut cluster = Cluster::start(3);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    cluster.settle();
    let moved = cluster.ids().find(|id| *id != cluster.leader()).expect("there are followers");
    cluster.kill(moved);
    let (former, elsewhere) = (cluster.peer(moved).to_string(), free_address());
    cluster.move_to(moved, elsewhere);
    cluster.start_node_with(moved, &[]);
    cluster.await_ready();
    let told = format!("address={elsewhere}");
    for id in cluster.ids().filter(|id| *id != moved) {
        cluster.await_log(id, &["the peer listens there now", &format!("peer=n{moved}"), &told]);
    }
    assert_eq!(http::add(cluster.http(moved), 1), 2);
    cluster.settle();

    cluster.kill_all();
    cluster.ids().for_each(|id| cluster.start_node_again(id));
    cluster.await_ready();
    assert_eq!(http::value(cluster.http(moved)), 2);
    cluster.settle();
    for id in cluster.ids() {
        let members = members(&cluster, id);
        assert!(!members.to_string().contains(&former), "{id} still knows {former}: {members}");
        assert_eq!(members["members"][moved as usize - 1]["address"], *elsewhere.to_string());
    }
}

// Goal: a founder that lost its data is refused with what to do, and idles.
// Method: wipe one of three and start it under its old id; ask it whether it is ready.
#[test]
fn a_wiped_node_says_what_to_do() {
    let mut cluster = Cluster::start(3);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    cluster.settle();
    let wiped = cluster.ids().find(|id| *id != cluster.leader()).expect("there are followers");
    cluster.kill(wiped);
    std::fs::remove_dir_all(cluster.data(wiped)).expect("the directory can be removed");
    cluster.start_node(wiped);
    let advice = format!("run `replace {wiped} NEW ADDRESS`");
    eventually("it says what to do", PATIENCE, || {
        unready(&cluster, wiped).filter(|reason| reason.contains(&advice))
    });
    assert!(cluster.process(wiped).ended().is_none(), "it does not end, to be started again");
    assert_eq!(http::value(cluster.http(cluster.leader_of(&[1, 2, 3]))), 1);
}

// Goal: a data directory is a founder's or that of a node that joined, for good: no flag lets the
// one join or the other found, over data that others rely on.
// Method: --join on a founder's directory; --peers on one of a node that joined; --join without an
// address to be called at, and beside --peers.
#[test]
fn founders_do_not_join_and_joined_nodes_do_not_found() {
    let mut cluster = Cluster::start(1);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    let second = cluster.spare();
    cluster.start_node(second);
    eventually("the second node answers", PATIENCE, || unready(&cluster, second));
    cluster.kill_all();
    let refused = |id: u64, flags: Vec<(&'static str, String)>, words: &[&str]| {
        let flags = [flags, cluster.flags_of_a_later_start(id)].concat();
        let done = run(&mut serve(flags, &[]));
        assert_eq!(done.code, Some(2), "{done:?}");
        for word in ["CX405"].iter().chain(words) {
            assert!(done.err.contains(word), "{word:?} is missing in {}", done.err);
        }
    };
    let (first_peer, second_peer) = (cluster.peer(1).to_string(), cluster.peer(second).to_string());
    let listen = |address: &str| ("--listen", address.to_owned());
    let join = || ("--join", second_peer.clone());
    refused(1, vec![join(), listen(&first_peer)], &["founded a cluster", "--join", "--data"]);
    let peers = ("--peers", format!("1={first_peer},2={second_peer}"));
    refused(second, vec![peers.clone()], &["joined its cluster", "--peers", "--data"]);
    refused(second, vec![peers, join()], &["node 2 is among --peers", "to join one"]);
    let elsewhere = cluster.dir().join("fresh").display().to_string();
    let flags = [vec![join()], cluster.flags_of_a_later_start(second)].concat();
    let done = run(&mut serve(flags, &[("--data", &elsewhere)]));
    assert!(done.err.contains("CX405") && done.err.contains("--listen"), "{done:?}");

    cluster.start_node_again(1);
    cluster.start_node_again(second);
    eventually("the founder serves", PATIENCE, || {
        cluster.status(1).filter(|status| status.role == "leader")
    });
    assert_eq!(http::value(cluster.http(1)), 1);
    assert!(unready(&cluster, second).is_some_and(|reason| reason.contains("waits to be added")));
}
