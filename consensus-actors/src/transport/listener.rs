//! The peer port: accepts, greets, reads frames, and hands their items to the groups.

use std::{future::poll_fn, io, net::SocketAddr, sync::Arc};

use consensus_core::NodeId;
use tokio::{io::AsyncRead, sync::Semaphore};

use super::{
    FRAME_BYTES_MAX, Inlets, frame,
    handshake::{self, Identity},
    network::{Incoming, Stream},
};

/// Connections at a time; a cluster has one a peer, and a stranger must not take all of the memory.
const CONNECTIONS_MAX: usize = 64;

/// Accepts connections until the task is dropped.
pub(crate) async fn listen(mut incoming: impl Incoming, identity: Identity, inlets: Inlets) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
        let (identity, inlets) = (identity.clone(), inlets.clone());
        actix_rt::spawn(async move {
            let _place = place;
            serve(stream, address, &identity, &inlets).await;
        });
    }
}

/// Serves one connection to its end, and says why it ended if that was not the peer's wish.
async fn serve(mut stream: Stream, address: SocketAddr, identity: &Identity, inlets: &Inlets) {
    let node = identity.node;
    let peer = match handshake::answer(&mut stream, identity).await {
        Ok(peer) => peer,
        Err(reason) => {
            tracing::warn!(%node, %address, %reason, "connection closed before the handshake");
            return;
        }
    };
    match read_frames(&mut stream.read, peer, inlets).await {
        Ok(()) => tracing::debug!(%node, %peer, "the peer closed the connection"),
        Err(reason) if reason.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!(%node, %peer, %address, %reason, "connection closed");
        }
        Err(reason) => tracing::debug!(%node, %peer, %reason, "the connection broke"),
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
