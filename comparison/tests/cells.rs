//! Runs the program: cells for a moment each, and a comparison with a stand-in for ours.

use std::{
    env,
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long is waited for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn comparison() -> Command {
    Command::new(env!("CARGO_BIN_EXE_comparison"))
}

/// A directory for what a test keeps on disk, where there is room for the logs of replicas.
fn data() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn cell(peer: &str, mode: &str, data: &Path) -> Command {
    let mut command = comparison();
    command.args(["cell", "--peer", peer, "--mode", mode, "--clients", "8", "--data"]).arg(data);
    command
}

/// Runs a cell for a moment, and returns what it printed.
fn figures(peer: &str, mode: &str) -> Value {
    let data = data();
    let mut command = cell(peer, mode, data.path());
    let output = command.args(["--seconds", "0.3", "--warm-up", "0.1"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0, "all files are removed");
    serde_json::from_slice(&output.stdout).expect("a cell prints one line of JSON")
}

/// The processes that were told of a directory.
fn processes(data: &Path) -> usize {
    let told = |process: &Path| {
        let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(data.to_str().unwrap())
    };
    fs::read_dir("/proc").unwrap().filter(|process| told(&process.as_ref().unwrap().path())).count()
}

/// How many replicas have written a record to their logs, which begins with its length.
fn logs_with_records(data: &Path) -> usize {
    let Some(Ok(directory)) = fs::read_dir(data).unwrap().next() else { return 0 };
    let has_record = |id: &i32| {
        let mut length = [0; 4];
        let log = File::open(directory.path().join(format!("{id}.log")));
        log.and_then(|mut log| log.read_exact(&mut length)).is_ok() && length != [0; 4]
    };
    (1..=3).filter(has_record).count()
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Goal: every cell that a machine without etcd can run gives figures. Method: run each.
#[test]
fn cells_give_figures() {
    for peer in ["openraft", "omnipaxos"] {
        for mode in ["mem", "durable"] {
            let figures = figures(peer, mode);
            assert_eq!((&figures["peer"], &figures["mode"]), (&peer.into(), &mode.into()));
            assert_eq!(figures["clients"], 8);
            let (p50, p99) = (figures["p50_us"].as_f64(), figures["p99_us"].as_f64());
            assert!(figures["ops_per_s"].as_f64() > Some(0.0), "{figures}");
            assert!(p50 > Some(0.0) && p99 >= p50, "{figures}");
        }
    }
}

/// Goal: etcd is measured where it is installed, and refused with a reason where it is not.
/// Method: run its cell, with the path as it is and with none.
#[test]
fn etcd_is_measured_where_it_is() {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|directory| directory.join("etcd").is_file()) {
        assert!(figures("etcd", "durable-remote")["ops_per_s"].as_f64() > Some(0.0));
    }
    let data = data();
    let output = cell("etcd", "durable-remote", data.path()).env("PATH", "").output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "error: there is no etcd on the path\n");
}

/// Goal: followers end with their cell, even if it is killed. Method: kill one once
/// all three replicas have written to their logs.
#[test]
fn followers_end_with_their_cell() {
    for peer in ["openraft", "omnipaxos"] {
        let data = data();
        let mut command = cell(peer, "durable", data.path());
        let mut process = command.args(["--seconds", "60"]).stdout(Stdio::null()).spawn().unwrap();
        wait_until("all replicas write", || logs_with_records(data.path()) == 3);
        assert_eq!(processes(data.path()), 3);
        process.kill().unwrap();
        process.wait().unwrap();
        wait_until("the followers end", || processes(data.path()) == 0);
    }
}

/// Goal: a comparison says of everybody what it measured, and of peers how we compare. Method: one
/// round with a script for ours that claims a million operations a second.
#[test]
fn comparison_relates_us_to_peers() {
    let data = data();
    let ours = data.path().join("ours");
    let line = r#"{"peer":"consensus","protocol":"raft","mode":"mem","clients":8,"ops_per_s":1e6,"p50_us":1,"p99_us":2}"#;
    fs::write(&ours, format!("#!/bin/sh\necho a table\necho '{line}'\n")).unwrap();
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o700)).unwrap();
    let json = data.path().join("json");
    let output = comparison()
        .args(["run", "--modes", "mem", "--clients", "8", "--rounds", "1", "--seconds", "0.3"])
        .arg("--ours")
        .arg(&ours)
        .arg("--json")
        .arg(&json)
        .arg("--data")
        .arg(data.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let rows = fs::read_to_string(&json).unwrap();
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let peers: Vec<_> = rows.iter().map(|row| row["peer"].as_str().unwrap()).collect();
    assert_eq!(peers, ["consensus", "consensus-multi-paxos", "openraft", "omnipaxos"]);
    assert_eq!(rows[0]["ratio"], Value::Null);
    for row in &rows[1..] {
        let ratio = 1e6 / row["ops_per_s"].as_f64().unwrap();
        assert!((row["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9, "{row}");
    }
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(peers.iter().all(|peer| table.contains(peer)), "{table}");
}
