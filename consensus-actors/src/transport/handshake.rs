//! The handshake: who is calling whom, and whether they may talk.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use consensus_core::NodeId;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{admission, frame, network::Stream};
use crate::sync::lock;

/// The layout of frames, items and messages that this build speaks.
pub(super) const PROTOCOL_VERSION: u32 = 3;

/// Says that this port speaks this protocol, to whoever called by mistake.
const MAGIC: &str = "consensus-peer";

/// A peer's greeting takes less than a kilobyte, a client's some for the names of what it calls;
/// whoever sends more is neither.
const HELLO_BYTES_MAX: usize = 16 << 10;

/// How long a peer may take to greet.
const PATIENCE: Duration = Duration::from_secs(5);

/// The caller's first frame.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    magic: String,
    version: u32,
    cluster: String,
    from: NodeId,
    incarnation: u128,
    to: NodeId,
    /// Optional behaviour that both sides must know of; none yet.
    features: Vec<String>,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
enum Welcome {
    Accepted { incarnation: u128 },
    Refused { reason: String },
}

/// Remembers the incarnation of each peer, across restarts.
pub(crate) trait Incarnations: Send {
    /// Makes durable that `node` is of `incarnation`.
    fn remember(&mut self, node: NodeId, incarnation: u128) -> io::Result<()>;
}

/// Who this node is, and what it knows of its peers.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) cluster: Arc<str>,
    pub(crate) node: NodeId,
    pub(crate) incarnation: u128,
    known: Arc<Mutex<Known>>,
}

struct Known {
    peers: BTreeMap<NodeId, Option<u128>>,
    store: Box<dyn Incarnations>,
}

impl Identity {
    /// Makes the identity of a node; `peers` are all others, with the incarnation each was last
    /// seen under.
    pub(crate) fn new(
        cluster: Arc<str>,
        node: NodeId,
        incarnation: u128,
        peers: BTreeMap<NodeId, Option<u128>>,
        store: Box<dyn Incarnations>,
    ) -> Self {
        Self { cluster, node, incarnation, known: Arc::new(Mutex::new(Known { peers, store })) }
    }

    /// Checks a peer's incarnation against the one it was first seen under.
    fn recognize(&self, peer: NodeId, incarnation: u128) -> Result<(), String> {
        let mut known = lock(&self.known);
        match known.peers.get(&peer) {
            None => Err(format!("{peer} is not among the peers of {}; check --peers", self.node)),
            Some(Some(seen)) if *seen == incarnation => Ok(()),
            Some(Some(seen)) => {
                // Not for the caller's eyes: who is told an incarnation could claim to be it.
                tracing::error!(
                    "{peer} comes as incarnation {incarnation:032x}, but {} knows it as {seen:032x}",
                    self.node
                );
                Err(format!(
                    "{peer} comes as another incarnation than {} knows: its data directory is not \
                     the one it had, and the votes and entries that it promised to keep may be \
                     gone; give it back its data directory",
                    self.node
                ))
            }
            Some(None) => {
                let stored = known.store.remember(peer, incarnation);
                stored.map_err(|error| format!("cannot remember incarnations: {error}"))?;
                known.peers.insert(peer, Some(incarnation));
                Ok(())
            }
        }
    }
}

fn refused(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, reason.into())
}

pub(super) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec_named(message).map_err(io::Error::other)
}

pub(super) async fn send<W>(stream: &mut W, message: &impl Serialize) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    stream.write_all(&frame::of(&encode(message)?)).await
}

pub(super) async fn receive<R>(stream: &mut R, bytes_max: usize) -> io::Result<Bytes>
where
    R: AsyncRead + Unpin,
{
    let body = timeout(PATIENCE, frame::read(stream, bytes_max)).await??;
    body.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

pub(super) fn parse<M: for<'de> Deserialize<'de>>(body: &[u8]) -> io::Result<M> {
    rmp_serde::from_slice(body)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the first frame is no greeting"))
}

/// Greets `peer` as the caller.
///
/// # Errors
/// [`io::ErrorKind::ConnectionRefused`] with the reason when either side will not talk, and
/// whatever the socket says.
pub(super) async fn call(stream: &mut Stream, identity: &Identity, peer: NodeId) -> io::Result<()> {
    let hello = Hello {
        magic: MAGIC.to_owned(),
        version: PROTOCOL_VERSION,
        cluster: identity.cluster.to_string(),
        from: identity.node,
        incarnation: identity.incarnation,
        to: peer,
        features: Vec::new(),
    };
    send(&mut stream.write, &hello).await?;
    match parse(&receive(&mut stream.read, HELLO_BYTES_MAX).await?)? {
        Welcome::Accepted { incarnation } => identity.recognize(peer, incarnation).map_err(refused),
        Welcome::Refused { reason } => Err(refused(reason)),
    }
}

/// Who calls.
pub(super) enum Caller {
    /// A peer, which has been welcomed.
    Peer(NodeId),
    /// A client with this greeting, which has not been answered.
    Client(Bytes),
}

/// Answers a caller if it is a peer; returns who it is.
///
/// # Errors
/// As [`call`].
pub(super) async fn answer(stream: &mut Stream, identity: &Identity) -> io::Result<Caller> {
    /// What every greeting has.
    #[derive(Deserialize)]
    struct Opening {
        magic: String,
    }
    let body = receive(&mut stream.read, HELLO_BYTES_MAX).await?;
    if parse::<Opening>(&body)?.magic == admission::MAGIC {
        return Ok(Caller::Client(body));
    }
    let hello: Hello = parse(&body)?;
    match judge(&hello, identity) {
        Ok(()) => {
            let incarnation = identity.incarnation;
            send(&mut stream.write, &Welcome::Accepted { incarnation }).await?;
            Ok(Caller::Peer(hello.from))
        }
        Err(reason) => {
            send(&mut stream.write, &Welcome::Refused { reason: reason.clone() }).await?;
            Err(refused(reason))
        }
    }
}

fn judge(hello: &Hello, identity: &Identity) -> Result<(), String> {
    let node = identity.node;
    if hello.magic != MAGIC {
        return Err("the caller speaks another protocol".to_owned());
    }
    if hello.version != PROTOCOL_VERSION {
        return Err(format!(
            "{} speaks version {} of the protocol and {node} speaks {PROTOCOL_VERSION}; run the \
             same release on both",
            hello.from, hello.version
        ));
    }
    if *hello.cluster != *identity.cluster {
        return Err(format!(
            "{} belongs to cluster {:?} and {node} to {:?}; check --cluster and --peers",
            hello.from, hello.cluster, identity.cluster
        ));
    }
    if hello.to != node {
        return Err(format!(
            "{} wanted {}, but this is {node}; check --peers",
            hello.from, hello.to
        ));
    }
    identity.recognize(hello.from, hello.incarnation)
}
