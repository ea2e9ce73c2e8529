//! `counter status` and `counter call`, for people and for scripts.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    process::Command,
    thread,
};

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, PATIENCE},
    http,
    process::{Done, counter_command, eventually, free_address, run},
};

/// Runs `counter` against a node.
fn counter(node: SocketAddr, arguments: &[&str]) -> Done {
    run(command(node).args(arguments))
}

fn command(node: SocketAddr) -> Command {
    let mut command = counter_command();
    command.env("CONSENSUS_ADDR", node.to_string());
    command
}

/// Runs `counter` against a node, and checks that it ends with success; returns what it printed.
#[track_caller]
fn prints(node: SocketAddr, arguments: &[&str]) -> String {
    let done = counter(node, arguments);
    assert_eq!((done.code, &*done.err), (Some(0), ""), "{arguments:?}: {done:?}");
    done.out
}

/// Runs `counter` against a node, and checks that it fails so; returns its one line.
#[track_caller]
fn fails(node: SocketAddr, arguments: &[&str], code: i32) -> String {
    let done = counter(node, arguments);
    assert_eq!((done.code, &*done.out), (Some(code), ""), "{arguments:?}: {done:?}");
    assert!(done.err.starts_with("error: ") && done.err.lines().count() == 1, "{done:?}");
    done.err
}

// Goal: commands and queries are called by name, on any node, and print what they reply.
// Method: add and get, bare and as JSON, with the address as a flag and from the environment.
#[test]
fn call_prints_the_reply() {
    let cluster = Cluster::start(3);
    let nodes = cluster.addresses();
    assert_eq!(prints(nodes[0], &["call", "hits", "add", "by=2"]), "2\n");
    assert_eq!(prints(nodes[1], &["call", "hits", "get"]), "2\n");
    assert_eq!(prints(nodes[2], &["call", "hits", "add", "by=-5"]), "-3\n");
    let out = prints(nodes[0], &["call", "hits", "get", "--output", "json"]);
    let json: Value = serde_json::from_str(&out).expect("the output is JSON");
    assert_eq!(json["reply"], json!(-3));
    assert!(json["token"].is_string(), "{json}");
    let address = nodes[1].to_string();
    assert_eq!(prints(free_address(), &["call", "hits", "get", "--addr", &address]), "-3\n");
}

// Goal: a key makes a repeated call apply once.
// Method: the same call twice, and once with another argument.
#[test]
fn call_under_a_key_applies_once() {
    let cluster = Cluster::start(1);
    let node = cluster.http(1);
    for _ in 0..2 {
        let arguments = ["call", "hits", "add", "by=2", "--idempotency-key", "k"];
        assert_eq!(prints(node, &arguments), "2\n");
    }
    let error = fails(node, &["call", "hits", "add", "by=3", "--idempotency-key", "k"], 1);
    assert!(error.contains("CX160") && error.contains("not_applied"), "{error}");
    assert_eq!(http::value(node), 2);
}

// Goal: a call that is refused exits with 1, and says why and what was meant.
// Method: wrong names and arguments, bare and as JSON.
#[test]
fn a_refused_call_exits_with_one() {
    let cluster = Cluster::start(1);
    let node = cluster.http(1);
    let cases = [
        (&["call", "hist", "get"][..], "did you mean \"hits\"?"),
        (&["call", "my hits", "get"], "hosts no group"),
        (&["call", "hits", "ad", "by=1"], "did you mean \"add\"?"),
        (&["call", "hits", "gett"], "did you mean"),
        (&["call", "hits", "add"], "by: i64"),
        (&["call", "hits", "add", "by=one"], "by: i64"),
        (&["call", "hits", "add", "bye=1"], "`bye`"),
        (&["call", "hits", "get", "key=1"], "`key`"),
    ];
    for (arguments, advice) in cases {
        let error = fails(node, arguments, 1);
        assert!(error.contains(advice), "{arguments:?}: {error}");
    }
    let done = counter(node, &["call", "hits", "ad", "--output", "json"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let problem: Value = serde_json::from_str(&done.out).expect("the output is JSON");
    assert_eq!(problem["code"], "CX152");
    assert_eq!(http::value(node), 0, "nothing was applied");
}

// Goal: what is no command line exits with 2, and says how to write it.
// Method: an argument without a value, a verb that is none, a flag that is none, too little.
#[test]
fn a_malformed_command_line_exits_with_two() {
    let cases = [
        (&["call", "hits", "add", "by"][..], "by=1"),
        (&["stats"], "status"),
        (&["status", "--outptu", "json"], "--output"),
        (&["status", "--output", "xml"], "json"),
        (&["call", "hits"], "<NAME>"),
        (&["serve"], "--id"),
    ];
    for (arguments, advice) in cases {
        let done = run(counter_command().args(arguments));
        assert_eq!((done.code, &*done.out), (Some(2), ""), "{arguments:?}: {done:?}");
        assert!(done.err.starts_with("error: "), "{done:?}");
        assert!(done.err.contains(advice), "{arguments:?}: {done:?}");
    }
    let help = run(counter_command().arg("--help"));
    assert_eq!(help.code, Some(0), "{help:?}");
    assert!(["dev", "serve", "status", "call"].iter().all(|verb| help.out.contains(verb)));
    let version = run(counter_command().arg("--version"));
    assert_eq!((version.code, version.out.starts_with("counter ")), (Some(0), true));
}

// Goal: the status is a table for people and JSON for programs, and its exit code says whether all
// is well.
// Method: ask every node of a cluster, then the last that is left.
#[test]
fn status_shows_how_the_groups_stand() {
    let mut cluster = Cluster::start(3);
    cluster.settle();
    let leader = cluster.leader();
    for (id, node) in cluster.ids().zip(cluster.addresses()) {
        let out = prints(node, &["status"]);
        let [head, columns, row] = out.lines().collect::<Vec<_>>()[..] else { panic!("{out}") };
        assert_eq!(head, format!("node {id} of cluster test"));
        let columns: Vec<&str> = columns.split_whitespace().collect();
        assert_eq!(columns[..4], ["GROUP", "PROTOCOL", "ROLE", "LEADER"]);
        assert_eq!(columns[4..], ["TERM", "COMMITTED", "APPLIED", "SNAPSHOT", "MEMBERS"]);
        let row: Vec<&str> = row.split_whitespace().collect();
        let role = if id == leader { "leader" } else { "follower" };
        assert_eq!(row[..4], ["hits", "raft", role, &format!("n{leader}")]);
        assert_eq!(row[8], "1,2,3");
        let json = prints(node, &["status", "--output", "json"]);
        let json: Value = serde_json::from_str(&json).expect("the output is JSON");
        assert_eq!(json, http::get(node, "/v1/status").json());
    }

    cluster.kill_all();
    cluster.start_node(2);
    let done = eventually("the node answers", PATIENCE, || {
        let done = counter(cluster.http(2), &["status"]);
        done.out.contains("hits").then_some(done)
    });
    assert_eq!(done.code, Some(1), "no leader: {done:?}");
    assert!(done.out.contains("none"), "{done:?}");
}

// Goal: where no node answers, that is said, with how to name another, and nothing was applied.
// Method: an address where nobody listens, one that is none, and one that answers something else.
#[test]
fn an_address_without_a_node_exits_with_one() {
    for arguments in [&["status"][..], &["call", "hits", "add", "by=1"], &["call", "hits", "get"]] {
        let address = free_address();
        let error = fails(address, arguments, 1);
        for word in ["CX190", "--addr", &address.to_string()] {
            assert!(error.contains(word), "{word:?} is missing in: {error}");
        }
        let strange = respond(|_| Some("hello, I am another server".to_owned()));
        let error = fails(strange, arguments, 1);
        assert!(error.contains("no node") && error.contains("--addr"), "{error}");
        let done = run(counter_command().args(arguments).args(["--addr", "not an address"]));
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.err.contains("--addr") && done.err.lines().count() == 1, "{done:?}");
    }
}

// Goal: where nobody knows whether a command was applied, the exit code is 3, so that no script
// repeats it blindly.
// Method: a node that says so; a node that dies when it has the command, and one that dies in its
// answer.
#[test]
fn an_unknown_outcome_exits_with_three() {
    const INTERFACE: &str = r#"{"name":"hits","commands":[{"name":"add"}],"queries":[]}"#;
    let answers = |post: fn() -> Option<String>| {
        respond(
            move |request| {
                if request.starts_with("GET") { Some(INTERFACE.to_owned()) } else { post() }
            },
        )
    };
    let call = ["call", "hits", "add", "by=1"];
    let dead = answers(|| None);
    assert!(fails(dead, &call, 3).contains("CX190"));
    let torn = answers(|| Some(r#"{"reply""#.to_owned()));
    assert!(fails(torn, &call, 3).contains("CX190"));
}

/// Serves HTTP on a port until the test ends: one answer a request, or none but the end of the
/// connection.
fn respond(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound socket");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection is accepted"));
            let mut first = String::new();
            stream.read_line(&mut first).expect("a request begins with a line");
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            if let Some(body) = answer(&first) {
                let length = body.len();
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n";
                write!(stream.get_mut(), "{head}Content-Length: {length}\r\n\r\n{body}").ok();
            }
        }
    });
    address
}

// Goal: a proxy that is set for the world outside does not stand between a node and its command
// line.
// Method: set the usual variables to an address where nobody listens.
#[test]
fn a_proxy_is_not_asked_for_a_node() {
    let cluster = Cluster::start(1);
    let mut command = command(cluster.http(1));
    let proxy = format!("http://{}", free_address());
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env(name, &proxy);
    }
    let done = run(command.args(["call", "hits", "add", "by=1"]));
    assert_eq!((done.code, &*done.out), (Some(0), "1\n"), "{done:?}");
}
