//! `consensus.toml`, `CONSENSUS_*` and flags: what counts, what is said of it, and what is refused.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cluster::PATIENCE,
    http::{self, Http},
    process::{Done, Process, counter_command, eventually, free_address, run},
};

/// A directory in which the counter works, with a file.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(file: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        place.write(file);
        place
    }

    fn write(&self, file: &str) {
        fs::write(self.path().join("consensus.toml"), file).expect("a file can be written");
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = counter_command();
        command.current_dir(self.path()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Done {
        run(&mut self.command(arguments))
    }

    /// Runs what ends with success and says nothing but its result.
    #[track_caller]
    fn prints(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!((done.code, &*done.err), (Some(0), ""), "{arguments:?}: {done:?}");
        done.out
    }

    /// Runs what is refused for its configuration; returns its one line.
    #[track_caller]
    fn refuses(&self, command: &mut Command) -> String {
        let done = run(command);
        assert_eq!((done.code, &*done.out), (Some(2), ""), "{command:?}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
        let left = fs::read_dir(self.path()).expect("a directory can be read");
        assert!(left.count() <= 1, "nothing but the file is there");
        let line = done.err.trim_end().strip_prefix("error: CX405 ");
        line.unwrap_or_else(|| panic!("{done:?}")).to_owned()
    }

    /// Starts a node in the background and waits until it is ready.
    fn start(&self, arguments: &[&str], http: SocketAddr, name: &str) -> Process {
        let mut command = self.command(arguments);
        let process = Process::start(command.stdin(Stdio::piped()), self.path(), name);
        await_ready(http);
        process
    }
}

fn await_ready(http: SocketAddr) {
    eventually("the node is ready", PATIENCE, || {
        Http::new().get(http, "/readyz", &[]).ok().filter(|answer| answer.status == 200)
    });
}

// Goal: one file is enough for a cluster, each node needs its id only, and the tools find it.
// Method: three nodes from one file; add on one, read on all; ask by the file.
#[test]
fn one_file_starts_three_nodes() {
    let nodes: Vec<(SocketAddr, SocketAddr)> =
        (0..3).map(|_| (free_address(), free_address())).collect();
    let mut file =
        "cluster = \"shop\"\nelection_timeout = \"300ms\"\nheartbeat = \"60ms\"\n".to_owned();
    file.push_str("[peers]\n");
    for (id, (peer, _)) in (1..).zip(&nodes) {
        file.push_str(&format!("{id} = \"{peer}\"\n"));
    }
    for (id, (_, http)) in (1..).zip(&nodes) {
        file.push_str(&format!("[node.{id}]\nhttp = \"{http}\"\ndata = \"data/{id}\"\n"));
    }
    file.push_str("[group.hits]\ndeadline = \"3s\"\n[group.hist]\ndeadline = \"4s\"\n");
    let place = Place::new(&file);
    assert_eq!(
        place.prints(&["config", "check"]),
        "consensus.toml can work, for nodes 1, 2 and 3\n"
    );
    let serve = |id: &str| {
        let mut command = place.command(&["serve", "--end-with-stdin", "--id", id]);
        Process::start(command.stdin(Stdio::piped()), place.path(), &format!("node-{id}"))
    };
    let processes = ["1", "2", "3"].map(serve);
    nodes.iter().for_each(|(_, http)| await_ready(*http));
    assert_eq!(http::add(nodes[1].1, 4), 4);
    for (_, http) in &nodes {
        assert_eq!(http::value(*http), 4);
    }
    assert!(place.prints(&["status"]).starts_with("node 1 of cluster shop\n"));
    assert_eq!(place.prints(&["call", "hits", "get"]), "4\n");
    let (second, third) = (nodes[1].1.to_string(), nodes[2].1.to_string());
    let shown = place.prints(&["config", "show", "--origin", "--addr", &second]);
    let data = shown.lines().find(|line| line.starts_with("data = \"data/2\" "));
    assert!(data.is_some_and(|line| line.ends_with("# consensus.toml:13")), "{shown}");
    assert!(shown.contains("\n[group.hits]\ndeadline = \"3s\""), "{shown}");
    let json = place.prints(&["config", "show", "--output", "json", "--addr", &third]);
    let json: Value = serde_json::from_str(&json).expect("the output is JSON");
    assert_eq!(json, http::get(nodes[2].1, "/v1/config").json());
    let both = place.run(&["config", "show", "--addr", &third, "--heartbeat", "1s"]);
    assert_eq!((both.code, both.err.contains("with --addr give no others")), (Some(2), true));
    let warned = "this node hosts no group \"hist\"; did you mean \"hits\"?";
    for process in &processes {
        let log = process.log();
        let line = log.lines().find(|line| line.contains("consensus.toml:20: "));
        assert!(line.is_some_and(|line| line.contains(warned)), "{log}");
        assert!(!log.contains("\"hits\"; did"), "{log}");
    }
}

// Goal: `config show --origin` says of each value which layer gives it, and where.
// Method: a value of each layer; then for programs.
#[test]
fn each_value_says_where_it_comes_from() {
    let place = Place::new(
        "cluster = \"shop\"\nelection_timeout = \"700ms\"\nheartbeat = \"70ms\"\n\
         deadline = \"7s\"\n[node.2]\ndata = \"two\"\n[group.hits]\npre_vote = false\n",
    );
    let arguments = ["config", "show", "--origin", "--id", "2", "--deadline", "1s"];
    let done = run(place
        .command(&arguments)
        .env("CONSENSUS_HEARTBEAT", "20ms")
        .env("CONSENSUS_DEADLINE", "2s")
        .env("CONSENSUS_GROUP__HITS__DEADLINE", "3s"));
    assert_eq!((done.code, &*done.err), (Some(0), ""), "{done:?}");
    let line = |key: &str| {
        let begin = format!("{key} = ");
        let lines = done.out.lines().filter(|line| line.starts_with(&begin));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(line("id"), ["id = 2 # --id"]);
    assert_eq!(line("cluster"), ["cluster = \"shop\" # consensus.toml:1"]);
    assert_eq!(line("data"), ["data = \"two\" # consensus.toml:6"]);
    assert_eq!(line("election_timeout"), ["election_timeout = \"700ms\" # consensus.toml:2"]);
    assert_eq!(line("heartbeat"), ["heartbeat = \"20ms\" # CONSENSUS_HEARTBEAT"]);
    // The flag is said of all groups, and flags go before variables.
    assert_eq!(line("deadline"), ["deadline = \"1s\" # --deadline"]);
    let pre_vote = ["pre_vote = true # default", "pre_vote = false # consensus.toml:8"];
    assert_eq!(line("pre_vote"), pre_vote);
    assert!(done.out.contains("\n[group.hits]\npre_vote"), "{done:?}");
    assert!(done.out.contains("\n# http is not set\n"), "{done:?}");

    let json = place.prints(&["config", "show", "--output", "json", "--id", "2"]);
    let json: Value = serde_json::from_str(&json).expect("the output is JSON");
    assert_eq!(json["file"], "consensus.toml");
    let settings = json["settings"].as_array().expect("settings");
    let setting = |key: &str| settings.iter().find(|setting| setting["key"] == key).expect("a key");
    assert_eq!(setting("id")["value"], 2);
    assert_eq!(setting("group.hits.pre_vote")["value"], false);
    assert_eq!(setting("deadline")["value"], "7s");
    assert_eq!(setting("deadline")["layer"], "file");
    assert_eq!(setting("deadline")["origin"], "consensus.toml:4");
    assert_eq!(setting("http")["value"], Value::Null);
}

// Goal: what `config show` prints is a file that says the same.
// Method: print what several layers say, use that as the only layer, print again.
#[test]
fn what_is_shown_is_a_file() {
    let place =
        Place::new("[group.\"a.b\"]\ndeadline = \"1m\"\n[journal]\nsegment_bytes = 8388608\n");
    let flags = ["config", "show", "--id", "1", "--peers", "1=127.0.0.1:4801,2=[::1]:4802"];
    let flags =
        [&flags[..], &["--cluster", "a \"quoted\" \\ name", "--set", "group.hits.pre_vote=false"]];
    let shown = place.prints(&flags.concat());
    assert!(shown.contains("[group.\"a.b\"]\ndeadline = \"60s\"\n"), "{shown}");
    assert!(shown.contains("[peers]\n1 = \"127.0.0.1:4801\"\n2 = \"[::1]:4802\"\n"), "{shown}");
    assert!(shown.contains("[journal]\nsegment_bytes = \"8MiB\"\n"), "{shown}");
    place.write(&shown);
    assert_eq!(place.prints(&["config", "show"]), shown);
}

// Goal: the file is the one of `--config`, else of `CONSENSUS_CONFIG`, else `consensus.toml`; one
// that is named must be there.
#[test]
fn the_file_is_the_one_that_is_named() {
    let place = Place::new("cluster = \"here\"\n");
    let other = Place::new("cluster = \"there\"\n");
    let file = other.path().join("consensus.toml").display().to_string();
    let shows = |command: &mut Command| run(command.args(["--origin"])).out;
    let shown = shows(&mut place.command(&["config", "show"]));
    assert!(shown.contains("\"here\" ") && shown.contains("# consensus.toml:1"), "{shown}");
    let named = format!("# {file}:1");
    let shown = shows(place.command(&["config", "show"]).env("CONSENSUS_CONFIG", &file));
    assert!(shown.contains("\"there\" ") && shown.contains(&named), "{shown}");
    let mut command = place.command(&["config", "show", "--config", &file]);
    let shown = shows(command.env("CONSENSUS_CONFIG", "none.toml"));
    assert!(shown.contains(&named), "{shown}");
    let error = place.refuses(&mut place.command(&["config", "check", "--config", "none.toml"]));
    assert!(error.starts_with("cannot read the configuration none.toml (--config): "), "{error}");
    let error = place.refuses(place.command(&["serve"]).env("CONSENSUS_CONFIG", "none.toml"));
    assert!(error.contains("none.toml (CONSENSUS_CONFIG): "), "{error}");
}

// Goal: what is unknown, of the wrong kind, or cannot work is refused by `serve`, by `dev` and by
// `counter` alone, with its place, and nothing is started.
#[test]
fn what_cannot_be_is_refused_with_its_place() {
    const REQUIRED: &str = "id = 1\ncluster = \"a\"\ndata = \"data\"\n";
    let cases = [
        (
            "hartbeat = \"1s\"\n",
            "consensus.toml:4: there is no setting \"hartbeat\"; did you mean \"heartbeat\"?",
        ),
        (
            "heartbeat = 100\n",
            "consensus.toml:4: heartbeat = 100 is no duration; write it as \"250ms\", \"2s\" or \
             \"1m\"",
        ),
        ("pre_vote = \"yes\"\n", "consensus.toml:4: pre_vote = \"yes\" is neither true nor false"),
        (
            "log = \"=\"\n",
            "consensus.toml:4: log = \"=\" cannot be: invalid filter directive; write a level, as \
             info",
        ),
    ];
    for (line, problem) in cases {
        let place = Place::new(&format!("{REQUIRED}{line}"));
        for verb in [&["serve"][..], &["dev"], &[], &["config", "check"], &["status"]] {
            assert_eq!(place.refuses(&mut place.command(verb)), problem, "{verb:?}");
        }
    }
    let slow = Place::new(&format!("{REQUIRED}heartbeat = \"400ms\"\n"));
    let refused = slow.refuses(slow.command(&["serve"]).env("CONSENSUS_ELECTION_TIMEOUT", "600ms"));
    assert_eq!(
        refused,
        "a heartbeat every 400ms (consensus.toml:4) is not well below the election timeout of \
         600ms (CONSENSUS_ELECTION_TIMEOUT): set heartbeat to 200ms or less, or \
         CONSENSUS_ELECTION_TIMEOUT to 1200ms or more"
    );
    let place = Place::new("cluster = \"a\"\n");
    assert_eq!(
        place.refuses(&mut place.command(&["serve"])),
        "nothing says the id and the data; set --id and --data, or write them into consensus.toml"
    );
    let typo = place.refuses(place.command(&["serve"]).env("CONSENSUS_DATE", "x"));
    assert!(typo.starts_with("CONSENSUS_DATE: there is no setting DATE; did you mean DATA?"));
    let peers = Place::new("[peers]\n1 = \"127.0.0.1:1\"\n2 = \"127.0.0.1:1\"\n");
    let alone = peers.refuses(&mut peers.command(&[]));
    assert!(alone.contains("names peers") && alone.contains("counter serve --id"), "{alone}");
    let flags = ["serve", "--id", "1", "--cluster", "a", "--data", "d"];
    assert_eq!(
        peers.refuses(&mut peers.command(&flags)),
        "nodes 1 and 2 have the same address 127.0.0.1:1 in [peers] of consensus.toml; give each \
         its own"
    );
}

// Goal: `config check` tells all that is wrong at once; `serve` tells the first and that there is
// more.
#[test]
fn check_tells_all_that_is_wrong() {
    let place = Place::new("cluster = 1\nhartbeat = \"1s\"\n[node.x]\ndata = \"a\"\n");
    let done = place.run(&["config", "check"]);
    let lines: Vec<&str> = done.err.lines().collect();
    assert_eq!((done.code, &*done.out, lines.len()), (Some(2), "", 3), "{done:?}");
    for (line, word) in lines.iter().zip(["toml:1: ", "toml:2: ", "toml:4: "]) {
        assert!(line.starts_with("error: CX405 ") && line.contains(word), "{done:?}");
    }
    let error = place.refuses(&mut place.command(&["serve"]));
    assert!(error.ends_with("(and 2 more; `config check` lists all)"), "{error}");
    // Each node that the file names is checked.
    place
        .write("cluster = \"a\"\n[peers]\n1 = \"127.0.0.1:1\"\n[node.1]\ndata = \"a\"\n[node.2]\n");
    assert_eq!(place.prints(&["config", "check"]), "consensus.toml can work, for node 1\n");
    place.write("cluster = \"a\"\n[peers]\n1 = \"127.0.0.1:1\"\n[node.2]\ndata = \"a\"\n");
    let done = place.run(&["config", "check"]);
    assert_eq!((done.code, done.err.lines().count()), (Some(2), 2), "{done:?}");
    assert!(done.err.contains("nothing says the data of node 1"), "{done:?}");
    assert!(done.err.contains("node 2 is not among [peers] of consensus.toml"), "{done:?}");
}

// Goal: the tools ask the node of the flag, else of the environment, else of the file.
// Method: addresses where nobody listens; each error names the one that was asked.
#[test]
fn the_tools_ask_the_node_that_is_named_first() {
    let addresses: Vec<String> = (0..4).map(|_| free_address().to_string()).collect();
    let [flag, variable, addr, http] = &addresses[..] else { panic!("four addresses") };
    let file = format!("addr = \"{addr}\"\n[node.4]\nhttp = \"{http}\"\n");
    let place = Place::new(&file);
    let asks = |command: &mut Command| {
        let done = run(command);
        assert_eq!(done.code, Some(1), "{done:?}");
        addresses.iter().find(|address| done.err.contains(*address)).expect("an address").clone()
    };
    for verb in [&["status"][..], &["call", "hits", "get"]] {
        let with_flag = [verb, &["--addr", flag]].concat();
        let mut command = place.command(&with_flag);
        assert_eq!(&asks(command.env("CONSENSUS_ADDR", variable)), flag);
        let mut command = place.command(verb);
        assert_eq!(&asks(command.env("CONSENSUS_ADDR", variable)), variable);
        assert_eq!(&asks(&mut place.command(verb)), addr);
    }
    place.write(&format!("[node.4]\nhttp = \"{http}\"\n"));
    assert_eq!(&asks(&mut place.command(&["status"])), http);
}

// Goal: `counter` alone takes the file, and what it says when it starts is so.
// Method: an address, a directory and a log filter of the file.
#[test]
fn the_counter_alone_takes_the_file() {
    let http = free_address();
    let place = Place::new(&format!(
        "http = \"{http}\"\ndata = \"kept\"\nlog = \"consensus_actors=warn\"\n"
    ));
    let process = place.start(&[], http, "alone");
    assert_eq!(place.prints(&["call", "hits", "add", "by=3"]), "3\n");
    assert!(place.path().join("kept/identity.json").exists());
    let out = process.out();
    assert!(out.contains(&format!("http://{http}")) && out.contains("data in kept"), "{out}");
    assert_eq!(process.log(), "", "nothing is logged below warnings");
}

// Goal: the nodes of `dev` take the file beneath what `dev` decides, and above its own defaults.
// Method: a heartbeat of the file that does not go with the timeout of `dev`.
#[test]
fn the_nodes_of_dev_take_the_file() {
    let place = Place::new("heartbeat = \"200ms\"\nhttp = \"127.0.0.1:1\"\ncluster = \"other\"\n");
    let base = crate::process::free_base().to_string();
    let done = place.run(&["dev", "--base-port", &base]);
    assert_eq!(done.code, Some(2), "{done:?}");
    let words = "a heartbeat every 200ms (consensus.toml:1) is not well below the election timeout \
                 of 300ms (default)";
    assert!(done.err.contains(words), "{done:?}");
}
