//! Handing the lead over by hand.

use serde_json::json;

use crate::{
    cluster::{Cluster, PATIENCE},
    http,
    process::{counter_command, eventually, run},
};

const TRANSFER: &str = "/v1/groups/hits/transfer";

// Goal: the lead goes where it is asked to go, whichever node is asked, and calls go on.
// Method: each node is asked that each lead, in the body, in the URL and on the command line.
#[test]
fn the_lead_goes_where_it_is_asked_to_go() {
    let cluster = Cluster::start(3);
    let mut total = 0;
    for (asked, to) in [(1, 1), (1, 2), (1, 3), (2, 1), (3, 2), (2, 3)] {
        let answer = http::post(cluster.http(asked), TRANSFER, &json!({ "to": to }).to_string());
        assert_eq!((answer.status, answer.json()), (200, json!({ "leader": to })));
        assert_eq!(cluster.leader(), to);
        total += 1;
        assert_eq!(http::add(cluster.http(asked), 1), total);
    }
    let answer = http::post(cluster.http(1), &format!("{TRANSFER}?to=2"), "");
    assert_eq!(answer.json(), json!({ "leader": 2 }));

    let node = cluster.http(3).to_string();
    let done = run(counter_command().args(["transfer-leader", "hits", "1", "--addr", &node]));
    assert_eq!((done.code, &*done.out), (Some(0), "n1 leads hits\n"), "{done:?}");
    let done = run(counter_command().args(["transfer-leader", "hits", "--addr", &node]));
    let leader = cluster.leader();
    assert_ne!(leader, 1, "somebody else leads");
    assert_eq!((done.code, done.out), (Some(0), format!("n{leader} leads hits\n")));
}

// Goal: what cannot be is refused, with what to do.
// Method: a node that is no member, a body that is none, another method, an unknown group; and a
// node alone, which has nobody to hand over to.
#[test]
fn what_cannot_lead_is_not_handed_the_lead() {
    let cluster = Cluster::start(3);
    let node = cluster.http(1);
    let sentence = http::post(node, TRANSFER, r#"{"to":9}"#).refused(422, "CX120");
    assert!(sentence.contains("n9 is no voting member"), "{sentence}");
    http::post(node, TRANSFER, r#"{"to":0}"#).refused(400, "CX153");
    http::post(node, TRANSFER, r#"{"from":1}"#).refused(400, "CX153");
    http::post(node, &format!("{TRANSFER}?to=x"), "").refused(400, "CX150");
    http::post(node, "/v1/groups/hit/transfer", "").refused(404, "CX151");
    http::get(node, TRANSFER).refused(405, "CX155");

    let done =
        run(counter_command().args(["transfer-leader", "hits", "9", "--addr", &node.to_string()]));
    assert_eq!((done.code, &*done.out), (Some(1), ""), "{done:?}");
    assert!(done.err.contains("CX120") && done.err.contains("not_applied"), "{done:?}");

    let alone = Cluster::start(1);
    http::post(alone.http(1), TRANSFER, "").refused(503, "CX121");
}

// Goal: the node of the highest priority leads once it has been there for a while, whoever led
// before, and stays.
// Method: one of three is started with a higher priority, and another is asked to lead.
#[test]
fn the_node_of_the_highest_priority_takes_the_lead() {
    let mut cluster = Cluster::prepare(3);
    for id in cluster.ids() {
        cluster.start_node_with(id, if id == 3 { &[("--priority", "200")] } else { &[] });
    }
    cluster.await_ready();
    // On a machine that is busy it may not be there in time, and the leader goes on.
    eventually("node 1 leads", PATIENCE, || {
        let answer = http::post(cluster.http(1), TRANSFER, r#"{"to":1}"#);
        (answer.status == 200).then_some(())
    });
    let priority =
        |id| http::get(cluster.http(id), "/v1/status").json()["groups"][0]["priority"].clone();
    assert_eq!((priority(1), priority(3)), (json!(100), json!(200)));
    eventually("node 3 leads", PATIENCE, || (cluster.leader() == 3).then_some(()));
    cluster.await_log(1, &["hands the lead over unasked", "n3"]);
    assert_eq!(http::add(cluster.http(2), 1), 1);
}
