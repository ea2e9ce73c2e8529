//! How a client that is no member greets a node, and whether the node takes it.
//!
//! It comes to the peer port with a greeting of its own, which names the group, and the state
//! machine that it takes it for. It need not know the cluster's name: it learns it from the first
//! node and insists on it from then on.

use std::io;

use bytes::Bytes;
use consensus_core::{Interface, NodeId};
use serde::{Deserialize, Serialize};

use super::{
    handshake::{self, PROTOCOL_VERSION},
    network::Stream,
};
use crate::error::Code;

/// Says that the caller is a client that is no member.
pub(super) const MAGIC: &str = "consensus-client";

/// The longest answer to a greeting.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// How many operations are compared; who has more is trusted with the rest.
const OPERATIONS_MAX: usize = 1_000;

/// A client's first frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    magic: String,
    version: u32,
    /// The cluster that it wants, if it knows.
    cluster: Option<String>,
    pub(crate) group: String,
    /// The stable name of the state machine that it takes the group for.
    pub(crate) machine: String,
    /// The fingerprints of what it may call.
    pub(crate) operations: Vec<u64>,
    /// Optional behaviour that both sides must know of; none yet.
    features: Vec<String>,
}

impl Greeting {
    /// Makes the greeting of a client for `group`.
    pub(crate) fn new(group: &str, machine: &str, interface: Interface) -> Self {
        Self {
            magic: MAGIC.to_owned(),
            version: PROTOCOL_VERSION,
            cluster: None,
            group: group.to_owned(),
            machine: machine.to_owned(),
            operations: interface.fingerprints().take(OPERATIONS_MAX).collect(),
            features: Vec::new(),
        }
    }

    /// Returns the greeting of a client that insists on this cluster.
    pub(crate) fn wanting(mut self, cluster: Option<String>) -> Self {
        self.cluster = cluster;
        self
    }
}

/// The node's answer.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Admitted { cluster: String, node: NodeId },
    Refused(Refusal),
}

/// Why a client is sent away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) ground: Ground,
    /// What is wrong and what to do, in a sentence.
    pub(crate) reason: String,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ground {
    OtherVersion,
    OtherCluster,
    OtherType,
    UnknownGroup,
    Starting,
    Stopping,
    TooManyClients,
}

impl Ground {
    /// Tells whether the same greeting will be refused again.
    pub(crate) fn is_lasting(self) -> bool {
        match self {
            Self::OtherVersion | Self::OtherCluster | Self::OtherType | Self::UnknownGroup => true,
            Self::Starting | Self::Stopping | Self::TooManyClients => false,
        }
    }

    /// Returns the code that users are told.
    pub(crate) fn code(self) -> Code {
        match self {
            Self::OtherVersion => Code::OtherVersion,
            Self::OtherCluster => Code::OtherCluster,
            Self::OtherType => Code::OtherType,
            Self::UnknownGroup => Code::UnknownGroup,
            Self::Starting => Code::Starting,
            Self::Stopping => Code::Stopping,
            Self::TooManyClients => Code::TooManyClients,
        }
    }
}

/// Whom a client has reached.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) cluster: String,
    pub(crate) node: NodeId,
}

/// Greets a node as a client; the inner error is the node's word.
///
/// # Errors
/// Whatever the socket says, and [`io::ErrorKind::InvalidData`] where no node of ours answers.
pub(crate) async fn call(
    stream: &mut Stream,
    greeting: &Greeting,
) -> io::Result<Result<Host, Refusal>> {
    handshake::send(&mut stream.write, greeting).await?;
    let answer = handshake::receive(&mut stream.read, ANSWER_BYTES_MAX).await?;
    Ok(match handshake::parse(&answer)? {
        Answer::Admitted { cluster, node } => Ok(Host { cluster, node }),
        Answer::Refused(refusal) => Err(refusal),
    })
}

/// Reads a client's greeting, unless it is of another version.
pub(super) fn read(body: &Bytes, node: NodeId) -> io::Result<Result<Greeting, Refusal>> {
    /// What every version of the greeting has.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = handshake::parse(body)?;
    if version == PROTOCOL_VERSION {
        return handshake::parse(body).map(Ok);
    }
    let reason = format!(
        "{node} speaks version {PROTOCOL_VERSION} of the protocol and the client version \
         {version}; build both from the same release"
    );
    Ok(Err(Refusal { ground: Ground::OtherVersion, reason }))
}

/// Looks whether the client wants this cluster.
pub(super) fn check_cluster(
    greeting: &Greeting,
    cluster: &str,
    node: NodeId,
) -> Result<(), Refusal> {
    match &greeting.cluster {
        Some(wanted) if wanted != cluster => {
            let reason = format!(
                "{node} belongs to cluster {cluster:?}, and the client wants {wanted:?}; give it \
                 the addresses of that, or the name of this"
            );
            Err(Refusal { ground: Ground::OtherCluster, reason })
        }
        Some(_) | None => Ok(()),
    }
}

/// Tells a client that it may go on.
pub(super) async fn admit(stream: &mut Stream, cluster: &str, node: NodeId) -> io::Result<()> {
    let cluster = cluster.to_owned();
    handshake::send(&mut stream.write, &Answer::Admitted { cluster, node }).await
}

/// Sends a client away.
pub(super) async fn refuse(stream: &mut Stream, refusal: Refusal) -> io::Result<()> {
    let Refusal { ground, mut reason } = refusal;
    reason.truncate(reason.floor_char_boundary(ANSWER_BYTES_MAX - 256));
    handshake::send(&mut stream.write, &Answer::Refused(Refusal { ground, reason })).await
}
