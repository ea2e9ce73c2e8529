//! The roster: which nodes there are besides this one, where each listens, and which incarnation
//! each is.
//!
//! It is learned from the configuration, from the memberships of hosted groups, and from what peers
//! say when they greet, and it is durable: a node finds its peers after a restart, wherever they
//! have gone meanwhile. A node that is not in it is not talked to.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use consensus_core::{GroupId, Membership, NodeId};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Instant};

use super::exclusion::{Cause, Exclusion};
use crate::sync::lock;

/// How many nodes a roster holds; a peer that lists more is not believed.
const PEERS_MAX: usize = 256;

/// How many nodes that wait to be added are remembered.
const WAITING_MAX: usize = 16;

/// How long after its last call a node that waits to be added is remembered.
const WAITING_FOR: Duration = Duration::from_secs(10);

/// Another node, as this one knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Where it listens, as HOST:PORT; empty as long as nobody has said.
    pub(crate) address: String,
    /// What the configuration called its address last. Only a new name there is news: the node may
    /// have said something later itself.
    pub(crate) configured: String,
    /// What a membership called its address last.
    pub(crate) contact: String,
    /// The incarnation that it was first seen under.
    pub(crate) incarnation: Option<u128>,
    /// Whether it was removed from every group: its id stays used.
    pub(crate) removed: bool,
}

/// Keeps the roster across restarts.
pub(crate) trait Store: Send {
    /// Makes durable what is known of all peers.
    fn store(&mut self, peers: &BTreeMap<NodeId, Peer>) -> io::Result<()>;
}

/// What a node that has ended keeps its roster in.
struct Closed;

impl Store for Closed {
    fn store(&mut self, _: &BTreeMap<NodeId, Peer>) -> io::Result<()> {
        Err(io::Error::other("the node has ended"))
    }
}

/// What one node tells another of a third.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) node: NodeId,
    pub(crate) address: String,
    /// Told to members only: who knows it could claim to be that node.
    #[serde(default)]
    pub(crate) incarnation: Option<u128>,
}

/// Who calls, as it says.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) node: NodeId,
    pub(crate) incarnation: u128,
    /// Where it listens, if it does.
    pub(crate) address: Option<String>,
}

/// Whether this node takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is a member of some group.
    Member,
    /// It has no part in any group yet, and waits to be added.
    Waiting,
    /// It was removed, by what its own groups say or a peer.
    Removed,
    /// A peer takes it for somebody else.
    Refused(String),
}

impl Standing {
    /// Returns its name for tools.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Waiting => "waiting",
            Self::Removed => "removed",
            Self::Refused(_) => "refused",
        }
    }
}

/// A node that calls and is no member.
#[derive(Clone, Debug)]
struct Applicant {
    address: String,
    at: Instant,
}

/// The roster of a node; clones stand for the same.
#[derive(Clone)]
pub(crate) struct Roster(Arc<Shared>);

struct Shared {
    node: NodeId,
    inner: Mutex<Inner>,
    /// Somebody was added, removed, or has another address.
    changed: Notify,
    /// A stranger called: others may know it.
    puzzled: Notify,
}

struct Inner {
    peers: BTreeMap<NodeId, Peer>,
    store: Box<dyn Store>,
    memberships: BTreeMap<GroupId, Membership>,
    /// What replicates the hosted groups.
    protocols: BTreeMap<GroupId, String>,
    /// Whether the node has been a member since before its groups could say so.
    founder: bool,
    /// Why there is no connection to a peer, where one of both would not have it.
    refusals: BTreeMap<NodeId, Exclusion>,
    /// Why a node at an address to join does not talk to this one.
    refusal: Option<Exclusion>,
    waiting: BTreeMap<NodeId, Applicant>,
}

impl Roster {
    /// Lets go of the store: the node has ended, and its data directory is free for another.
    pub(crate) fn close(&self) {
        lock(&self.0.inner).store = Box::new(Closed);
    }

    /// Makes the roster of `node`, which is a `founder` unless it was told to join a cluster.
    pub(crate) fn new(
        node: NodeId,
        founder: bool,
        peers: BTreeMap<NodeId, Peer>,
        store: Box<dyn Store>,
    ) -> Self {
        let inner = Inner {
            peers,
            store,
            memberships: BTreeMap::new(),
            protocols: BTreeMap::new(),
            founder,
            refusals: BTreeMap::new(),
            refusal: None,
            waiting: BTreeMap::new(),
        };
        let (changed, puzzled) = (Notify::new(), Notify::new());
        // Whoever follows the roster begins with what it holds.
        changed.notify_one();
        Self(Arc::new(Shared { node, inner: Mutex::new(inner), changed, puzzled }))
    }

    /// Returns all peers, those that were removed too.
    pub(crate) fn peers(&self) -> BTreeMap<NodeId, Peer> {
        lock(&self.0.inner).peers.clone()
    }

    /// Returns the peers that this node talks to, with where they listen.
    pub(super) fn reachable(&self) -> BTreeMap<NodeId, String> {
        let inner = lock(&self.0.inner);
        let here = |(node, peer): (&NodeId, &Peer)| {
            (!peer.removed && !peer.address.is_empty()).then(|| (*node, peer.address.clone()))
        };
        inner.peers.iter().filter_map(here).collect()
    }

    /// Waits until [`Roster::reachable`] may have changed; for one waiter.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Waits until a stranger has called; for one waiter.
    pub(super) async fn puzzled(&self) {
        self.0.puzzled.notified().await;
    }

    /// Tells whether this node takes part.
    pub(crate) fn standing(&self) -> Standing {
        lock(&self.0.inner).standing(self.0.node)
    }

    /// Returns why peers do not talk to this node, or this node not to them.
    pub(crate) fn refusals(&self) -> BTreeMap<NodeId, Exclusion> {
        lock(&self.0.inner).refusals.clone()
    }

    /// Returns who waits to be added, with where it listens.
    pub(crate) fn waiting(&self) -> BTreeMap<NodeId, String> {
        let mut inner = lock(&self.0.inner);
        inner.waiting.retain(|_, applicant| applicant.at.elapsed() < WAITING_FOR);
        let waiting = inner.waiting.iter();
        waiting.map(|(node, applicant)| (*node, applicant.address.clone())).collect()
    }

    /// Checks whether a caller may come in as a member, and notes where it listens now.
    pub(super) fn recognize(&self, caller: &Claim) -> Result<(), Exclusion> {
        let mut inner = lock(&self.0.inner);
        let recognized = inner.recognize(self.0.node, caller.node, caller.incarnation);
        if recognized.as_ref().is_err_and(|refusal| refusal.cause == Cause::Unknown) {
            inner.await_addition(self.0.node, caller);
            self.0.puzzled.notify_one();
        }
        recognized?;
        if let Some(address) = caller.address.as_ref().filter(|address| !address.is_empty()) {
            let Some(peer) = inner.peers.get_mut(&caller.node) else { return Ok(()) };
            if peer.address != *address {
                tracing::info!(
                    node = %self.0.node, peer = %caller.node, %address, "the peer listens there now"
                );
                peer.address.clone_from(address);
                inner.keep(self.0.node);
                self.0.changed.notify_one();
            }
        }
        Ok(())
    }

    /// Notes a caller that is no member; an error if it must not become one.
    pub(super) fn consider(&self, caller: &Claim) -> Result<(), Exclusion> {
        let mut inner = lock(&self.0.inner);
        match inner.recognize(self.0.node, caller.node, caller.incarnation) {
            Err(refusal) if refusal.cause == Cause::Unknown => {}
            recognized => return recognized,
        }
        inner.await_addition(self.0.node, caller);
        Ok(())
    }

    /// Learns of nodes that another one knows. What is known already is not overwritten: who says
    /// so first is believed.
    pub(super) fn introduce(&self, told: Vec<Told>) {
        let mut inner = lock(&self.0.inner);
        let before = inner.peers.clone();
        for Told { node, address, incarnation } in told {
            let is_known = inner.peers.contains_key(&node);
            if node == self.0.node || !is_known && inner.peers.len() >= PEERS_MAX {
                continue;
            }
            let peer = inner.peers.entry(node).or_default();
            if peer.address.is_empty() {
                peer.address = address;
            }
            if peer.incarnation.is_some()
                && incarnation.is_some_and(|it| peer.incarnation != Some(it))
            {
                tracing::error!(
                    node = %self.0.node, peer = %node,
                    "others know the peer under another incarnation than this node"
                );
            }
            peer.incarnation = peer.incarnation.or(incarnation);
        }
        if inner.peers != before {
            inner.keep(self.0.node);
            self.0.changed.notify_one();
        }
    }

    /// Returns what this node tells a member of the others.
    pub(super) fn tell(&self) -> Vec<Told> {
        let inner = lock(&self.0.inner);
        let known = inner.peers.iter().filter(|(_, peer)| !peer.removed);
        let told = known.map(|(node, peer)| Told {
            node: *node,
            address: peer.address.clone(),
            incarnation: peer.incarnation,
        });
        told.collect()
    }

    /// Learns what replicates a group that is hosted from now on.
    pub(crate) fn host(&self, group: GroupId, protocol: &str) {
        lock(&self.0.inner).protocols.insert(group, protocol.to_owned());
    }

    /// Learns the membership of a hosted group.
    pub(crate) fn publish(&self, group: GroupId, membership: &Membership) {
        let mut inner = lock(&self.0.inner);
        let standing = inner.standing(self.0.node);
        inner.memberships.insert(group, membership.clone());
        let before = inner.peers.clone();
        for node in membership.members().filter(|node| *node != self.0.node) {
            let contact = membership.contact(node).unwrap_or_default();
            inner.waiting.remove(&node);
            let peer = inner.peers.entry(node).or_default();
            if peer.contact != contact && !contact.is_empty() {
                (peer.contact, peer.address) = (contact.to_owned(), contact.to_owned());
            }
        }
        inner.judge_removals();
        let now = inner.standing(self.0.node);
        if inner.peers != before {
            inner.keep(self.0.node);
        }
        if inner.peers != before || now != standing {
            self.0.changed.notify_one();
        }
        drop(inner);
        if now != standing {
            match now {
                Standing::Member => tracing::info!(node = %self.0.node, "is a member now"),
                Standing::Removed => tracing::warn!(node = %self.0.node, "{}", REMOVED),
                Standing::Waiting | Standing::Refused(_) => {}
            }
        }
    }

    /// Notes whether a node that was asked by its address alone refuses to talk.
    pub(super) fn looked(&self, refusal: Option<Exclusion>) {
        lock(&self.0.inner).refusal = refusal;
    }

    /// Returns what replicates the groups that this node hosts.
    pub(crate) fn protocols(&self) -> BTreeMap<GroupId, String> {
        lock(&self.0.inner).protocols.clone()
    }

    /// Returns the groups that this node hosts.
    pub(crate) fn groups(&self) -> BTreeSet<GroupId> {
        lock(&self.0.inner).memberships.keys().copied().collect()
    }

    /// Notes that there is a connection to a peer.
    pub(super) fn connected(&self, peer: NodeId) {
        lock(&self.0.inner).refusals.remove(&peer);
    }

    /// Notes that a peer, or this node, would not have a connection; returns whether that is news.
    pub(super) fn refused(&self, peer: NodeId, refusal: &Exclusion) -> bool {
        let former = lock(&self.0.inner).refusals.insert(peer, refusal.clone());
        former.as_ref() != Some(refusal)
    }
}

/// What a node says of itself once it is no member any more.
pub(crate) const REMOVED: &str = concat!(
    "this node was removed from its cluster, and its id is never used again; stop it, or start it ",
    "with an empty data directory, a new --id and --join, and add that id"
);

impl Inner {
    fn recognize(
        &mut self,
        here: NodeId,
        node: NodeId,
        incarnation: u128,
    ) -> Result<(), Exclusion> {
        let Some(peer) = self.peers.get(&node).filter(|_| node != here) else {
            let reason = format!(
                "{node} is not among the peers of {here}; check --peers, or start it with --join \
                 and then run `add {} ADDRESS`",
                node.number()
            );
            return Err(Exclusion::new(Cause::Unknown, reason));
        };
        if peer.removed {
            let reason = format!(
                "{node} was removed from the cluster, and its id is never used again; start it \
                 with an empty data directory, a new --id and --join, and then run `add ID ADDRESS`"
            );
            return Err(Exclusion::new(Cause::Removed, reason));
        }
        match peer.incarnation {
            Some(seen) if seen == incarnation => Ok(()),
            Some(seen) => {
                // Not for the caller's eyes: who is told an incarnation could claim to be it.
                tracing::error!(
                    "{node} comes as incarnation {incarnation:032x}, but {here} knows it as \
                     {seen:032x}"
                );
                let reason = format!(
                    "{node} comes as another incarnation than {here} knows: its data directory is \
                     not the one it had, and the votes and entries that it promised to keep may be \
                     gone; give it back its data directory, or start it under a new --id with \
                     --join and run `replace {} NEW ADDRESS`",
                    node.number()
                );
                Err(Exclusion::new(Cause::Wiped, reason))
            }
            None => {
                let mut peers = self.peers.clone();
                peers.entry(node).or_default().incarnation = Some(incarnation);
                let stored = self.store.store(&peers);
                stored.map_err(|error| {
                    let reason = format!("cannot remember incarnations: {error}");
                    Exclusion::new(Cause::Mistaken, reason)
                })?;
                self.peers = peers;
                Ok(())
            }
        }
    }

    /// Remembers for a while that a stranger waits to be added.
    fn await_addition(&mut self, here: NodeId, caller: &Claim) {
        let has_room = self.waiting.contains_key(&caller.node) || self.waiting.len() < WAITING_MAX;
        if let Some(address) = &caller.address
            && has_room
            && caller.node != here
            && self.standing(here) == Standing::Member
        {
            let applicant = Applicant { address: address.clone(), at: Instant::now() };
            self.waiting.insert(caller.node, applicant);
        }
    }

    /// Removed is who was removed from some group and takes part in none.
    fn judge_removals(&mut self) {
        let groups = || self.memberships.values();
        let members: BTreeSet<NodeId> = groups().flat_map(Membership::members).collect();
        let retired: BTreeSet<NodeId> = groups().flat_map(Membership::retired).collect();
        for node in &retired {
            self.peers.entry(*node).or_default();
        }
        for (node, peer) in &mut self.peers {
            // What a group of an earlier life said stands until another one says otherwise.
            peer.removed = !members.contains(node) && (peer.removed || retired.contains(node));
        }
    }

    fn standing(&self, here: NodeId) -> Standing {
        let takes_part = self.memberships.values().any(|group| group.is_member(here));
        let retired = self.memberships.values().any(|group| group.is_retired(here));
        let refusals = || {
            // Whom this node excludes has nothing to say about it.
            let refusals = self.refusals.values().chain(&self.refusal);
            refusals.filter(|refusal| refusal.is_theirs)
        };
        let removed = refusals().any(|refusal| refusal.cause == Cause::Removed);
        if retired && !takes_part || removed {
            return Standing::Removed;
        }
        if let Some(refusal) = refusals().find(|refusal| refusal.cause == Cause::Wiped) {
            return Standing::Refused(refusal.reason.clone());
        }
        let unheard = self.memberships.is_empty() && self.founder;
        if takes_part || unheard { Standing::Member } else { Standing::Waiting }
    }

    /// Makes what is known durable. A failure costs no promise: what was learned is learned again.
    fn keep(&mut self, here: NodeId) {
        if let Err(error) = self.store.store(&self.peers) {
            tracing::warn!(node = %here, %error, "cannot write down what is known of the peers");
        }
    }
}

#[cfg(test)]
mod tests;
