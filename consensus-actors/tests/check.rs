//! The `consensus check` command, as a user runs it.

use std::{fmt::Write as _, fs, process::Command};

/// Checks a history; returns the exit code and what was printed, errors included.
fn check(model: &str, history: &str) -> (Option<i32>, String) {
    check_with(model, history, &[])
}

/// Checks a history under some flags.
fn check_with(model: &str, history: &str, flags: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("history.jsonl");
    fs::write(&file, history).expect("it can be written");
    let run = Command::new(env!("CARGO_BIN_EXE_consensus"))
        .args(["check", "--model", model])
        .args(flags)
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

// Goal: the window is what the documentation shows, no more than what cannot be reconciled.
// Method: the example of the documentation, cut out of it.
#[test]
fn documented_example_prints_what_is_documented() {
    let page = include_str!("../../docs/histories.md");
    let between = |from: &str, to: &str| {
        let (_, rest) = page.split_once(from).expect("the page has the example");
        rest.split_once(to).expect("the example ends").0.to_owned()
    };
    let (exit, printed) = check("register", &between("```json\n", "```"));
    assert_eq!(exit, Some(1), "{printed}");
    let expected = between("history.jsonl\nhistory.jsonl", "```");
    let (_, printed) = printed.split_once("history.jsonl").expect("it names the file");
    assert_eq!(printed, expected);
}

// Goal: reads are held to their level, and levels where none can be are refused.
#[test]
fn reads_are_held_to_their_level() {
    let read = |process: u64, level: &str| {
        let lines = [
            r#"{"process":1,"type":"invoke","op":"write","value":"a","time":10}"#.to_owned(),
            r#"{"process":1,"type":"ok","op":"write","time":20}"#.to_owned(),
            format!(r#"{{"process":{process},"type":"invoke","op":"read","time":30,{level}}}"#),
            format!(r#"{{"process":{process},"type":"ok","op":"read","value":null,"time":40}}"#),
        ];
        check("register", &lines.join("\n"))
    };
    let exit = |process, level| read(process, level).0;
    assert_eq!(exit(2, r#""level":"linearizable""#), Some(1));
    assert_eq!(exit(2, r#""level":"session""#), Some(0));
    assert_eq!(exit(1, r#""level":"session""#), Some(1));
    assert_eq!(exit(1, r#""level":"stale""#), Some(0));
    assert_eq!(exit(1, r#""level":"stale","bound":10"#), Some(0));
    assert_eq!(exit(1, r#""level":"stale","bound":9"#), Some(1));

    for (level, words) in [
        (r#""level":"fresh""#, "line 3: unknown variant `fresh`"),
        (r#""bound":9"#, "line 3: a bound is for reads of the level \"stale\""),
        (r#""level":"stale","bound":-1"#, "line 3: a bound is not negative"),
    ] {
        let (exit, printed) = read(2, level);
        assert_eq!(exit, Some(2), "{printed}");
        assert!(printed.contains(words), "{printed}");
    }
    let write = r#"{"process":1,"type":"invoke","op":"write","value":"a","level":"session"}"#;
    let (exit, printed) = check("register", write);
    assert_eq!(exit, Some(2), "{printed}");
    assert!(printed.contains("line 1: write has no level"), "{printed}");
}

/// Forty writes that run at once, and then a read of what nobody wrote.
fn hopeless() -> String {
    let value = |process: u64| format!(r#""value":"{process}""#);
    let mut lines = Vec::new();
    for (kind, processes) in [("invoke", 0..40), ("ok", 0..40)] {
        lines.extend(processes.map(|process| {
            let value = value(process);
            format!(r#"{{"process":{process},"type":"{kind}","op":"write",{value}}}"#)
        }));
    }
    lines.push(r#"{"process":99,"type":"invoke","op":"read"}"#.to_owned());
    lines.push(r#"{"process":99,"type":"ok","op":"read","value":"nothing"}"#.to_owned());
    lines.join("\n")
}

// Goal: a search that meets a limit says that it does not know, and fails.
#[test]
fn unknown_counts_as_a_failure() {
    for flags in [["--time-limit", "300ms"], ["--steps-max", "1000"]] {
        let (exit, printed) = check_with("register", &hopeless(), &flags);
        assert_eq!(exit, Some(1), "{printed}");
        assert!(printed.contains(": unknown (41 operations, 1 keys)"), "{printed}");
    }
}

// Goal: a history of a hundred thousand operations over many keys is judged in little time.
// Method: a thousand keys, each written and read in turn by processes that overlap. Unoptimized, it
// has ten times the seconds that it may take.
#[test]
fn long_history_over_many_keys_takes_seconds() {
    let mut history = String::new();
    for round in 0..50_000_u64 {
        let key = round % 1_000;
        for (process, kind, op, value) in [
            (1, "invoke", "put", round.to_string()),
            (2, "invoke", "get", "null".to_owned()),
            (1, "ok", "put", "null".to_owned()),
            (2, "ok", "get", round.to_string()),
        ] {
            let called = format!(r#""op":"{op}","key":"{key}","value":{value}"#);
            writeln!(history, r#"{{"process":{process},"type":"{kind}",{called}}}"#)
                .expect("a string takes text");
        }
    }
    let began = std::time::Instant::now();
    let (exit, printed) = check("kv", &history);
    assert_eq!(exit, Some(0), "{printed}");
    assert!(printed.contains("(100000 operations, 1000 keys)"), "{printed}");
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}
