//! A node that cannot work refuses to start, in one sentence that says what to do, and leaves the
//! disk as it was.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use crate::{
    cluster::{Cluster, PATIENCE, serve},
    http::{self, GET, Http},
    process::{Done, eventually, free_address, run},
};

/// Every file below a directory, and every directory, with what it holds.
fn contents(path: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a directory can be read");
            waiting.extend(entries.map(|entry| entry.expect("an entry can be read").path()));
            found.insert(path, None);
        } else if path.exists() {
            let bytes = fs::read(&path).expect("a file can be read");
            found.insert(path, Some(bytes));
        }
    }
    found
}

/// Checks that node 1 of the cluster refuses to start with these flags changed, and that the disk
/// stays as it was.
fn refused(cluster: &Cluster, changed: &[(&str, &str)]) -> Done {
    let before = contents(cluster.dir());
    let done = run(&mut serve(cluster.flags(1), changed));
    assert!(matches!(done.code, Some(1 | 2)), "{changed:?}: {done:?}");
    assert!(done.err.starts_with("error: "), "{changed:?}: {done:?}");
    assert_eq!(done.out, "", "{changed:?}: {done:?}");
    let after = contents(cluster.dir());
    let names = |contents: &BTreeMap<PathBuf, _>| contents.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "{changed:?} changed the directory");
    assert!(before == after, "{changed:?} changed a file");
    done
}

/// Checks the refusal as above, and that it is one line with this code and all of these words.
#[track_caller]
fn refused_with(
    cluster: &Cluster,
    changed: &[(&str, &str)],
    exit: i32,
    code: &str,
    words: &[&str],
) {
    let done = refused(cluster, changed);
    assert_eq!(done.code, Some(exit), "{changed:?}: {done:?}");
    assert_eq!(done.err.lines().count(), 1, "{changed:?}: {}", done.err);
    for word in [code].iter().chain(words) {
        assert!(done.err.contains(word), "{word:?} is missing in: {}", done.err);
    }
}

// Goal: an address that another process has is refused, by its name, before the disk is touched.
// Method: listen on the peer port, on the HTTP port; let both be the same.
#[test]
fn a_port_in_use_is_refused() {
    let cluster = Cluster::prepare(3);
    let peer = TcpListener::bind(cluster.peer(1)).expect("the port is free");
    let address = cluster.peer(1).to_string();
    let words = ["peer", &*address, "in use", "another port"];
    refused_with(&cluster, &[], 1, "CX404", &words);
    drop(peer);
    let _http = TcpListener::bind(cluster.http(1)).expect("the port is free");
    let address = cluster.http(1).to_string();
    let words = ["HTTP", &*address, "in use", "another port"];
    refused_with(&cluster, &[], 1, "CX404", &words);
    let peer = cluster.peer(1).to_string();
    refused_with(&cluster, &[("--http", &peer)], 2, "CX405", &["HTTP", "peer", &peer]);
}

// Goal: a data directory belongs to one node of one cluster, and is used by one process.
// Method: start a node on the directory of another cluster, of another node, and of a node that
// runs.
#[test]
fn a_data_directory_of_another_is_refused() {
    let mut cluster = Cluster::start(1);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    let data = cluster.data(1).display().to_string();
    let (http, peer) = (free_address().to_string(), format!("1={}", free_address()));
    let elsewhere = [("--http", &*http), ("--peers", &*peer)];
    refused_with(&cluster, &elsewhere, 1, "CX403", &[&data, "in use by another process", "--data"]);
    assert_eq!(http::add(cluster.http(1), 1), 2, "the node that runs is not disturbed");

    cluster.kill(1);
    let words = [&*data, "\"test\"", "\"other\"", "--cluster test"];
    refused_with(&cluster, &[("--cluster", "other")], 1, "CX401", &words);
    let peers = format!("1={},2={}", free_address(), free_address());
    let words = [&*data, "node 1", "node 2", "--id 1"];
    refused_with(&cluster, &[("--id", "2"), ("--peers", &peers)], 1, "CX402", &words);

    cluster.start_all();
    assert_eq!(http::value(cluster.http(1)), 2);
}

// Goal: a node does not come back as a member of another set, whose majorities need not meet the
// former's: what either acknowledged could be lost.
// Method: start a node of three alone, with one of the others, and with a fourth; elsewhere it may
// be, as long as it is the same set.
#[test]
fn changed_members_are_refused() {
    let mut cluster = Cluster::start(3);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    cluster.kill_all();
    let (data, all) = (cluster.data(1).display().to_string(), cluster.peers());
    let more = format!("{all},4={}", free_address());
    let fewer = all.rsplit_once(',').map(|(fewer, _)| fewer).expect("three peers");
    let alone = format!("1={}", cluster.peer(1));
    for (peers, configured) in [(&*alone, "for 1:"), (fewer, "for 1, 2:"), (&more, "1, 2, 3, 4:")] {
        let words = [&*data, "of the nodes 1, 2, 3,", configured, "--peers"];
        refused_with(&cluster, &[("--peers", peers)], 2, "CX405", &words);
    }
    cluster.start_node_with(1, &[("--http", &free_address().to_string())]);
    cluster.start_node(2);
    cluster.start_node(3);
    eventually("the cluster goes on", PATIENCE, || {
        Http::new().get(cluster.http(3), GET, &[]).ok().filter(|answer| answer.status == 200)
    });
    assert_eq!(http::value(cluster.http(2)), 1);
}

// Goal: members that contradict each other are refused.
// Method: this node missing, an id twice, an address twice, an id of zero.
#[test]
fn contradictory_members_are_refused() {
    let cluster = Cluster::prepare(3);
    let (a, b) = (cluster.peer(1).to_string(), cluster.peer(2).to_string());
    let cases = [
        (format!("2={a},3={b}"), &["node 1", "1=HOST:PORT", "2, 3"][..]),
        (format!("1={a},1={b}"), &["node 1", "twice"]),
        (format!("1={a},2={b},2={b}"), &["node 2", "twice"]),
        (format!("1={a},2={b},3={b}"), &["nodes 2 and 3", &b, "its own"]),
        (format!("0={a},1={b}"), &["0 is no node id"]),
    ];
    for (peers, words) in &cases {
        refused_with(&cluster, &[("--peers", peers)], 2, "CX405", words);
    }
    let with_zero = format!("0={a},1={b}");
    refused_with(&cluster, &[("--id", "0")], 2, "CX405", &["0 is no node id", "from 1"]);
    let changed = [("--id", "0"), ("--peers", &*with_zero)];
    refused_with(&cluster, &changed, 2, "CX405", &["0 is no node id", "from 1"]);
}

// Goal: flags that cannot be read are refused with how to write them.
// Method: peers without an id, without an address, with text for a number; times without a unit; an
// unknown flag.
#[test]
fn malformed_flags_are_refused() {
    let cluster = Cluster::prepare(1);
    let cases = [
        ("--peers", "127.0.0.1:4801", "1=127.0.0.1:4801"),
        ("--peers", "one=127.0.0.1:4801", "1=127.0.0.1:4801"),
        ("--peers", "1=127.0.0.1:4801,", "1=127.0.0.1:4801"),
        ("--peers", "", "1=127.0.0.1:4801"),
        ("--peers", "1=127.0.0.1", "HOST:PORT"),
        ("--peers", "1=127.0.0.1:99999", "HOST:PORT"),
        ("--http", "4701", "HOST:PORT"),
        ("--http", "", "HOST:PORT"),
        ("--id", "one", "--id"),
        ("--id", "-1", "--id"),
        ("--election-timeout", "300", "250ms"),
        ("--heartbeat", "fast", "250ms"),
        ("--cluster", "", "--cluster"),
    ];
    for (flag, value, advice) in cases {
        let done = refused(&cluster, &[(flag, value)]);
        assert_eq!(done.code, Some(2), "{flag} {value}: {done:?}");
        assert!(done.err.contains(advice), "{flag} {value}: {}", done.err);
    }
}

// Goal: a heartbeat that is not well below the election timeout is refused with values that would
// do.
// Method: a heartbeat above, at, and just above a third of the timeout; zero; a timeout of zero.
#[test]
fn a_heartbeat_that_is_too_slow_is_refused() {
    let cluster = Cluster::prepare(1);
    for heartbeat in ["400ms", "300ms", "101ms"] {
        let words = ["--heartbeat to 100ms or less", "--election-timeout to", heartbeat];
        refused_with(&cluster, &[("--heartbeat", heartbeat)], 2, "CX405", &words);
    }
    refused_with(&cluster, &[("--heartbeat", "0ms")], 2, "CX405", &["zero", "--heartbeat"]);
    let words = ["--election-timeout to"];
    refused_with(&cluster, &[("--election-timeout", "0s")], 2, "CX405", &words);
}

// Goal: without TLS a node listens on loopback only, and says why.
// Method: addresses of all interfaces, old and new, for peers and for HTTP.
#[test]
fn an_address_beyond_loopback_is_refused() {
    let cluster = Cluster::prepare(1);
    for address in ["0.0.0.0:4901", "[::]:4901", "192.0.2.1:4901"] {
        let words = [address, "beyond loopback", "no TLS", "127.0.0.1"];
        refused_with(&cluster, &[("--http", address)], 1, "CX407", &words);
        let peers = format!("1={address}");
        refused_with(&cluster, &[("--peers", &peers)], 1, "CX407", &words);
    }
}

// Goal: a journal that was changed is refused, untouched, and with the place; put right, it serves
// again.
// Method: flip one bit in the middle of what a stopped node has written; then flip it back.
#[test]
fn a_changed_journal_is_refused() {
    let mut cluster = Cluster::start(1);
    for total in 1..=50 {
        assert_eq!(http::add(cluster.http(1), 1), total);
    }
    cluster.kill(1);
    let journal = cluster.data(1).join("journal");
    let entries = fs::read_dir(&journal).expect("the journal is a directory");
    let segments: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    let [segment] = &segments[..] else { panic!("{segments:?} is not one segment") };
    let good = fs::read(segment).expect("the segment can be read");
    let end = good.iter().rposition(|byte| *byte != 0).expect("something was written");

    for at in [end / 2, end / 3, 600, 40, 3] {
        let mut changed = good.clone();
        changed[at] ^= 0x10;
        fs::write(segment, &changed).expect("the segment can be written");
        let file = segment.file_name().and_then(|name| name.to_str()).expect("a name");
        let data = cluster.data(1).display().to_string();
        refused_with(&cluster, &[], 1, "CX406", &[&data, file]);
    }
    fs::write(segment, &good).expect("the segment can be written");
    cluster.start_all();
    assert_eq!(http::value(cluster.http(1)), 50);
}

// Goal: a directory whose card is gone or damaged is not given a new identity: its votes are
// somebody's.
// Method: remove and damage `identity.json` of a stopped node; then put it back.
#[test]
fn a_directory_without_its_identity_is_refused() {
    let mut cluster = Cluster::start(1);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    cluster.kill(1);
    let card = cluster.data(1).join("identity.json");
    let good = fs::read(&card).expect("the card can be read");
    fs::remove_file(&card).expect("the card can be removed");
    refused_with(&cluster, &[], 1, "CX409", &["identity.json", "restore"]);
    for damaged in [&b""[..], b"{}", &good[..good.len() / 2]] {
        fs::write(&card, damaged).expect("the card can be written");
        refused_with(&cluster, &[], 1, "CX409", &["identity.json", "damaged"]);
    }
    fs::write(&card, &good).expect("the card can be written");
    cluster.start_all();
    assert_eq!(http::value(cluster.http(1)), 1);
}

// Goal: a directory that cannot be made is refused with its name.
// Method: a file where the directory should be.
#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let cluster = Cluster::prepare(1);
    let data = cluster.data(1);
    fs::write(&data, "in the way").expect("a file can be written");
    let name = data.display().to_string();
    refused_with(&cluster, &[], 1, "CX409", &["cannot use the data directory", &name]);
}

// Goal: a refusal is over: nothing of the node stays behind, and put right it starts.
// Method: refuse one for its port, free the port, start it.
#[test]
fn a_node_starts_once_what_was_in_its_way_is_gone() {
    let mut cluster = Cluster::prepare(1);
    let taken = TcpListener::bind(cluster.http(1)).expect("the port is free");
    refused(&cluster, &[]);
    drop(taken);
    cluster.start_all();
    assert_eq!(http::add(cluster.http(1), 1), 1);
}
