//! What will happen in a simulated cluster, and when.

use std::cmp::Ordering;

use bytes::Bytes;

use super::workload::Body;
use crate::{client::Attempt, log::Index, members::NodeId, process::Token, time::Time};

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A node looks at the clock.
    Tick(NodeId, u64),
    /// A peer's message arrives.
    Message {
        from: NodeId,
        to: NodeId,
        number: u64,
        bytes: Bytes,
    },
    /// A client's request arrives.
    Request {
        from: NodeId,
        to: NodeId,
        attempt: Attempt,
        bytes: Bytes,
    },
    /// An answer to one arrives; a query's with the index of the state that it saw.
    Response {
        from: NodeId,
        to: NodeId,
        bytes: Bytes,
        seen: Option<Index>,
    },
    /// A disk has written and synced.
    Commit(NodeId, u64),
    /// A node learns that records are durable.
    Persisted(NodeId, u64, Token),
    /// A replica carries out what is decided.
    Apply(NodeId, u64),
    /// Something is done with a node's snapshots.
    Errand(NodeId, u64),
    /// A caller calls.
    Call(usize),
    /// A fault strikes, or is over.
    Strike(usize),
    Over(usize),
    /// A process starts again.
    Restart(NodeId, u64),
    /// A process that stood still goes on.
    Resume(NodeId, u64),
    /// Who led when a fault struck is cut off.
    CutOff(usize, NodeId),
    /// A node is asked once more for what it must answer.
    Try(NodeId, Body, Time),
    /// What callers asked of a node's process is handed over.
    Gather(NodeId, u64),
    /// A node hears that another process runs: the number of its life.
    Sign {
        from: NodeId,
        to: NodeId,
        life: u64,
    },
    /// The links that were cut when a leader changed who takes part are mended.
    Reconciled,
    /// A process ends and starts again at once, and once more until a moment.
    Startle(NodeId, Time),
    /// The connection to another node is lost, which shows as its silence.
    Severed {
        node: NodeId,
        peer: NodeId,
    },
    /// Everything is mended.
    Mend,
}

impl Event {
    /// Returns the node that the event comes from, if it comes from another one.
    pub(super) fn source(&self) -> Option<NodeId> {
        match self {
            Self::Message { from, .. }
            | Self::Sign { from, .. }
            | Self::Request { from, .. }
            | Self::Response { from, .. } => Some(*from),
            Self::Tick(..)
            | Self::Gather(..)
            | Self::Commit(..)
            | Self::Persisted(..)
            | Self::Apply(..)
            | Self::Errand(..)
            | Self::Call(_)
            | Self::Strike(_)
            | Self::Over(_)
            | Self::Restart(..)
            | Self::Resume(..)
            | Self::Try(..)
            | Self::CutOff(..)
            | Self::Startle(..)
            | Self::Severed { .. }
            | Self::Reconciled
            | Self::Mend => None,
        }
    }

    /// Returns the node that must run for the event to reach it.
    pub(super) fn concerns(&self) -> Option<NodeId> {
        match self {
            Self::Tick(node, _)
            | Self::Gather(node, _)
            | Self::Commit(node, _)
            | Self::Persisted(node, ..)
            | Self::Apply(node, _)
            | Self::Errand(node, _)
            | Self::Message { to: node, .. }
            | Self::Sign { to: node, .. }
            | Self::Request { to: node, .. }
            | Self::Response { to: node, .. } => Some(*node),
            Self::Call(_)
            | Self::Strike(_)
            | Self::Over(_)
            | Self::Restart(..)
            | Self::Resume(..)
            | Self::Try(..)
            | Self::CutOff(..)
            | Self::Startle(..)
            | Self::Severed { .. }
            | Self::Reconciled
            | Self::Mend => None,
        }
    }
}

/// An event and its time; the earliest is the greatest, and of equals the first one scheduled.
#[derive(Clone, Debug)]
pub(super) struct Due<E = Event> {
    pub(super) at: Time,
    /// When it was scheduled, among all events.
    pub(super) order: u64,
    pub(super) event: E,
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Due<E> {}
