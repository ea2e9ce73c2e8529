//! The peer port: accepts, greets, reads frames, and hands their items to the groups.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{GroupId, NodeId};
use tokio::{
    io::AsyncRead,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};

use super::{
    FRAME_BYTES_MAX, Inlets,
    admission::{self, Ground, Refusal},
    exclusion::Exclusion,
    frame,
    guest::{GUESTS_MAX, Reception, Visit},
    handshake::{self, Caller, Identity},
    network::{Incoming, Stream},
};
use crate::sync::lock;

/// Connections at a time of peers and of who has not greeted yet; a cluster has one a peer, and a
/// stranger must not take all of the memory. Clients leave their place to others once greeted.
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

/// What callers were refused for lately.
#[derive(Clone, Default)]
struct Exclusions(Arc<Mutex<BTreeMap<String, Instant>>>);

/// How long an exclusion is not said again, and how many are remembered.
const REPEATED_AFTER: Duration = Duration::from_secs(60);
const EXCLUSIONS_MAX: usize = 64;

impl Exclusions {
    /// Tells whether an exclusion was not said lately, and notes that it is.
    fn is_news(&self, exclusion: &Exclusion) -> bool {
        let mut said = lock(&self.0);
        said.retain(|_, at| at.elapsed() < REPEATED_AFTER);
        let is_news = !said.contains_key(&exclusion.reason);
        if is_news && said.len() < EXCLUSIONS_MAX {
            said.insert(exclusion.reason.clone(), Instant::now());
        }
        is_news
    }
}

/// Accepts connections until the task is dropped.
pub(crate) async fn listen(
    mut incoming: impl Incoming,
    identity: Identity,
    inlets: Inlets,
    reception: Arc<dyn Reception>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let port = Port {
        identity,
        inlets,
        latest: Latest::default(),
        exclusions: Exclusions::default(),
        reception,
        answers: Arc::default(),
    };
    loop {
        let (stream, address) = match poll_fn(|cx| incoming.poll_accept(cx)).await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, say: accepting at once again would only spin.
                tracing::warn!(%error, "cannot accept a connection on the peer port");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%address, "connection closed: {CONNECTIONS_MAX} are open already");
            continue;
        };
        let port = port.clone();
        actix_rt::spawn(async move {
            port.serve(stream, address, place).await;
        });
    }
}

/// What all connections share.
#[derive(Clone)]
struct Port {
    identity: Identity,
    inlets: Inlets,
    latest: Latest,
    exclusions: Exclusions,
    reception: Arc<dyn Reception>,
    /// Bytes that wait to be written to all clients.
    answers: Arc<AtomicUsize>,
}

impl Port {
    /// Serves one connection to its end, and says why it ended if that was not the peer's wish.
    async fn serve(&self, mut stream: Stream, address: SocketAddr, place: OwnedSemaphorePermit) {
        let node = self.identity.node;
        let caller = match handshake::answer(&mut stream, &self.identity).await {
            Ok(caller) => caller,
            Err(reason) => {
                // One that is refused calls again and again.
                if Exclusion::find(&reason)
                    .is_none_or(|exclusion| self.exclusions.is_news(exclusion))
                {
                    tracing::warn!(%node, %address, %reason, "connection closed before the handshake");
                }
                return;
            }
        };
        let peer = match caller {
            Caller::Peer(peer) => peer,
            Caller::Looker => return,
            Caller::Client(greeting) => {
                drop(place);
                return self.receive(stream, address, &greeting).await;
            }
        };
        let replaced = self.latest.replace(peer);
        // Another process may have taken the place of the one that was heard.
        self.identity.presence.left(peer);
        let ended = tokio::select! {
            biased;
            _ = replaced => {
                tracing::debug!(%node, %peer, "the peer came by another connection");
                return;
            }
            ended = self.read_frames(&mut stream.read, peer) => ended,
        };
        self.identity.presence.left(peer);
        match ended {
            Ok(()) => tracing::debug!(%node, %peer, "the peer closed the connection"),
            Err(reason) if reason.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%node, %peer, %address, %reason, "connection closed");
            }
            Err(reason) => tracing::debug!(%node, %peer, %reason, "the connection broke"),
        }
    }

    /// Serves a client that is no member to its end.
    async fn receive(&self, mut stream: Stream, address: SocketAddr, greeting: &Bytes) {
        let node = self.identity.node;
        let Some(_place) = self.reception.places().take() else {
            let reason = format!("{node} has {GUESTS_MAX} clients, the most it takes; try later");
            tracing::warn!(%node, %address, %reason, "a client is sent away");
            admission::refuse(&mut stream, Refusal { ground: Ground::TooManyClients, reason })
                .await
                .ok();
            return;
        };
        match self.admit(stream, greeting).await {
            Ok(()) => tracing::debug!(%node, %address, "a client closed the connection"),
            Err(reason) if reason.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%node, client = %address, %reason, "connection closed");
            }
            Err(reason) => tracing::debug!(%node, client = %address, %reason, "a client is gone"),
        }
    }

    async fn admit(&self, mut stream: Stream, greeting: &Bytes) -> io::Result<()> {
        let Identity { cluster, node, .. } = &self.identity;
        let received = admission::read(greeting, *node)?.and_then(|greeting| {
            admission::check_cluster(&greeting, cluster, *node)?;
            let desk = self.reception.receive(&greeting)?;
            Ok((GroupId::named(&greeting.group), desk))
        });
        match received {
            Ok((group, desk)) => {
                admission::admit(&mut stream, cluster, *node).await?;
                Visit::new(stream, group, desk, Arc::clone(&self.answers)).serve().await
            }
            Err(refusal) => {
                tracing::debug!(%node, reason = %refusal.reason, "a client is sent away");
                admission::refuse(&mut stream, refusal).await
            }
        }
    }

    async fn read_frames(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        peer: NodeId,
    ) -> io::Result<()> {
        while let Some(body) = frame::read(stream, FRAME_BYTES_MAX).await? {
            self.identity.presence.heard(peer);
            let delivered = self.inlets.deliver(peer, body);
            delivered.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        Ok(())
    }
}
