//! The names of nodes mean nothing: states that differ in them only are one.
//!
//! Everything that names nodes is hashed once under each way to rename three nodes, and a state's
//! key is the least of its six hashes.

use std::hash::Hasher;

use consensus_core::NodeId;
use twox_hash::XxHash3_64;

use crate::{
    NODES,
    host::{id, position},
};

/// How many ways there are to rename the nodes.
pub(crate) const WAYS: usize = 6;

/// Where each way puts each node.
const PLACES: [[usize; NODES]; WAYS] =
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// One hash for each way to rename the nodes.
pub(crate) type Marks = [u64; WAYS];

/// Where `way` puts the node at `position`.
pub(crate) fn place(way: usize, position: usize) -> usize {
    PLACES[way][position]
}

/// What `way` calls a node.
pub(crate) fn name(way: usize, node: NodeId) -> NodeId {
    id(place(way, position(node)))
}

/// Takes down what is hashed, so that it can be compared exactly.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Hasher for Writer {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        XxHash3_64::oneshot(&self.0)
    }
}
