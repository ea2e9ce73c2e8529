//! `dev`: a cluster of child processes, and `counter` alone.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    cluster::PATIENCE,
    http::{self, Http},
    process::{
        self, Process, Signal, counter_command, eventually, free_base, is_free, loopback, run,
        signal, throughout,
    },
};

/// The ports that are used when none are named are used by one test at a time.
static DEFAULT_PORTS: Mutex<()> = Mutex::new(());

/// A running `counter dev`.
struct Dev {
    process: Process,
    nodes: u16,
    base: u16,
    dir: TempDir,
}

impl Dev {
    /// Starts `counter dev` with flags and waits until each node is ready.
    fn start(nodes: u16, base: u16, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = command_in(dir.path());
        let process = Process::start(command.arg("dev").args(flags), dir.path(), "dev");
        let dev = Self { process, nodes, base, dir };
        for id in 1..=nodes {
            dev.await_ready(id);
        }
        dev
    }

    /// Starts three nodes on ports of their own.
    fn start_three(flags: &[&str]) -> Self {
        let base = free_base();
        Self::start(3, base, &[&["--base-port", &base.to_string()], flags].concat())
    }

    fn http(&self, id: u16) -> SocketAddr {
        loopback(self.base + id)
    }

    fn await_ready(&self, id: u16) {
        eventually(&format!("node {id} is ready"), PATIENCE, || {
            Http::new().get(self.http(id), "/readyz", &[]).ok().filter(|it| it.status == 200)
        });
    }

    /// Returns the process id that was last printed for a node.
    fn pid(&self, id: u16) -> u32 {
        let out = self.process.out();
        let mut lines = out.lines().rev().filter(|line| line.starts_with(&format!("node {id} ")));
        let pid = lines.find_map(|line| line.split("pid ").nth(1)?.trim().parse().ok());
        pid.unwrap_or_else(|| panic!("no process of node {id} in:\n{out}"))
    }

    /// Waits until a line with these words was printed.
    fn await_line(&self, words: &[&str]) {
        eventually(&format!("a line with {words:?}"), PATIENCE, || {
            let out = self.process.out();
            let found = out.lines().any(|line| words.iter().all(|word| line.contains(word)));
            found.then_some(())
        });
    }

    /// Tells whether no node listens any more.
    fn is_over(&self) -> bool {
        let free = |port| is_free(loopback(port));
        (1..=self.nodes).all(|id| free(self.base + id) && free(self.base + 100 + id))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Its children end with it; a later test may want their ports.
        self.process.kill();
        let deadline = Instant::now() + PATIENCE;
        while !self.is_over() && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
}

/// Makes a command of the counter that works, and keeps what it needs, in a directory.
fn command_in(dir: &Path) -> Command {
    let mut command = counter_command();
    command.current_dir(dir).env("TMPDIR", dir).stdin(Stdio::null());
    command
}

/// Takes the ports that are used when none are named.
fn default_ports() -> MutexGuard<'static, ()> {
    let guard = DEFAULT_PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    for port in [4701, 4702, 4703, 4801, 4802, 4803] {
        assert!(
            is_free(loopback(port)),
            "this test needs port {port}, which another process has: stop that, then run it again"
        );
    }
    guard
}

// Goal: with no flags three nodes run on the documented ports, say so within seconds, and answer.
// Method: `counter dev`; read what it prints, and add on each node.
#[test]
fn dev_runs_three_nodes_and_says_where() {
    let _ports = default_ports();
    let begun = Instant::now();
    let dev = Dev::start(3, 4700, &[]);
    assert!(begun.elapsed() < Duration::from_secs(10), "ready after {:?}", begun.elapsed());
    let out = dev.process.out();
    for id in 1..=3 {
        let address = format!("http://127.0.0.1:{}", 4700 + id);
        let line =
            |line: &&str| line.starts_with(&format!("node {id} ")) && line.contains(&address);
        assert_eq!(out.lines().filter(line).count(), 1, "one line for node {id} in:\n{out}");
        assert_eq!(http::add(loopback(4700 + id), 1), i64::from(id));
    }
    assert!(out.contains("counter status") && out.contains("Ctrl-C"), "what to try next:\n{out}");
    let status = run(command_in(dev.dir.path()).arg("status"));
    assert_eq!(status.code, Some(0), "{status:?}");
}

// Goal: the number of nodes and their ports can be chosen.
// Method: five nodes on another base; the data goes where it is told to.
#[test]
fn dev_runs_as_many_nodes_as_it_is_told() {
    let base = free_base();
    let port = base.to_string();
    let flags = ["--nodes", "5", "--base-port", &port, "--data", "kept"];
    let dev = Dev::start(5, base, &flags);
    let status = http::get(dev.http(5), "/v1/status").json();
    assert_eq!(status["node"], 5);
    assert_eq!(status["groups"][0]["members"].as_array().map(Vec::len), Some(5));
    assert_eq!(http::add(dev.http(4), 1), 1);
    for id in 1..=5 {
        let card = dev.dir.path().join(format!("kept/node-{id}/identity.json"));
        assert!(card.exists(), "{} is there", card.display());
    }
    assert!(!is_free(loopback(base + 105)), "the fifth node's peer port");
}

// Goal: `--data` keeps the data over runs.
// Method: add, interrupt, start again on the same directory, read.
#[test]
fn dev_keeps_its_data_where_it_is_told() {
    let (base, data) = (free_base(), tempfile::tempdir().expect("a temporary directory"));
    let (port, data) = (base.to_string(), data.path().display().to_string());
    let flags = ["--base-port", &*port, "--data", &*data];
    let mut dev = Dev::start(3, base, &flags);
    assert_eq!(http::add(dev.http(1), 5), 5);
    signal(dev.process.pid(), Signal::Interrupt);
    assert_eq!(dev.process.wait(PATIENCE).code(), Some(0));
    drop(dev);
    let dev = Dev::start(3, base, &flags);
    assert_eq!(http::value(dev.http(2)), 5);
}

// Goal: Ctrl-C, and SIGTERM, end all nodes and leave nothing behind.
// Method: send the signal to the parent only.
#[test]
fn a_signal_ends_dev_and_all_its_nodes() {
    for ending in [Signal::Interrupt, Signal::Terminate] {
        let mut dev = Dev::start_three(&[]);
        signal(dev.process.pid(), ending);
        assert_eq!(dev.process.wait(PATIENCE).code(), Some(0), "{ending:?}");
        assert!(dev.is_over(), "{ending:?}: the nodes ended before their parent");
        let left = std::fs::read_dir(dev.dir.path()).expect("a directory can be read");
        let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
        assert!(left.iter().all(|name| name == "dev.out" || name == "dev.log"), "{left:?}");
        let out = dev.process.out();
        assert!(!out.contains("died"), "an end that was asked for is no death:\n{out}");
    }
}

// Goal: the nodes do not outlive their parent, however it dies.
// Method: SIGKILL the parent.
#[test]
fn the_death_of_dev_ends_all_its_nodes() {
    let mut dev = Dev::start_three(&[]);
    dev.process.kill();
    eventually("all nodes have ended", PATIENCE, || dev.is_over().then_some(()));
}

// Goal: the death of a node is reported, the others go on, and it comes back after two seconds.
// Method: kill each node in turn.
#[test]
fn a_node_that_dies_is_reported_and_comes_back() {
    let dev = Dev::start_three(&[]);
    for id in 1..=3 {
        let pid = dev.pid(id);
        process::kill(pid);
        let killed = Instant::now();
        dev.await_line(&[&format!("node {id} died"), "SIGKILL", "in two seconds"]);
        let other = dev.http(id % 3 + 1);
        assert_eq!(http::add(other, 1), i64::from(id), "the others go on");
        let served = killed.elapsed();
        dev.await_line(&[&format!("node {id} is back, pid")]);
        let back = killed.elapsed();
        assert!(back >= Duration::from_millis(1_900), "node {id} was back after {back:?}");
        assert!(back < Duration::from_secs(10), "node {id} was back after {back:?}");
        eprintln!("node {id} killed: served after {served:?}, back after {back:?}");
        assert_ne!(dev.pid(id), pid);
        dev.await_ready(id);
        assert_eq!(http::value(dev.http(id)), i64::from(id));
    }
}

// Goal: with `--no-restart` a node that died stays down, and the others go on.
// Method: kill one and watch for longer than it would take.
#[test]
fn a_node_stays_down_without_restart() {
    let dev = Dev::start_three(&["--no-restart"]);
    process::kill(dev.pid(2));
    dev.await_line(&["node 2 died", "stays down"]);
    throughout("node 2 is down", Duration::from_secs(3), || is_free(dev.http(2)));
    assert_eq!(http::add(dev.http(3), 1), 1);
    assert!(!dev.process.out().contains("is back"));
}

// Goal: a second cluster on the same ports is refused, says what to do, and disturbs nobody.
// Method: start it where one runs, and where only the last port is taken.
#[test]
fn a_second_dev_on_the_same_ports_is_refused() {
    let dev = Dev::start_three(&[]);
    for (base, taken) in [(dev.base, dev.base + 1), (dev.base - 2, dev.base + 1)] {
        let mut command = command_in(dev.dir.path());
        let second = run(command.args(["dev", "--base-port", &base.to_string()]));
        assert_eq!(second.code, Some(1), "{second:?}");
        let error = second.err.lines().find(|line| line.starts_with("error: "));
        let error = error.unwrap_or_else(|| panic!("{second:?}"));
        for word in ["CX404", &format!("127.0.0.1:{taken}"), "--base-port"] {
            assert!(error.contains(word), "{word:?} is missing in: {error}");
        }
        assert_eq!(second.out, "", "nothing was started");
    }
    assert_eq!(http::add(dev.http(1), 1), 1);
}

// Goal: numbers of nodes and ports that cannot be are refused.
// Method: none, too many, a base beyond the last port.
#[test]
fn dev_refuses_what_cannot_be() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for flags in [["--nodes", "0"], ["--nodes", "10"], ["--base-port", "65500"], ["--nodes", "x"]] {
        let done = run(command_in(dir.path()).arg("dev").args(flags));
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.err.starts_with("error: ") && done.err.contains(flags[0]), "{done:?}");
    }
}

// Goal: `counter` alone needs no configuration: it serves, keeps its data, and `counter` is all
// that its user types.
// Method: run it in an empty directory, call it from the command line without an address, kill it,
// run it again.
#[test]
fn the_counter_alone_is_a_node() {
    let _ports = default_ports();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (node, call) = (loopback(4701), |arguments: &[&str]| {
        let done = run(command_in(dir.path()).args(arguments));
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        done.out
    });
    for total in 1..=3 {
        let mut process = Process::start(&mut command_in(dir.path()), dir.path(), "alone");
        eventually("the node is ready", PATIENCE, || {
            Http::new().get(node, "/readyz", &[]).ok().filter(|answer| answer.status == 200)
        });
        assert_eq!(call(&["call", "hits", "add", "by=1"]), format!("{total}\n"));
        assert_eq!(http::value(node), total);
        assert!(call(&["status"]).contains("leader"));
        assert!(dir.path().join("data/counter/identity.json").exists());
        let out = process.out();
        assert!(out.contains("http://127.0.0.1:4701") && out.contains("data/counter"), "{out}");
        process.kill();
    }
}
