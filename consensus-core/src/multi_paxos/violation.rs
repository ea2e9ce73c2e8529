//! What may be found not to hold.

use super::ballot::Ballot;
use crate::{log::Index, members::NodeId};

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A ballot has one value in a slot.
    #[error("one value: {ballot} has two in slot {slot}")]
    OneValue {
        /// The ballot.
        ballot: Ballot,
        /// The slot.
        slot: Index,
    },
    /// A slot has one value, whichever ballots choose it.
    #[error("agreement: slot {slot} is chosen twice, and {ballot} chooses another value")]
    Agreement {
        /// The slot.
        slot: Index,
        /// The ballot that chooses another value.
        ballot: Ballot,
    },
    /// No ballot proposes another value where an earlier one has chosen (P2b).
    #[error("safe at: {ballot} proposes another value in slot {slot} than was chosen before it")]
    SafeAt {
        /// The slot.
        slot: Index,
        /// The ballot.
        ballot: Ballot,
    },
    /// In a slot those decide that the configuration before it names.
    #[error(
        "one configuration a slot: {ballot} decides slot {slot}, behind the one of slot {configured}"
    )]
    Era {
        /// The slot.
        slot: Index,
        /// The ballot.
        ballot: Ballot,
        /// Where the configuration is that should decide.
        configured: Index,
    },
    /// A ballot proposes nothing behind a configuration that it proposes.
    #[error("stop: {ballot} proposes in slot {slot}, behind a configuration")]
    Stop {
        /// The ballot.
        ballot: Ballot,
        /// The slot.
        slot: Index,
    },
    /// Whoever leads was promised by a quorum of the configuration that it proposes under.
    #[error("{ballot} is led without the promises of a quorum of its configuration")]
    Unpromised {
        /// The ballot.
        ballot: Ballot,
    },
    /// What is applied in a slot was chosen there.
    #[error("{node} applies what was not chosen in slot {slot}")]
    AppliedUnchosen {
        /// The node.
        node: NodeId,
        /// The slot.
        slot: Index,
    },
    /// Slots are applied in their order, each once.
    #[error("{node} applies slot {slot} after {after}")]
    Order {
        /// The node.
        node: NodeId,
        /// The slot.
        slot: Index,
        /// What it applied before.
        after: Index,
    },
    /// A message promises what its sender's disk does not hold, or a promise is broken.
    #[error("persist before promise: {node} {what}")]
    Promise {
        /// The sender.
        node: NodeId,
        /// What it says.
        what: &'static str,
    },
    /// While a leader holds a lease nobody leads a later ballot.
    #[error("leases are disjoint: {later} is led, and {earlier} holds a lease still")]
    LeaseOverlap {
        /// Whose lease it is.
        earlier: Ballot,
        /// Who leads.
        later: Ballot,
    },
}
