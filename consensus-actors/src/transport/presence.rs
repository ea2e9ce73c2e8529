//! Which peers this node is in touch with: it reaches them, and hears of them.
//!
//! It is judged once for each pair of nodes, whatever groups they share. A peer that has nothing to
//! say sends an empty frame now and then.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use consensus_core::NodeId;
use tokio::time::Instant;

use super::{Inlet, Inlets};
use crate::{clock::Ticked, sync::lock};

/// What a node knows of its peers' presence, shared by its links and its port.
#[derive(Clone)]
pub(crate) struct Presence(Arc<Inner>);

struct Inner {
    /// How long a peer may be silent and count as present.
    patience: Duration,
    inlets: Inlets,
    contacts: Mutex<BTreeMap<NodeId, Contact>>,
}

/// A peer.
struct Contact {
    /// Whether there is a connection to it.
    reached: bool,
    /// When the last frame came, by a connection that still is one.
    heard: Option<Instant>,
    /// What the groups were told last.
    present: bool,
}

impl Presence {
    /// Begins without any contact; a peer of whom nothing is heard for `patience` is silent.
    pub(crate) fn new(patience: Duration) -> Self {
        let (inlets, contacts) = (Inlets::default(), Mutex::default());
        Self(Arc::new(Inner { patience, inlets, contacts }))
    }

    /// Returns the groups that are told who is present.
    pub(crate) fn inlets(&self) -> Inlets {
        self.0.inlets.clone()
    }

    /// Returns how often a peer must be given a sign of life.
    pub(super) fn sign_every(&self) -> Duration {
        self.0.patience / 5
    }

    /// Notes that there is a connection to a peer, or none.
    pub(super) fn reached(&self, peer: NodeId, reached: bool) {
        self.update(peer, |contact| contact.reached = reached);
    }

    /// Notes that a frame of a peer came.
    pub(super) fn heard(&self, peer: NodeId) {
        self.update(peer, |contact| contact.heard = Some(Instant::now()));
    }

    /// Notes that the connection of a peer ended, or was replaced: its process may have ended.
    pub(super) fn left(&self, peer: NodeId) {
        self.update(peer, |contact| contact.heard = None);
    }

    /// Tells whether this node reaches a peer and has heard of it lately.
    pub(crate) fn is_present(&self, peer: NodeId) -> bool {
        lock(&self.0.contacts).get(&peer).is_some_and(|contact| contact.present)
    }

    /// Returns how long ago a peer was heard last by a connection that still is one.
    pub(crate) fn heard_ago(&self, peer: NodeId) -> Option<Duration> {
        Some(lock(&self.0.contacts).get(&peer)?.heard?.elapsed())
    }

    /// Tells a group that has just come who is silent.
    pub(crate) fn introduce(&self, group: &dyn Inlet) {
        let contacts = lock(&self.0.contacts);
        let silent = contacts.iter().filter(|(_, contact)| !contact.present);
        silent.for_each(|(peer, _)| group.reach(*peer, false));
    }

    fn update(&self, peer: NodeId, note: impl FnOnce(&mut Contact)) {
        let mut contacts = lock(&self.0.contacts);
        // Groups take everybody for present until they hear otherwise.
        let new = || Contact { reached: false, heard: None, present: true };
        let contact = contacts.entry(peer).or_insert_with(new);
        note(contact);
        self.0.judge(peer, contact);
    }
}

impl Inner {
    fn judge(&self, peer: NodeId, contact: &mut Contact) {
        let heard = contact.heard.is_some_and(|heard| heard.elapsed() < self.patience);
        let present = contact.reached && heard;
        if std::mem::replace(&mut contact.present, present) != present {
            tracing::debug!(%peer, present, "presence");
            self.inlets.reach(peer, present);
        }
    }
}

impl Ticked for Presence {
    fn tick(&self) {
        let mut contacts = lock(&self.0.contacts);
        contacts.iter_mut().for_each(|(peer, contact)| self.0.judge(*peer, contact));
    }
}
