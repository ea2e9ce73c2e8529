//! The links to all peers: they come and go as the roster does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::Addr;
use consensus_core::NodeId;
use tokio::time::{Instant, sleep_until};

use super::{
    Item,
    handshake::Identity,
    link::{Close, Link, Look, Move},
    network::Network,
    queue::Queue,
};
use crate::sync::lock;

/// How long a link outlives its peer's place in the roster: the leader has to tell a member that it
/// was removed.
const LINGER: Duration = Duration::from_secs(10);

/// The links to all peers.
#[derive(Clone, Default)]
pub(crate) struct Links(Arc<Mutex<BTreeMap<NodeId, Line>>>);

/// A link, and until when it lasts.
struct Line {
    link: Addr<Link>,
    queue: Arc<Queue>,
    address: String,
    until: Option<Instant>,
}

impl Links {
    /// Sends items to a peer; they may be lost.
    pub(crate) fn send(&self, to: NodeId, items: Vec<Item>) {
        match lock(&self.0).get(&to) {
            Some(line) => {
                if line.queue.push(items) {
                    line.link.do_send(Look);
                }
            }
            None => tracing::debug!(%to, "no link to this node"),
        }
    }

    /// Starts and ends links as the roster asks, until the task is dropped.
    pub(crate) async fn follow(self, network: Arc<dyn Network>, identity: Identity) {
        loop {
            let next = self.sync(&network, &identity);
            let expiry = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = identity.roster.changed() => {}
                () = expiry => {}
            }
        }
    }

    /// Brings the links in line with the roster; returns when the next one is to end.
    pub(crate) fn sync(&self, network: &Arc<dyn Network>, identity: &Identity) -> Option<Instant> {
        let (wanted, now) = (identity.roster.reachable(), Instant::now());
        let mut lines = lock(&self.0);
        for (peer, address) in &wanted {
            match lines.get_mut(peer) {
                Some(line) => {
                    line.until = None;
                    if line.address != *address {
                        line.address.clone_from(address);
                        line.link.do_send(Move(address.clone()));
                    }
                }
                None => {
                    let (network, identity) = (Arc::clone(network), identity.clone());
                    let queue = Arc::<Queue>::default();
                    let waiting = Arc::clone(&queue);
                    let link = Link::launch(network, identity, (*peer, address.clone()), waiting);
                    let line = Line { link, queue, address: address.clone(), until: None };
                    lines.insert(*peer, line);
                }
            }
        }
        lines.retain(|peer, line| {
            if wanted.contains_key(peer) {
                return true;
            }
            let until = *line.until.get_or_insert(now + LINGER);
            if until <= now {
                line.link.do_send(Close);
            }
            until > now
        });
        lines.values().filter_map(|line| line.until).min()
    }
}
