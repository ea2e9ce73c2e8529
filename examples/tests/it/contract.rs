//! What the HTTP interface promises, on whichever node is asked.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, PATIENCE},
    http::{self, ADD, Answer, GET, Http},
    process::eventually,
};

// Goal: any node takes commands and answers queries, and a query sees what was answered before it,
// wherever.
// Method: add on one node and read on the next, round robin.
#[test]
fn a_query_sees_every_add_that_was_answered() {
    let cluster = Cluster::start(3);
    let nodes = cluster.addresses();
    for round in 0..50 {
        let (adder, reader) = (nodes[round % 3], nodes[(round + 1 + round / 3 % 2) % 3]);
        let total = http::add(adder, 1);
        assert_eq!(total, round as i64 + 1);
        assert_eq!(http::value(reader), total, "added on {adder}, read on {reader}");
    }
}

// Goal: every node tells how it and its groups stand, and exactly one says that it leads.
// Method: read the status of each node once all have applied the same.
#[test]
fn the_status_tells_how_every_group_stands() {
    let cluster = Cluster::start(3);
    http::add(cluster.http(1), 1);
    let statuses = eventually("all nodes agree on one leader", PATIENCE, || {
        let read = |id| http::get(cluster.http(id), "/v1/status").json();
        let statuses: Vec<Value> = cluster.ids().map(read).collect();
        let of = |name: &'static str| statuses.iter().map(move |status| &status["groups"][0][name]);
        let leaders = of("role").filter(|role| *role == "leader").count();
        let agreed = ["leader", "term", "committed", "applied"].iter().all(|name| {
            let seen: BTreeSet<String> = of(name).map(Value::to_string).collect();
            seen.len() == 1 && !seen.contains("null")
        });
        (leaders == 1 && agreed).then_some(statuses)
    });
    for (id, status) in cluster.ids().zip(&statuses) {
        assert_eq!(status["node"], id);
        assert_eq!(status["groups"].as_array().map(Vec::len), Some(1));
        let group = &status["groups"][0];
        assert_eq!(group["name"], "hits");
        assert_eq!(group["protocol"], "raft");
        assert_eq!(group["members"], json!([1, 2, 3]));
        let role = if group["leader"] == id { "leader" } else { "follower" };
        assert_eq!(group["role"], role);
        assert_eq!(group["committed"], group["applied"]);
        assert!(group["term"].as_u64() >= Some(1) && group["applied"].as_u64() >= Some(2));
    }
}

// Goal: a node lives before it is ready, and is ready once there is a leader.
// Method: start one of three, then the second; later kill one of both.
#[test]
fn a_node_is_ready_once_a_majority_is_up() {
    let mut cluster = Cluster::prepare(3);
    cluster.start_node(1);
    let first = cluster.http(1);
    eventually("the first node lives", PATIENCE, || {
        Http::new().get(first, "/livez", &[]).ok().filter(|answer| answer.status == 200)
    });
    eventually("it says what it waits for", PATIENCE, || {
        let answer = http::get(first, "/readyz");
        assert_eq!(answer.status, 503, "{answer:?}");
        answer.text.contains("no leader known for hits").then_some(())
    });
    cluster.start_node(2);
    cluster.await_ready();
    assert_eq!(http::get(first, "/readyz").text, "ok\n");
    assert_eq!(http::add(first, 1), 1);
}

// Goal: a client that comes while a node starts is told to come again, and never that its group
// does not exist.
// Method: ask from the first moment on that the node answers, over several starts.
#[test]
fn a_starting_node_calls_no_group_unknown() {
    let mut cluster = Cluster::start(1);
    let node = cluster.http(1);
    for _ in 0..5 {
        cluster.kill(1);
        cluster.start_node(1);
        eventually("the node serves", PATIENCE, || {
            let answer = Http::new().get(node, GET, &[]).ok()?;
            if answer.status != 200 {
                assert_eq!(answer.status, 503, "{answer:?}");
                assert_eq!(answer.problem().outcome, "not_applied");
            }
            (answer.status == 200).then_some(())
        });
    }
}

// Goal: a name that is not known is answered with 404 and the name that was meant.
// Method: misspell the group, the command and the query; take one for the other; ask for another
// path.
#[test]
fn an_unknown_name_is_answered_with_the_one_that_was_meant() {
    let cluster = Cluster::start(3);
    for node in cluster.addresses() {
        let add = |path: &str| http::post(node, path, r#"{"by":1}"#);
        let get = |path: &str| http::get(node, path);
        let expected = [
            (add("/v1/groups/hist/commands/add"), "CX151", "did you mean \"hits\"?"),
            (get("/v1/groups/hist/queries/get"), "CX151", "did you mean \"hits\"?"),
            (get("/v1/groups/hist"), "CX151", "did you mean \"hits\"?"),
            (add("/v1/groups/hits/commands/ad"), "CX152", "did you mean \"add\"?"),
            (add("/v1/groups/hits/commands/drop"), "CX152", "its commands: add"),
            (get("/v1/groups/hits/queries/gett"), "CX152", "did you mean \"get\"?"),
            (add("/v1/groups/hits/commands/get"), "CX152", "GET /v1/groups/hits/queries/get"),
            (get("/v1/groups/hits/queries/add"), "CX152", "POST /v1/groups/hits/commands/add"),
            (get("/v2/status"), "CX154", "/v1/status"),
            (get("/"), "CX154", "/v1/status"),
        ];
        for (answer, code, advice) in expected {
            let detail = answer.refused(404, code);
            assert!(detail.contains(advice), "{detail}");
        }
    }
    assert_eq!(http::value(cluster.http(1)), 0, "nothing was applied");
}

// Goal: arguments that do not fit are refused with what the command takes.
// Method: malformed JSON, other JSON than an object, a wrong type, a missing and an unknown
// argument, on each node.
#[test]
fn unfit_arguments_are_refused() {
    let cluster = Cluster::start(3);
    let cases = [
        ("{\"by\":1", "CX153", "no JSON"),
        ("by=1", "CX153", "no JSON"),
        ("{\"by\":1} {}", "CX153", "no JSON"),
        ("[1]", "CX153", "no object"),
        ("1", "CX153", "no object"),
        ("null", "CX153", "no object"),
        (r#"{"by":"one"}"#, "CX150", "by: i64"),
        (r#"{"by":1.5}"#, "CX150", "by: i64"),
        (r#"{"by":9223372036854775808}"#, "CX150", "by: i64"),
        (r#"{"by":null}"#, "CX150", "by: i64"),
        ("{}", "CX150", "`by`"),
        (r#"{"bye":1}"#, "CX150", "`bye`"),
        (r#"{"by":1,"twice":true}"#, "CX150", "`twice`"),
    ];
    for node in cluster.addresses() {
        for (body, code, reason) in cases {
            let detail = http::post(node, ADD, body).refused(400, code);
            assert!(detail.contains(reason), "{body}: {detail}");
        }
    }
    assert_eq!(http::value(cluster.http(1)), 0, "nothing was applied");
}

// Goal: arguments may stand in the URL, are read as the type that is wanted, and are refused as
// those of a body are.
// Method: commands without a body, and queries, with arguments that fit and that do not.
#[test]
fn arguments_may_stand_in_the_url() {
    let cluster = Cluster::start(3);
    for (number, node) in cluster.addresses().into_iter().enumerate() {
        let post = |arguments: &str| http::post(node, &format!("{ADD}{arguments}"), "");
        let before = number as i64 * 5;
        assert_eq!(post("?by=7").number(), before + 7);
        assert_eq!(post("?by=-2").number(), before + 5);
        let refused = |answer: Answer, reason: &str| {
            let detail = answer.refused(400, "CX150");
            assert!(detail.contains(reason), "{detail}");
        };
        refused(post("?by=seven"), "by: i64");
        refused(post("?by="), "by: i64");
        refused(post(""), "`by`");
        refused(post("?by=1&by=2"), "`by`");
        refused(post("?by=1&twice=true"), "`twice`");
        refused(http::get(node, &format!("{GET}?key=a")), "`key`");
    }
    assert_eq!(http::value(cluster.http(3)), 15);
}

// Goal: a method that a path does not take is refused, with the one that it does.
// Method: every method on a command, a query and the status.
#[test]
fn a_wrong_method_is_refused() {
    let cluster = Cluster::start(1);
    let (node, http) = (cluster.http(1), Http::new());
    let all = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    for (path, right) in [(ADD, "POST"), (GET, "GET"), ("/v1/status", "GET"), ("/livez", "GET")] {
        for wrong in all.iter().filter(|method| **method != right) {
            let answer = http.send(wrong, node, path, &[], "").expect("the node answers");
            let detail = answer.refused(405, "CX155");
            let advised = detail.contains(&format!("use {right}"));
            assert!(advised && detail.contains(path), "{wrong} {path}: {detail}");
        }
    }
}

// Goal: HEAD is answered wherever GET is: load balancers send it.
// Method: send it to the pages that they ask, and to a query; a command refuses it.
#[test]
fn head_is_answered_as_get_without_a_body() {
    let cluster = Cluster::start(1);
    for (path, status) in [("/livez", 200), ("/readyz", 200), (GET, 200), (ADD, 405)] {
        let answer = Http::new().send("HEAD", cluster.http(1), path, &[], "");
        let answer = answer.expect("the node answers");
        assert_eq!((answer.status, &*answer.text), (status, ""), "{path}");
    }
    assert_eq!(http::value(cluster.http(1)), 0);
}

// Goal: a body beyond the bound is refused as any other error is, and the node goes on.
// Method: a body of five million bytes, and one whose command would not fit into the log.
#[test]
fn a_body_that_is_too_large_is_refused() {
    let cluster = Cluster::start(1);
    let (node, http) = (cluster.http(1), Http::new());
    for length in [5_000_000, 4 << 20] {
        let body = " ".repeat(length) + r#"{"by":1}"#;
        let answer = http.send("POST", node, ADD, &[], &body).expect("the node answers");
        let detail = answer.refused(413, "CX112");
        assert!(detail.contains("4194304"), "{detail}");
    }
    assert_eq!(http::add(node, 1), 1);
}

// Goal: a caller's deadline is read, and refused when it is none.
// Method: the header with durations and with other text.
#[test]
fn a_deadline_that_is_none_is_refused() {
    let cluster = Cluster::start(1);
    let (node, http) = (cluster.http(1), Http::new());
    let add = |deadline: &str| {
        let answer = http.add(node, 1, &[("Consensus-Deadline", deadline)]);
        answer.expect("the node answers")
    };
    for deadline in ["soon", "5", "-1s", "1h", "", "99999999999999999999s", "ß"] {
        let detail = add(deadline).refused(400, "CX150");
        assert!(detail.contains("250ms") || detail.contains("ASCII"), "{detail}");
    }
    assert_eq!(add("10s").number(), 1);
    assert_eq!(add("500ms").number(), 2);
    // More than any clock holds is for ever, and no reason to fail.
    assert_eq!(add("18446744073709551615s").number(), 3);
    assert_eq!(add("18446744073709551615ms").number(), 4);
}

// Goal: a node that runs normally logs next to nothing.
// Method: count the lines of every node after a few hundred calls.
#[test]
fn normal_running_is_quiet() {
    let mut cluster = Cluster::start(3);
    let http = Http::with_patience(Duration::from_secs(10));
    for round in 0..100 {
        for node in cluster.addresses() {
            http.add(node, 1, &[]).expect("the node answers").number();
            http.get(node, GET, &[]).expect("the node answers").number();
            let refused = http.send("POST", node, ADD, &[], "{}").expect("the node answers");
            assert_eq!(refused.status, 400, "round {round}");
        }
    }
    let leader = cluster.leader();
    for id in cluster.ids() {
        let log = cluster.process(id).log();
        // It started; it may have taken the lead, and with bad luck a second time.
        assert!(log.lines().count() <= 3, "node {id}, leader {leader}:\n{log}");
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "node {id}:\n{log}");
    }
}

// Goal: a node answers no web page from elsewhere, whether it names its origin or a host that was
// made to point here.
// Method: send a command with each header from elsewhere, which must change nothing, and from here.
#[test]
fn a_foreign_web_page_is_refused() {
    let cluster = Cluster::start(1);
    let node = cluster.http(1);
    let send = |header| Http::new().send("POST", node, ADD, &[header], r#"{"by":1}"#);
    for header in [("Origin", "http://evil.example"), ("Host", "evil.example")] {
        send(header).expect("the node answers").refused(403, "CX156");
    }
    assert_eq!(http::value(node), 0);
    let local = send(("Origin", "http://localhost:3000")).expect("the node answers");
    assert_eq!(local.number(), 1);
}
