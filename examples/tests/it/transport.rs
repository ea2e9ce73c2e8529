//! The peer port: whatever comes there closes its connection at most, with a reason in the log.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::{
    cluster::{Cluster, PATIENCE},
    http::{self, Http},
    peer::{self, Peer},
    process::{eventually, throughout},
};

/// Waits until the node closes the connection, and returns what it had said before.
pub(crate) fn await_closed(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => said,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => said,
        Err(error) => panic!("the connection is not closed: {error}"),
    }
}

// Goal: a stranger on the peer port is sent away with a logged reason, and nothing else happens.
// Method: random bytes, an HTTP request, a huge length, a wrong checksum, a frame that is no
// greeting; a silent end.
#[test]
fn garbage_closes_its_connection_only() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let term = cluster.status(leader).expect("the leader answers").term;
    let mut random = [0_u8; 1_000];
    // Any bytes will do that are no frame: here those of a simple generator.
    random.iter_mut().fold(1_u32, |state, byte| {
        *byte = (state >> 24) as u8;
        state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
    });
    let mut wrong = peer::frame(b"a greeting");
    wrong[5] ^= 1;
    let cases = [
        (&random[4..], "a frame of"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "a frame of"),
        (&[0xff; 12], "a frame of 4294967295 bytes"),
        (&wrong, "checksum"),
        (&peer::frame(b"a greeting"), "no greeting"),
        (&peer::frame(b""), "no greeting"),
    ];
    for (bytes, reason) in &cases {
        let mut stream = TcpStream::connect(cluster.peer(leader)).expect("the port is open");
        stream.write_all(bytes).expect("the socket takes bytes");
        assert_eq!(await_closed(&mut stream), b"", "nothing is said to a stranger");
        let address = stream.local_addr().expect("a bound socket").to_string();
        cluster.await_log(leader, &["connection closed before the handshake", reason, &address]);
    }
    drop(TcpStream::connect(cluster.peer(leader)).expect("the port is open"));

    assert_eq!(http::add(cluster.http(leader), 1), 1);
    let status = cluster.status(leader).expect("the leader answers");
    assert_eq!((&*status.role, status.term), ("leader", term), "nobody else was disturbed");
    assert!(cluster.process(leader).ended().is_none());
}

// Goal: connections that stay silent are closed in time, and leave room for peers.
// Method: take all places of the leader's port, also the one that a follower leaves when it is
// killed; the follower comes back to it all the same.
#[test]
fn silent_connections_do_not_keep_peers_out() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let follower = cluster.ids().find(|id| *id != leader).expect("there are others");
    let port = cluster.peer(leader);
    let open = |_| TcpStream::connect(port).expect("the port is open");
    let mut silent: Vec<TcpStream> = (0..100).map(open).collect();
    cluster.await_log(leader, &["connection closed", "are open already"]);
    cluster.kill(follower);
    silent.extend((0..10).map(open));
    cluster.start_node(follower);
    cluster.await_ready();
    let total = eventually("the follower reaches the leader", PATIENCE, || {
        let answer = Http::new().add(cluster.http(follower), 1, &[("Idempotency-Key", "k")]);
        answer.ok().filter(|answer| answer.status == 200).map(|answer| answer.number())
    });
    assert_eq!(total, 1);
    cluster.settle();
}

// Goal: a peer that was greeted and then sends garbage loses its connection, with a reason, and the
// node goes on.
// Method: stand in for the third node of three: greet as it would, then send what is no frame, no
// items, no message.
#[test]
fn garbage_of_a_peer_closes_its_connection_only() {
    let mut cluster = Cluster::prepare(3);
    cluster.start_node(1);
    cluster.start_node(2);
    cluster.await_ready();
    let mut wrong = peer::frame(&peer::item("hits", 0, b"a message"));
    wrong[4] ^= 1;
    let cases = [
        (vec![0xff; 64], "a frame of"),
        (wrong, "checksum"),
        (peer::frame(b"no items"), ""),
        (peer::frame(&peer::item("hits", 9, b"")), "item"),
        (peer::frame(&peer::item("hits", 0, b"no message")), ""),
        (peer::frame(&peer::item("hits", 1, b"no request")), ""),
        (peer::frame(&peer::item("hits", 2, b"no response")), ""),
        (peer::frame(&peer::item("hits", 0, &[0xff; 200])), ""),
        (peer::frame(&peer::item("hits", 0, b"")), ""),
    ];
    let third = Peer { cluster: "test", id: 3, incarnation: 77 };
    for (bytes, reason) in &cases {
        let mut stream = third.greet(cluster.peer(1), 1).expect("the node takes its peer");
        stream.write_all(bytes).expect("the socket takes bytes");
        await_closed(&mut stream);
        let address = stream.local_addr().expect("a bound socket").to_string();
        cluster.await_log(1, &["WARN", "connection closed", "peer=n3", reason, &address]);
    }
    // What is of no group that is hosted here is nobody's concern.
    let mut stream = third.greet(cluster.peer(1), 1).expect("the node takes its peer");
    let strange = peer::frame(&peer::item("misses", 0, b"anything"));
    stream.write_all(&strange).expect("the socket takes bytes");
    assert_eq!(http::add(cluster.http(1), 1), 1);
    stream.write_all(&strange).expect("the connection is still open");
    for id in [1, 2] {
        assert!(cluster.process(id).ended().is_none(), "node {id} lives");
        assert_eq!(http::value(cluster.http(id)), 1, "node {id}");
    }
}

// Goal: nobody is greeted who is not the node that he says, in this cluster and this version.
// Method: greet with another cluster's name, another version, as a node that is no member, and for
// another node.
#[test]
fn a_wrong_greeting_is_refused_with_the_reason() {
    let mut cluster = Cluster::prepare(3);
    cluster.start_node(1);
    cluster.start_node(2);
    cluster.await_ready();
    let right = Peer { cluster: "test", id: 3, incarnation: 77 };
    let port = cluster.peer(1);
    let refused = |peer: Peer, to| peer.greet(port, to).expect_err("the greeting is wrong");
    let cases = [
        (refused(Peer { cluster: "other", ..right }, 1), "belongs to cluster \"other\""),
        (refused(Peer { id: 4, ..right }, 1), "n4 is not among the peers"),
        (refused(Peer { id: 1, ..right }, 1), "n1 is not among the peers"),
        (refused(right, 2), "wanted n2, but this is n1"),
        (peer::greet_in_version(1, port).expect_err("the version is wrong"), "version"),
    ];
    for (reason, expected) in cases {
        assert!(reason.contains(expected), "{reason}");
        cluster.await_log(1, &["connection closed before the handshake", expected]);
    }
    right.greet(port, 1).expect("the node takes its peer");
    let other = refused(Peer { incarnation: 78, ..right }, 1);
    assert!(other.contains("incarnation") && other.contains("data directory"), "{other}");
    // Who is told an incarnation could claim to be it.
    assert!(!other.contains(&format!("{:032x}", right.incarnation)), "{other}");
    assert_eq!(http::add(cluster.http(1), 1), 1);
}

// Goal: a node that was given another cluster's name joins nobody, both sides say why, and the
// cluster goes on.
// Method: start the third of three under another name.
#[test]
fn a_node_of_another_cluster_is_kept_out() {
    let mut cluster = Cluster::prepare(3);
    cluster.start_node(1);
    cluster.start_node(2);
    cluster.await_ready();
    cluster.start_node_with(3, &[("--cluster", "other")]);
    let words = ["n3 belongs to cluster \"other\" and n1 to \"test\"", "check --cluster"];
    cluster.await_log(1, &[&["connection closed before the handshake"], &words[..]].concat());
    cluster.await_log(3, &[&["refused"], &words[..]].concat());
    throughout("the stranger follows nobody", Duration::from_secs(1), || {
        cluster.status(3).is_none_or(|status| status.leader.is_none())
    });
    assert_eq!(http::add(cluster.http(2), 1), 1);
    let noise = cluster.log(3).lines().filter(|line| line.contains("refused")).count();
    assert!(noise <= 2, "a refusal is logged once a peer, not at every attempt: {noise} times");
}

// Goal: a node whose disk was wiped has forgotten its votes: it is refused, elects nobody, and the
// others go on.
// Method: wipe a follower and start it again; then bring it as close to an election as it can come.
#[test]
fn a_wiped_node_is_refused_and_never_elected() {
    let mut cluster = Cluster::start(3);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    cluster.settle();
    let leader = cluster.leader();
    let wiped = cluster.ids().find(|id| *id != leader).expect("there are followers");
    let other = cluster.ids().find(|id| ![leader, wiped].contains(id)).expect("and a third");
    cluster.kill(wiped);
    fs::remove_dir_all(cluster.data(wiped)).expect("the directory can be removed");
    cluster.start_node(wiped);
    let reason = format!("n{wiped} comes as incarnation");
    for id in [leader, other] {
        cluster.await_log(id, &[&reason, &format!("n{id} knows it as")]);
    }
    let told = format!("n{wiped} comes as another incarnation");
    cluster.await_log(wiped, &["refused", &told, "give it back its data directory"]);
    for total in 2..=10 {
        assert_eq!(http::add(cluster.http(other), 1), total);
    }

    // With the leader gone only one sound node is left, and the wiped one must not make a majority
    // of it.
    cluster.kill(leader);
    throughout("nobody is elected", Duration::from_secs(3), || {
        let leads = |id| cluster.status(id).is_some_and(|status| status.role == "leader");
        !leads(wiped) && !leads(other)
    });
    let seen = cluster.status(wiped).expect("the wiped node answers");
    assert_eq!((seen.committed, seen.applied), (0, 0), "it was told nothing");
    cluster.start_node(leader);
    eventually("the sound two go on", PATIENCE, || {
        let sound = [leader, other];
        sound.contains(&cluster.leader_of(&sound)).then_some(())
    });
    assert_eq!(http::add(cluster.http(leader), 1), 11);
}
