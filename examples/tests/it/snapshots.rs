//! Snapshots of real nodes: taken, listed, sent to who is far behind, and all that a cluster starts
//! from.

use serde_json::Value;

use crate::{
    cluster::Cluster,
    http,
    process::{counter_command, eventually, run},
};

const SNAPSHOTS: &str = "/v1/groups/hits/snapshots";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Returns a number of a node's status of its group.
fn status(cluster: &Cluster, id: u64, name: &str) -> u64 {
    let status = http::get(cluster.http(id), "/v1/status").json();
    status["groups"][0][name].as_u64().expect("the status has this number")
}

fn indices(cluster: &Cluster, id: u64) -> Vec<u64> {
    let listed = http::get(cluster.http(id), SNAPSHOTS).json();
    let listed = listed["snapshots"].as_array().cloned().unwrap_or_default();
    listed.iter().filter_map(|snapshot| snapshot["index"].as_u64()).collect()
}

// Goal: a node that was killed and is far behind gets a snapshot, all nodes start again from theirs,
// nothing acknowledged is lost, and what is repeated across that applies once (SES-P02).
// Method: one node misses writes; the others take snapshots and are restarted, which leaves them
// without the entries that it lacks.
#[test]
fn who_is_far_behind_gets_a_snapshot() {
    far_behind(Cluster::start(3));
}

// Goal: the same holds under Multi-Paxos, where whoever lacks something fetches it.
#[test]
fn who_is_far_behind_fetches_a_snapshot_under_multi_paxos() {
    far_behind(Cluster::start_under(3, "multi_paxos"));
}

fn far_behind(mut cluster: Cluster) {
    let mut total = 0;
    for key in 0..20 {
        total += 1;
        assert_eq!(http::add_keyed(cluster.http(1), 1, &format!("early-{key}")).number(), total);
    }
    cluster.settle();
    cluster.kill(3);
    for key in 0..20 {
        total += 1;
        assert_eq!(http::add_keyed(cluster.http(1), 1, &format!("late-{key}")).number(), total);
    }
    for id in [1, 2] {
        let taken = http::post(cluster.http(id), SNAPSHOTS, "");
        assert_eq!(taken.status, 200, "{taken:?}");
        let index = taken.json()["index"].as_u64().expect("it says which");
        assert_eq!(indices(&cluster, id).last(), Some(&index));
        eventually("the log is let go behind it", PATIENCE, || {
            (status(&cluster, id, "snapshot") == index).then_some(())
        });
    }
    [1, 2].into_iter().for_each(|id| cluster.kill(id));
    [1, 2].into_iter().for_each(|id| cluster.start_node(id));
    cluster.await_ready();
    assert!(status(&cluster, 1, "first") > 20, "the entries are gone");

    cluster.start_node(3);
    cluster.await_ready();
    cluster.settle();
    assert!(status(&cluster, 3, "snapshot") > 20, "it was given a snapshot");
    for key in ["early-3", "late-7"] {
        let repeated = http::add_keyed(cluster.http(3), 1, key).number();
        assert!(repeated < total, "{key} is answered as it was");
    }
    assert_eq!(http::value(cluster.http(3)), total);
    assert_eq!(cluster.values_one_by_one(), [total; 3]);
}

// Goal: snapshots are taken by themselves as the log grows, old ones go, and the command line shows
// and takes them.
#[test]
fn snapshots_are_taken_as_the_log_grows() {
    let mut cluster = Cluster::prepare(1);
    cluster.start_node_with(1, &[("--snapshot-every", "10")]);
    cluster.await_ready();
    for total in 1..=60 {
        assert_eq!(http::add(cluster.http(1), 1), total);
    }
    eventually("several were taken and old ones are gone", PATIENCE, || {
        let indices = indices(&cluster, 1);
        (indices.len() == 2 && indices.iter().all(|index| *index > 20)).then_some(())
    });
    let node = cluster.http(1).to_string();
    let saved = run(counter_command().args(["snapshot", "save", "hits", "--addr", &node]));
    assert_eq!(saved.code, Some(0), "{saved:?}");
    assert!(saved.out.starts_with("snapshot of hits up to "), "{saved:?}");
    let listed =
        run(counter_command()
            .args(["snapshot", "list", "hits", "--addr", &node, "--output", "json"]));
    let listed: Value = serde_json::from_str(&listed.out).expect("it is JSON");
    let last = listed["snapshots"].as_array().and_then(|list| list.last()).cloned();
    let last = last.expect("one was just taken");
    assert!(saved.out.trim_end().ends_with(&last["index"].to_string()), "{saved:?}, {last}");
    http::get(cluster.http(1), "/v1/groups/hit/snapshots").refused(404, "CX151");
}
