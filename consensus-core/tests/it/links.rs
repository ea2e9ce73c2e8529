//! The links of a cluster under test: messages wait on them, encoded, until the test moves them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Debug,
    marker::PhantomData,
};

use bytes::Bytes;
use consensus_core::{
    NodeId,
    codec::{Decode, Encode},
};

/// The links between nodes, one for each direction, which carry messages `M`.
#[derive(Debug)]
pub(crate) struct Links<M> {
    messages: BTreeMap<(NodeId, NodeId), VecDeque<Bytes>>,
    /// Links that lose what is put on them.
    cut: BTreeSet<(NodeId, NodeId)>,
    carries: PhantomData<M>,
}

impl<M> Default for Links<M> {
    fn default() -> Self {
        Self { messages: BTreeMap::new(), cut: BTreeSet::new(), carries: PhantomData }
    }
}

impl<M: Encode + Decode + PartialEq + Debug> Links<M> {
    /// Returns the messages on their way over a link, oldest first.
    pub(crate) fn in_flight(&self, from: NodeId, to: NodeId) -> Vec<M> {
        self.messages.get(&(from, to)).into_iter().flatten().map(decoded).collect()
    }

    /// Returns the links that have messages on them, with how many.
    pub(crate) fn busy(&self) -> Vec<((NodeId, NodeId), usize)> {
        let busy = self.messages.iter().filter(|(_, messages)| !messages.is_empty());
        busy.map(|(link, messages)| (*link, messages.len())).collect()
    }

    /// Takes the message at position `at` off a link.
    pub(crate) fn take(&mut self, from: NodeId, to: NodeId, at: usize) -> M {
        let message = self.messages.get_mut(&(from, to)).and_then(|link| link.remove(at));
        decoded(&message.expect("the test names a message that is in flight"))
    }

    /// Puts a message on a link, behind all others; false if the link loses it.
    pub(crate) fn put(&mut self, from: NodeId, to: NodeId, message: &M) -> bool {
        if self.cut.contains(&(from, to)) {
            return false;
        }
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let bytes = Bytes::from(bytes);
        assert_eq!(&decoded::<M>(&bytes), message, "messages survive the wire");
        self.messages.entry((from, to)).or_default().push_back(bytes);
        true
    }

    /// Puts a copy of the message at position `at` of a link behind all others.
    pub(crate) fn duplicate(&mut self, from: NodeId, to: NodeId, at: usize) {
        let link = self.messages.entry((from, to)).or_default();
        let message = link.get(at).expect("the test names a message that is in flight").clone();
        link.push_back(message);
    }

    /// Cuts a link in one direction: what is sent from now on is lost.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    /// Mends all links.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }
}

fn decoded<M: Decode>(bytes: &Bytes) -> M {
    M::decode_all(bytes.clone()).expect("the wire returns what was sent")
}
