//! The `consensus check` command, as a user runs it.

use std::{fmt::Write as _, fs, process::Command};

/// Checks a history; returns the exit code and what was printed, errors included.
fn check(model: &str, history: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("history.jsonl");
    fs::write(&file, history).expect("it can be written");
    let run = Command::new(env!("CARGO_BIN_EXE_consensus"))
        .args(["check", "--model", model])
        .arg(&file)
        .output()
        .expect("the command runs");
    let mut printed = String::from_utf8(run.stdout).expect("text");
    printed += &String::from_utf8(run.stderr).expect("text");
    (run.status.code(), printed)
}

/// Process, type, operation, value.
type Event = (u64, &'static str, &'static str, &'static str);

/// A model, events, a read, a value that it may return then, and one that it may not.
type Case = (&'static str, &'static [Event], &'static str, &'static str, &'static str);

/// Writes a line for each event.
fn history(events: &[Event]) -> String {
    events.iter().fold(String::new(), |mut text, (process, kind, op, value)| {
        let line = format!(
            r#"{{"process":{process},"type":"{kind}","op":"{op}","key":"x","value":{value}}}"#
        );
        writeln!(text, "{line}").expect("a string takes text");
        text
    })
}

const CASES: [Case; 4] = [
    ("register", &[(1, "invoke", "write", "1"), (1, "ok", "write", "1")], "read", "1", "null"),
    (
        "kv",
        &[
            (1, "invoke", "put", "\"a\""),
            (1, "ok", "put", "null"),
            (1, "invoke", "append", "\"b\""),
            (1, "ok", "append", "null"),
        ],
        "get",
        "\"ab\"",
        "\"a\"",
    ),
    (
        "counter",
        &[
            (1, "invoke", "add", "2"),
            (2, "invoke", "add", "3"),
            (1, "ok", "add", "null"),
            (2, "info", "add", "null"),
        ],
        "get",
        "5",
        "3",
    ),
    (
        "append",
        &[(1, "invoke", "append", "1"), (1, "ok", "append", "null"), (2, "invoke", "append", "2")],
        "read",
        "[1,2]",
        "[2,1]",
    ),
];

// Goal: each model tells a history with an order from one without, in words and by the exit code.
#[test]
fn each_model_is_judged() {
    for (model, events, read, right, wrong) in CASES {
        for (value, code, verdict) in [(right, 0, ": linearizable"), (wrong, 1, "not linearizable")]
        {
            let ended = [(9, "invoke", read, "null"), (9, "ok", read, value)];
            let events: Vec<_> = events.iter().copied().chain(ended).collect();
            let (exit, printed) = check(model, &history(&events));
            assert_eq!(exit, Some(code), "{model}: {printed}");
            assert!(printed.contains(verdict), "{model}: {printed}");
            let shown = format!("lines {} to {}: process 9", events.len() - 1, events.len());
            assert_eq!(printed.contains(&shown), code == 1, "{model}: {printed}");
        }
    }
}

// Goal: what is no history is refused with its line and what is wrong, and exit code 2.
#[test]
fn malformed_history_is_refused_with_its_line() {
    let refused = |text: &str, words: &str| {
        let (exit, printed) = check("register", text);
        assert_eq!(exit, Some(2), "{printed}");
        assert!(printed.contains(words), "{printed}");
    };
    refused("{", "line 1: ");
    refused(&history(&[(1, "ok", "read", "null")]), "line 1: process 1 ends a call that it never");
    let twice = [(1, "invoke", "read", "null"), (1, "invoke", "read", "null")];
    refused(&history(&twice), "line 2: process 1 calls before its former call has ended");
    refused(&history(&[(1, "invoke", "put", "1")]), "\"put\" is none of: read, write, cas");
    refused(&history(&[(1, "invoke", "cas", "1")]), "cas takes a value of the form [from, to]");
}

// Goal: events are ordered by their time where all have one.
#[test]
fn time_orders_events() {
    let line = |kind: &str, op: &str, value: &str, time: u64| {
        format!(
            r#"{{"process":{},"type":"{kind}","op":"{op}","value":{value},"time":{time}}}"#,
            op.len()
        )
    };
    let lines = [
        line("invoke", "read", "null", 3),
        line("ok", "read", "1", 4),
        line("invoke", "write", "1", 1),
        line("ok", "write", "1", 2),
    ];
    assert_eq!(check("register", &lines.join("\n")).0, Some(0));
}
