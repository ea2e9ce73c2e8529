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
    Inlets, Item, Presence,
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
pub(crate) struct Links(Arc<Mutex<BTreeMap<NodeId, Way>>>);

/// How items get to a peer.
enum Way {
    /// By a connection.
    Line(Line),
    /// At once: the peer is in this process.
    Within { from: NodeId, inlets: Inlets },
}

/// A link, and until when it lasts.
struct Line {
    link: Addr<Link>,
    queue: Arc<Queue>,
    address: String,
    until: Option<Instant>,
}

impl Links {
    /// Makes the links of `from` to nodes of the same process, by what each knows of its peers.
    pub(crate) fn within(from: NodeId, nodes: &BTreeMap<NodeId, Presence>) -> Self {
        let others = nodes.iter().filter(|(peer, _)| **peer != from);
        let ways =
            others.map(|(peer, presence)| (*peer, Way::Within { from, inlets: presence.inlets() }));
        Self(Arc::new(Mutex::new(ways.collect())))
    }

    /// Sends items to a peer; they may be lost.
    pub(crate) fn send(&self, to: NodeId, items: Vec<Item>) {
        match lock(&self.0).get(&to) {
            Some(Way::Line(line)) => {
                if line.queue.push(items) {
                    line.link.do_send(Look);
                }
            }
            Some(Way::Within { from, inlets }) => {
                inlets.hand_out(*from, items).expect("what was encoded here decodes here");
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
                Some(Way::Within { .. }) => {}
                Some(Way::Line(line)) => {
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
                    lines.insert(*peer, Way::Line(line));
                }
            }
        }
        lines.retain(|peer, way| {
            let Way::Line(line) = way else { return true };
            if wanted.contains_key(peer) {
                return true;
            }
            let until = *line.until.get_or_insert(now + LINGER);
            if until <= now {
                line.link.do_send(Close);
            }
            until > now
        });
        let until = |way: &Way| match way {
            Way::Line(line) => line.until,
            Way::Within { .. } => None,
        };
        lines.values().filter_map(until).min()
    }
}
