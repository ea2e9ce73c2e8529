//! The peer port: accepts, greets, reads frames, and hands their items to the groups.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use consensus_core::NodeId;
use tokio::{
    io::AsyncRead,
    sync::{Semaphore, oneshot},
};

use super::{
    FRAME_BYTES_MAX, Inlets, frame,
    handshake::{self, Identity},
    network::{Incoming, Stream},
};
use crate::sync::lock;

/// Connections at a time; a cluster has one a peer, and a stranger must not take all of the memory.
const CONNECTIONS_MAX: usize = 64;

/// The connection by which each peer came last.
///
/// An older one ends when its sender is dropped: a peer has one link to this node, so whoever calls
/// again has lost it. A machine that lost power cannot say so, and nobody else would ever tell.
#[derive(Clone, Default)]
struct Latest(Arc<Mutex<BTreeMap<NodeId, oneshot::Sender<Infallible>>>>);

impl Latest {
    /// Ends the peer's former connection; what is returned resolves when the next one comes.
    fn replace(&self, peer: NodeId) -> oneshot::Receiver<Infallible> {
        let (latest, replaced) = oneshot::channel();
        lock(&self.0).insert(peer, latest);
        replaced
    }
}

/// Accepts connections until the task is dropped.
pub(crate) async fn listen(mut incoming: impl Incoming, identity: Identity, inlets: Inlets) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let port = Port { identity, inlets, latest: Latest::default() };
    loop {
        let (stream, address) = match poll_fn(|cx| incoming.poll_accept(cx)).await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, say: accepting at once again would only spin.
                tracing::warn!(%error, "cannot accept a connection on the peer port");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%address, "connection closed: {CONNECTIONS_MAX} are open already");
            continue;
        };
        let port = port.clone();
        actix_rt::spawn(async move {
            let _place = place;
            port.serve(stream, address).await;
        });
    }
}

/// What all connections share.
#[derive(Clone)]
struct Port {
    identity: Identity,
    inlets: Inlets,
    latest: Latest,
}

impl Port {
    /// Serves one connection to its end, and says why it ended if that was not the peer's wish.
    async fn serve(&self, mut stream: Stream, address: SocketAddr) {
        let node = self.identity.node;
        let peer = match handshake::answer(&mut stream, &self.identity).await {
            Ok(peer) => peer,
            Err(reason) => {
                tracing::warn!(%node, %address, %reason, "connection closed before the handshake");
                return;
            }
        };
        let replaced = self.latest.replace(peer);
        let ended = tokio::select! {
            biased;
            _ = replaced => {
                tracing::debug!(%node, %peer, "the peer came by another connection");
                return;
            }
            ended = read_frames(&mut stream.read, peer, &self.inlets) => ended,
        };
        match ended {
            Ok(()) => tracing::debug!(%node, %peer, "the peer closed the connection"),
            Err(reason) if reason.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%node, %peer, %address, %reason, "connection closed");
            }
            Err(reason) => tracing::debug!(%node, %peer, %reason, "the connection broke"),
        }
    }
}

async fn read_frames(
    stream: &mut (impl AsyncRead + Unpin),
    peer: NodeId,
    inlets: &Inlets,
) -> io::Result<()> {
    while let Some(body) = frame::read(stream, FRAME_BYTES_MAX).await? {
        let delivered = inlets.deliver(peer, body);
        delivered.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    Ok(())
}
