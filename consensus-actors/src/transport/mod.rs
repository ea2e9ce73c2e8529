//! How nodes talk: one TCP connection a pair and direction, framed, bounded, greeted by a
//! handshake.
//!
//! ```text
//! frame   length u32 | checksum u64 of the body | body
//! body    item, item, ..            one frame carries all that waited when it was written
//! item    group u64 | kind u8 | length u32 | bytes
//! ```
//!
//! The handshake binds a connection to a protocol version, a cluster, a node and its incarnation,
//! so that frames need not repeat them. Whatever does not decode closes its connection with a
//! logged reason, and nothing else happens.
//!
//! Clients that are no members come to the same port with a greeting of their own ([`admission`]).
//! Their requests and the answers travel over their one connection ([`guest`]); an empty frame asks
//! where the leader is, and so whether the node lives.
//!
//! There is no TLS yet: a node refuses to listen beyond loopback. It will wrap the stream in
//! [`network`], before the handshake.

mod acquaintance;
pub(crate) mod admission;
mod arena;
pub(crate) mod conversation;
mod exclusion;
mod frame;
pub(crate) mod guest;
mod handshake;
mod link;
mod links;
mod listener;
pub(crate) mod network;
mod presence;
mod queue;
mod roster;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use consensus_core::{
    GroupId, NodeId,
    codec::{DecodeError, Encode, put_bytes, put_u64, take_bytes, take_u8, take_u64},
};

use crate::sync::lock;

pub(crate) use acquaintance::{acquaint, look};
pub(crate) use arena::Arena;
pub(crate) use frame::FRAME_BYTES_MAX;
pub(crate) use handshake::{Identity, Shown};
#[cfg(test)]
pub(crate) use link::{Link, Look};
pub(crate) use links::Links;
pub(crate) use listener::listen;
pub(crate) use network::{Incoming, Network, Nowhere, Tcp};
pub(crate) use presence::Presence;
#[cfg(test)]
pub(crate) use queue::Queue;
pub(crate) use roster::{Peer, REMOVED, Roster, Standing, Store};

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message between the seats of a group.
    Message,
    /// A client's request to the leader's replica.
    Request,
    /// The answer to it.
    Response,
    /// Where the leader and the members are, to a client that is no member.
    Whereabouts,
}

impl Kind {
    fn tag(self) -> u8 {
        match self {
            Self::Message => 0,
            Self::Request => 1,
            Self::Response => 2,
            Self::Whereabouts => 3,
        }
    }
}

/// What travels between the members of a group.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) group: GroupId,
    pub(crate) kind: Kind,
    pub(crate) bytes: Bytes,
}

impl Item {
    /// Bytes that an item takes in a frame.
    fn size(&self) -> usize {
        8 + 1 + 4 + self.bytes.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.group.0);
        out.push(self.kind.tag());
        put_bytes(out, &self.bytes);
    }

    /// Reads one item from the front of `input`.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no item.
    pub(crate) fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let group = GroupId(take_u64(input)?);
        let kind = match take_u8(input)? {
            0 => Kind::Message,
            1 => Kind::Request,
            2 => Kind::Response,
            3 => Kind::Whereabouts,
            tag => return Err(DecodeError::UnknownTag { what: "item", tag }),
        };
        Ok(Self { group, kind, bytes: take_bytes(input)? })
    }
}

/// Appends an item that is encoded where it goes.
pub(crate) fn put_item(out: &mut Vec<u8>, group: GroupId, kind: Kind, message: &impl Encode) {
    put_u64(out, group.0);
    out.push(kind.tag());
    let length = out.len();
    put_bytes(out, &[]);
    let start = out.len();
    message.encode(out);
    let bytes = (out.len() - start) as u32;
    out[length..start].copy_from_slice(&bytes.to_le_bytes());
}

/// Sends messages of a group to peers, in order: one batch for each.
pub(crate) fn send_all(
    links: &Links,
    arena: &mut Arena,
    group: GroupId,
    messages: Vec<(consensus_core::Address, impl Encode)>,
) {
    let mut by_peer = BTreeMap::<NodeId, Vec<Item>>::new();
    for (to, message) in messages {
        let item = Item { group, kind: Kind::Message, bytes: arena.encode(&message) };
        by_peer.entry(to.node).or_default().push(item);
    }
    by_peer.into_iter().for_each(|(peer, items)| links.send(peer, items));
}

/// Where the items of a group go.
pub(crate) trait Inlet: Send + Sync {
    /// Takes what a peer sent in one frame, in order.
    ///
    /// # Errors
    /// [`DecodeError`] when an item is not what its kind says.
    fn deliver(&self, from: NodeId, items: Vec<Item>) -> Result<(), DecodeError>;

    /// Takes note that a peer is present, or silent.
    fn reach(&self, peer: NodeId, present: bool);
}

/// The groups of a node by what frames call them.
#[derive(Clone, Default)]
pub(crate) struct Inlets(Arc<Mutex<BTreeMap<GroupId, Arc<dyn Inlet>>>>);

impl Inlets {
    /// Lets frames reach a group.
    pub(crate) fn add(&self, group: GroupId, inlet: Arc<dyn Inlet>) {
        lock(&self.0).insert(group, inlet);
    }

    /// Tells all groups whether a peer is present.
    fn reach(&self, peer: NodeId, present: bool) {
        lock(&self.0).values().for_each(|inlet| inlet.reach(peer, present));
    }

    /// Delivers the items of a frame; those of a group that is not hosted here are dropped, as a
    /// network may.
    fn deliver(&self, from: NodeId, mut body: Bytes) -> Result<(), DecodeError> {
        let mut items = Vec::new();
        while !body.is_empty() {
            items.push(Item::decode(&mut body)?);
        }
        self.hand_out(from, items)
    }

    /// Delivers items, each group's in their order.
    fn hand_out(&self, from: NodeId, items: Vec<Item>) -> Result<(), DecodeError> {
        let mut by_group: BTreeMap<GroupId, Vec<Item>> = BTreeMap::new();
        for item in items {
            by_group.entry(item.group).or_default().push(item);
        }
        for (group, items) in by_group {
            let inlet = lock(&self.0).get(&group).cloned();
            match inlet {
                Some(inlet) => inlet.deliver(from, items)?,
                None => tracing::debug!(%from, ?group, "a peer speaks of a group not hosted here"),
            }
        }
        Ok(())
    }
}
