//! Who takes part in a group.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A node of a cluster: a positive number that is never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct NodeId(u64);

impl NodeId {
    /// Makes the id `number`; `None` for zero, which no node has.
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// Returns the id as a number, at least 1.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A node id that is not a positive number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node id is a whole number from 1 on")]
pub struct InvalidNodeId;

impl TryFrom<u64> for NodeId {
    type Error = InvalidNodeId;

    fn try_from(number: u64) -> Result<Self, InvalidNodeId> {
        Self::new(number).ok_or(InvalidNodeId)
    }
}

impl From<NodeId> for u64 {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, InvalidNodeId> {
        text.parse().ok().and_then(Self::new).ok_or(InvalidNodeId)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One set of voters, of whom a majority decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Members {
    voters: BTreeSet<NodeId>,
}

impl Members {
    /// Makes the set of `voters`; `None` if there are none.
    pub fn new(voters: impl IntoIterator<Item = NodeId>) -> Option<Self> {
        let voters: BTreeSet<_> = voters.into_iter().collect();
        (!voters.is_empty()).then_some(Self { voters })
    }

    /// Returns the voters in ascending order.
    pub fn voters(&self) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.voters.iter().copied()
    }

    /// Tells whether `node` votes.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters.contains(&node)
    }

    /// Tells whether there are no voters: the half that a configuration lacks while it is not
    /// joint.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    pub(crate) fn insert(&mut self, node: NodeId) {
        self.voters.insert(node);
    }

    pub(crate) fn remove(&mut self, node: NodeId) {
        self.voters.remove(&node);
    }

    /// Returns how many voters are a majority: floor(n/2) + 1.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }
}

impl FromIterator<NodeId> for Members {
    fn from_iter<T: IntoIterator<Item = NodeId>>(voters: T) -> Self {
        Self { voters: voters.into_iter().collect() }
    }
}
