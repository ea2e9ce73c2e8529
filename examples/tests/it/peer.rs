//! A peer made by hand, and a client, to say on the peer port what no node or client would.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use consensus_actors::GroupId;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::cluster::PATIENCE;

/// Who greets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) cluster: &'static str,
    pub(crate) id: u64,
    pub(crate) incarnation: u128,
}

#[derive(Serialize)]
struct Hello {
    magic: &'static str,
    version: u32,
    cluster: &'static str,
    from: u64,
    incarnation: u128,
    to: u64,
    features: Vec<String>,
}

/// A client's greeting.
#[derive(Serialize)]
struct Greeting {
    magic: &'static str,
    version: u32,
    cluster: Option<&'static str>,
    group: &'static str,
    machine: &'static str,
    operations: Vec<u64>,
    features: Vec<String>,
}

#[derive(Debug, Deserialize)]
enum Answer {
    Admitted {},
    Refused { ground: String, reason: String },
}

#[derive(Debug, Deserialize)]
enum Welcome {
    Accepted {},
    Refused { reason: String },
}

impl Peer {
    /// Connects and greets the node `to`; returns the connection, or why the node refused.
    pub(crate) fn greet(self, port: SocketAddr, to: u64) -> Result<TcpStream, String> {
        greet(self.hello(3, to), port)
    }

    fn hello(self, version: u32, to: u64) -> Hello {
        let Self { cluster, id: from, incarnation } = self;
        let (magic, features) = ("consensus-peer", Vec::new());
        Hello { magic, version, cluster, from, incarnation, to, features }
    }
}

/// Greets node 1 as node 3 in another version of the protocol.
pub(crate) fn greet_in_version(version: u32, port: SocketAddr) -> Result<TcpStream, String> {
    let peer = Peer { cluster: "test", id: 3, incarnation: 77 };
    greet(peer.hello(version, 1), port)
}

fn greet(hello: Hello, port: SocketAddr) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect(port).expect("the peer port is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    let hello = rmp_serde::to_vec_named(&hello).expect("a greeting can be encoded");
    stream.write_all(&frame(&hello)).expect("the socket takes a greeting");
    let answer = read(&mut stream).expect("the node answers the greeting");
    match rmp_serde::from_slice(&answer).expect("the answer is a welcome") {
        Welcome::Accepted {} => Ok(stream),
        Welcome::Refused { reason } => Err(reason),
    }
}

/// Greets a node as a client of the counter's that calls nothing; returns the connection, or why
/// the node refused.
pub(crate) fn visit(version: u32, port: SocketAddr) -> Result<TcpStream, (String, String)> {
    let greeting = Greeting {
        magic: "consensus-client",
        version,
        cluster: None,
        group: "hits",
        machine: "counter",
        operations: Vec::new(),
        features: Vec::new(),
    };
    let mut stream = TcpStream::connect(port).expect("the peer port is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    let greeting = rmp_serde::to_vec_named(&greeting).expect("a greeting can be encoded");
    stream.write_all(&frame(&greeting)).expect("the socket takes a greeting");
    let answer = read(&mut stream).expect("the node answers the greeting");
    match rmp_serde::from_slice(&answer).expect("the answer is one to a client") {
        Answer::Admitted {} => Ok(stream),
        Answer::Refused { ground, reason } => Err((ground, reason)),
    }
}

/// Reads the body of a frame.
pub(crate) fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = [0; 12];
    stream.read_exact(&mut header)?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// Returns `body` as a frame: its length, its checksum, and itself.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a body is short");
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(&XxHash3_64::oneshot(body).to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

/// Returns an item of a frame: the group, the kind, and the bytes with their length.
pub(crate) fn item(group: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("an item is short");
    let mut item = GroupId::named(group).0.to_le_bytes().to_vec();
    item.push(kind);
    item.extend_from_slice(&length.to_le_bytes());
    item.extend_from_slice(bytes);
    item
}
