//! The handshake: who is calling whom, and whether they may talk.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{GroupId, NodeId};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    admission,
    exclusion::{Cause, Exclusion},
    frame,
    network::Stream,
    presence::Presence,
    roster::{Claim, Roster, Standing, Told},
};

/// The layout of frames, items and messages that this build speaks.
pub(super) const PROTOCOL_VERSION: u32 = 3;

/// Says that this port speaks this protocol, to whoever called by mistake.
const MAGIC: &str = "consensus-peer";

/// A peer's greeting takes less than a kilobyte, its answer some more for each node that it lists,
/// and a client's greeting some for the names of what it calls; whoever sends more is none of them.
const HELLO_BYTES_MAX: usize = 32 << 10;

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
    /// Whom the caller wants; one that only looks may not know.
    to: Option<NodeId>,
    /// Where the caller listens, as others reach it.
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    wish: Wish,
    /// Optional behaviour that both sides must know of; none yet.
    features: Vec<String>,
}

/// What a caller wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Wish {
    /// To send frames, as a member.
    #[default]
    Link,
    /// To know who is here, as anybody of the cluster may.
    Look,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
enum Welcome {
    Accepted {
        incarnation: u128,
        /// The peers of the one that answers.
        #[serde(default)]
        peers: Vec<Told>,
    },
    Shown(Shown),
    Refused {
        reason: String,
        #[serde(default)]
        cause: Cause,
    },
}

/// What a node shows to whoever looks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) node: NodeId,
    /// Whether it takes part in a group.
    pub(crate) is_member: bool,
    /// The groups that it hosts.
    pub(crate) groups: BTreeSet<GroupId>,
    /// What replicates them there.
    #[serde(default)]
    pub(crate) protocols: BTreeMap<GroupId, String>,
    /// The nodes that it knows, itself included.
    pub(crate) peers: Vec<Told>,
}

/// Who this node is, and what it knows of its peers.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) cluster: Arc<str>,
    pub(crate) node: NodeId,
    pub(crate) incarnation: u128,
    /// Where it listens, as others reach it; `None` if it does not.
    pub(crate) address: Option<Arc<str>>,
    pub(crate) roster: Roster,
    pub(crate) presence: Presence,
}

impl Identity {
    fn greeting(&self, to: Option<NodeId>, wish: Wish) -> Hello {
        Hello {
            magic: MAGIC.to_owned(),
            version: PROTOCOL_VERSION,
            cluster: self.cluster.to_string(),
            from: self.node,
            incarnation: self.incarnation,
            to,
            address: self.address.as_deref().map(str::to_owned),
            wish,
            features: Vec::new(),
        }
    }

    /// Says what a node that waits to be added waits for.
    pub(crate) fn wanted(&self) -> String {
        let (cluster, id) = (&self.cluster, self.node.number());
        let address = self.address.as_deref().unwrap_or("ADDRESS");
        format!(
            "this node waits to be added to cluster {cluster:?}: run `add {id} {address}` against \
             one of its members"
        )
    }

    /// Returns where nodes listen, this one and all that were not removed.
    pub(crate) fn addresses(&self) -> BTreeMap<NodeId, String> {
        let mut addresses = self.roster.reachable();
        if let Some(address) = self.address.as_deref() {
            addresses.insert(self.node, address.to_owned());
        }
        addresses
    }

    /// Shows what everybody may know.
    fn show(&self) -> Shown {
        let told = |(node, address)| Told { node, address, incarnation: None };
        let peers = self.addresses().into_iter().map(told).collect();
        let is_member = self.roster.standing() == Standing::Member;
        let (groups, protocols) = (self.roster.groups(), self.roster.protocols());
        Shown { node: self.node, is_member, groups, protocols, peers }
    }
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
/// [`Exclusion`] within the error when either side will not talk, and whatever the socket says.
pub(super) async fn call(stream: &mut Stream, identity: &Identity, peer: NodeId) -> io::Result<()> {
    send(&mut stream.write, &identity.greeting(Some(peer), Wish::Link)).await?;
    match parse(&receive(&mut stream.read, HELLO_BYTES_MAX).await?)? {
        Welcome::Accepted { incarnation, peers } => {
            let answering = Claim { node: peer, incarnation, address: None };
            identity.roster.recognize(&answering).map_err(Exclusion::into_io)?;
            identity.roster.introduce(peers);
            Ok(())
        }
        Welcome::Refused { reason, cause } => Err(Exclusion::of_this(cause, reason).into_io()),
        Welcome::Shown(_) => Err(unasked()),
    }
}

/// Asks who is there and whom it knows.
///
/// # Errors
/// As [`call`].
pub(super) async fn look(stream: &mut Stream, identity: &Identity) -> io::Result<Shown> {
    send(&mut stream.write, &identity.greeting(None, Wish::Look)).await?;
    match parse(&receive(&mut stream.read, HELLO_BYTES_MAX).await?)? {
        Welcome::Shown(shown) => Ok(shown),
        Welcome::Refused { reason, cause } => Err(Exclusion::of_this(cause, reason).into_io()),
        Welcome::Accepted { .. } => Err(unasked()),
    }
}

fn unasked() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is to another greeting")
}

/// Who calls.
pub(super) enum Caller {
    /// A peer, which has been welcomed.
    Peer(NodeId),
    /// A node that wanted to know who is here, and was told.
    Looker,
    /// A client with this greeting, which has not been answered.
    Client(Bytes),
}

/// Answers a caller if it is a node; returns who it is.
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
    let (peer, wish) = (hello.from, hello.wish);
    if let Err(exclusion) = judge(hello, identity) {
        let Exclusion { cause, reason, .. } = exclusion.clone();
        send(&mut stream.write, &Welcome::Refused { reason, cause }).await?;
        return Err(exclusion.into_io());
    }
    match wish {
        Wish::Link => {
            let (incarnation, peers) = (identity.incarnation, identity.roster.tell());
            send(&mut stream.write, &Welcome::Accepted { incarnation, peers }).await?;
            Ok(Caller::Peer(peer))
        }
        Wish::Look => {
            send(&mut stream.write, &Welcome::Shown(identity.show())).await?;
            Ok(Caller::Looker)
        }
    }
}

fn judge(hello: Hello, identity: &Identity) -> Result<(), Exclusion> {
    let node = identity.node;
    let mistaken = |reason: String| Err(Exclusion::new(Cause::Mistaken, reason));
    if hello.magic != MAGIC {
        return mistaken("the caller speaks another protocol".to_owned());
    }
    if hello.version != PROTOCOL_VERSION {
        return mistaken(format!(
            "{} speaks version {} of the protocol and {node} speaks {PROTOCOL_VERSION}; run the \
             same release on both",
            hello.from, hello.version
        ));
    }
    if *hello.cluster != *identity.cluster {
        return mistaken(format!(
            "{} belongs to cluster {:?} and {node} to {:?}; check --cluster and --peers",
            hello.from, hello.cluster, identity.cluster
        ));
    }
    if let Some(wanted) = hello.to.filter(|wanted| *wanted != node) {
        return mistaken(format!(
            "{} wanted {wanted}, but this is {node}; check --peers",
            hello.from
        ));
    }
    let claim = Claim { node: hello.from, incarnation: hello.incarnation, address: hello.address };
    match hello.wish {
        Wish::Link => identity.roster.recognize(&claim),
        Wish::Look => identity.roster.consider(&claim),
    }
}
