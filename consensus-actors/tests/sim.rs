//! The `consensus sim` command, as a user runs it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value as Json;

/// Runs the command.
fn consensus(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consensus"));
    command.args(arguments).output().expect("the command runs")
}

/// Small runs, for builds that are not optimized.
const SMALL: [&str; 7] = ["sim", "--nodes", "3", "--ops", "40", "--seconds", "3"];

/// Runs small clusters; returns the exit code, stdout and stderr.
fn sim(arguments: &[&str]) -> (Option<i32>, String, String) {
    ended(&[&SMALL, arguments].concat())
}

/// Runs small clusters that decide one value after the other.
fn decide(arguments: &[&str]) -> (Option<i32>, String, String) {
    let small = ["sim", "--protocol", "paxos", "--nodes", "3", "--ops", "160", "--seconds", "8"];
    ended(&[&small, arguments].concat())
}

fn ended(arguments: &[&str]) -> (Option<i32>, String, String) {
    let run = consensus(arguments);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (run.status.code(), text(run.stdout), text(run.stderr))
}

/// Reads the object that a run ends with.
fn object(stdout: &str) -> Json {
    let last = stdout.lines().last().expect("it prints");
    serde_json::from_str(last).expect("the last line is JSON")
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).display().to_string()
}

// Goal: a green run says what was run, for people and for programs.
#[test]
fn green_run_ends_with_what_was_run() {
    let (exit, stdout, stderr) = sim(&["--protocol", "raft", "--seeds", "4", "--json"]);
    assert_eq!(exit, Some(0), "{stdout}{stderr}");
    for words in ["4, from 0 on", "FAILURES", "% ended ok", "a minute and core", "leader-cut-off"] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    let object = object(&stdout);
    let number = |name: &str| object.get(name).and_then(Json::as_f64).expect(name);
    assert_eq!((number("seeds"), number("failures")), (4.0, 0.0));
    assert!(number("operations") >= 160.0 && number("answered") <= number("operations"));
    assert!(number("seeds_per_minute_per_core") > 0.0 && number("speedup") > 0.0);
    let loss = object.get("faults").and_then(|faults| faults.get("loss"));
    assert!(loss.is_some_and(Json::is_u64), "{object}");
    let digest = object.get("digest").and_then(Json::as_str).expect("a digest");
    assert!(stdout.lines().any(|line| line.contains("DIGEST") && line.contains(digest)));
}

// Goal: decisions by Paxos are simulated as a log by Raft is, with the faults that befall them, and
// shown in the same ways.
#[test]
fn decisions_are_simulated() {
    let (exit, stdout, stderr) = decide(&["--seeds", "10", "--json"]);
    assert_eq!(exit, Some(0), "{stdout}{stderr}");
    for words in ["10, from 0 on", "% ended ok", "crash-between", "wiped-disk", "late-completion"] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    let promised = |name: &str| stdout.lines().any(|line| line.trim_start().starts_with(name));
    assert!(promised("loss") && !promised("membership-change"), "{stdout}");
    let object = object(&stdout);
    assert_eq!(object.get("failures"), Some(&0.into()), "{object}");

    let directory = tempfile::tempdir().expect("a temporary directory");
    let (trace, page) = (path(directory.path(), "t.ndjson"), path(directory.path(), "t.html"));
    let (exit, stdout, stderr) = decide(&["--seed", "3", "--trace", &trace, "--html", &page]);
    assert_eq!(exit, Some(0), "{stdout}{stderr}");
    let lines = fs::read_to_string(&trace).expect("it was written");
    assert!(lines.contains("Prepare 1.") && lines.contains("\"mended\""), "{lines}");
    assert!(fs::read_to_string(&page).expect("it was written").contains("paxos with seed 3"));
}

// Goal: what is found depends on the seeds, not on threads nor on the process.
#[test]
fn digest_does_not_depend_on_threads() {
    let of = |threads: &str, seed: &str| {
        let flags = ["--seed", seed, "--seeds", "5", "--threads", threads, "--json"];
        let object = object(&sim(&flags).1);
        ["digest", "faults", "answered"].map(|name| object.get(name).cloned().expect(name))
    };
    let found = of("1", "0");
    assert_eq!(of("2", "0"), found);
    assert_eq!(of("2", "0"), found, "nor on the process");
    assert_ne!(of("2", "1"), found);
}

// Goal: a profile whose faults did not happen fails, and says which.
// Method: one node, which has no network.
#[test]
fn faults_that_did_not_happen_are_said() {
    let flags = ["--nodes", "1", "--ops", "5", "--seconds", "2", "--profile", "network"];
    let run = consensus(&[&["sim", "--seeds", "10"], &flags[..]].concat());
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("too rare to have been tested"), "{stderr}");
    assert!(stderr.contains(": loss, "), "{stderr}");

    let run = consensus(&[&["sim", "--seeds", "9"], &flags[..]].concat());
    assert_eq!(run.status.code(), Some(0), "few seeds promise nothing");
}

// Goal: what makes no plan is refused with the bound, and exit code 2.
#[test]
fn bad_input_is_refused() {
    for (flags, words) in [
        (&["--nodes", "0"][..], "0 nodes are out of range; simulate 1 to 9"),
        (&["--nodes", "99"], "99 nodes are out of range"),
        (&["--seconds", "1"], "1s of virtual time is out of range"),
        (&["--ops", "2000000"], "2000000 operations are too many"),
        (&["--seed", "18446744073709551615", "--seeds", "2"], "choose others"),
        (
            &["--protocol", "viewstamps"],
            "[possible values: raft, paxos, multi_paxos, fast_paxos, saga]",
        ),
        (&["--protocol", "paxos", "--history", "x"], "--history is for `check`"),
        (&["--profile", "storm"], "[possible values: calm, network, crash, disk, clock, all]"),
        (&["--seeds", "0"], "--seeds"),
        (&["--threads", "0"], "--threads"),
        (&["--mutants", "raft", "--seed", "1"], "cannot be used with"),
    ] {
        let run = consensus(&[&["sim"], flags].concat());
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "{flags:?}: {stderr}");
        assert!(stderr.contains(words), "{flags:?}: {stderr}");
    }
}

// Goal: a build without known bugs says how to build one that has them.
#[cfg(not(feature = "mutants"))]
#[test]
fn mutants_need_a_build_of_their_own() {
    for flags in [&["--mutants", "raft"][..], &["--mutant", "votes-twice", "--seed", "3"]] {
        let (exit, _, stderr) = sim(flags);
        assert_eq!(exit, Some(2), "{stderr}");
        assert!(stderr.contains("--features mutants --bin consensus"), "{stderr}");
    }
}

// Goal: the histories of runs can be read by `check`, which finds an order as the run itself did.
#[test]
fn histories_are_linearizable() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let histories = path(directory.path(), "histories");
    let (exit, stdout, stderr) = sim(&["--seed", "7", "--seeds", "3", "--history", &histories]);
    assert_eq!(exit, Some(0), "{stdout}{stderr}");
    let files: Vec<_> = (7..10).map(|seed| format!("{histories}/seed-{seed}.jsonl")).collect();
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    let checked = consensus(&[&["check", "--model", "kv"], &files[..]].concat());
    let printed = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{printed}");
    assert_eq!(printed.matches(": linearizable").count(), 3, "{printed}");
    assert!(!printed.contains("(0 operations"), "{printed}");
}

// Goal: a chosen seed shows its events, one a line, and as a page; many green ones show none.
#[test]
fn chosen_seed_is_shown() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (trace, page) = (path(directory.path(), "t.ndjson"), path(directory.path(), "t.html"));
    let (exit, stdout, stderr) = sim(&["--seed", "3", "--trace", &trace, "--html", &page]);
    assert_eq!(exit, Some(0), "{stdout}{stderr}");
    let lines = fs::read_to_string(&trace).expect("it was written");
    let events: Vec<Json> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(events.len() > 100, "{} events", events.len());
    assert!(events.iter().all(|event| event.get("time").is_some_and(Json::is_u64)));
    assert!(events.iter().any(|event| event.get("event") == Some(&"mended".into())));
    assert!(fs::read_to_string(&page).expect("it was written").contains("raft with seed 3"));

    let (exit, _, stderr) = sim(&["--seeds", "2", "--trace", &trace]);
    assert_eq!(exit, Some(0), "{stderr}");
    assert!(stderr.contains("no seed failed"), "{stderr}");
}

// Goal: a bug of one protocol is hunted under that one, and a seed that shows it is made small.
#[cfg(feature = "mutants")]
#[test]
fn bugs_of_decisions_are_hunted() {
    let name = ["--mutant", "own-value-first"];
    let (exit, stdout, stderr) = decide(&[&name[..], &["--seeds", "300"]].concat());
    assert_eq!(exit, Some(0), "{stdout}{stderr}");
    assert!(stderr.contains("own-value-first: caught in"), "{stderr}");

    let (exit, _, stderr) = sim(&name);
    assert_eq!(exit, Some(2), "{stderr}");
    assert!(stderr.contains("add --protocol paxos"), "{stderr}");

    let flags = [&name[..], &["--seed", "0", "--seeds", "30"]].concat();
    let (exit, _, stderr) = decide(&flags);
    assert_eq!(exit, Some(1), "{stderr}");
    let command = "sim --protocol paxos --nodes 3 --seed";
    for words in [command, "shrunk in", "safe at: ", "--mutant own-value-first"] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}

// Goal: a seed that fails is told with its evidence and the command that repeats it, made small,
// and shown; and a hunt finds the bug.
// Method: a bug that is put back.
#[cfg(feature = "mutants")]
#[test]
fn failing_seed_is_told_and_shrunk() {
    let mutant = ["--mutant", "commit-quorum-off-by-one"];
    let (exit, stdout, stderr) = sim(&[&mutant[..], &["--seeds", "300", "--json"]].concat());
    assert_eq!(exit, Some(0), "{stdout}{stderr}");
    let object = object(&stdout);
    let hunted = object.get("mutants").and_then(|mutants| mutants.get(0)).expect("one was hunted");
    assert_eq!(hunted.get("calm_green"), Some(&50.into()), "{object}");
    let seed = hunted.get("seeds").and_then(Json::as_u64).expect("it was caught") - 1;

    let directory = tempfile::tempdir().expect("a temporary directory");
    let trace = path(directory.path(), "t.ndjson");
    let seed = seed.to_string();
    let flags = ["--seed", &seed, "--trace", &trace];
    let (exit, _, stderr) = sim(&[&mutant[..], &flags].concat());
    assert_eq!(exit, Some(1), "{stderr}");
    let command = format!(
        "--features mutants --bin consensus -- sim --protocol raft --nodes 3 --seed {seed} \
         --profile all --ops 40 --seconds 3 --mutant commit-quorum-off-by-one"
    );
    for words in [&command, "shrunk in", "faults", "-> ", " s\n"] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
    assert!(fs::read_to_string(&trace).expect("it was written").contains("\"broken\""));
}
