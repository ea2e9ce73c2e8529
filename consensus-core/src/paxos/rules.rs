//! The rules that the values of a configuration keep.

use std::time::Duration;

use crate::members::NodeId;

/// Why values make no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The node has none of the roles.
    #[error(
        "node {id} is neither among the acceptors nor among the learners; add it to either, or \
         start the node under one of their ids"
    )]
    NotAMember {
        /// The node.
        id: NodeId,
    },
    /// A quorum of nobody, or of more than there are.
    #[error(
        "a quorum of {quorum} is out of range: of {acceptors} acceptors, 1 to {acceptors} make one"
    )]
    QuorumSize {
        /// As configured.
        quorum: usize,
        /// How many acceptors there are.
        acceptors: usize,
    },
    /// Some that promise and some that accept would not share an acceptor.
    #[error(
        "{prepare} that promise and {accept} that accept may be different ones of {acceptors} \
         acceptors, and two values be chosen; together they must be more than {acceptors}"
    )]
    QuorumsApart {
        /// As configured.
        prepare: usize,
        /// As configured.
        accept: usize,
        /// How many acceptors there are.
        acceptors: usize,
    },
    /// Quorums of a set of acceptors that is another one.
    #[error(
        "the quorums of {prepare} and {accept} are not those of {acceptors} acceptors; make them \
         from the acceptors that the configuration names"
    )]
    QuorumsOfOthers {
        /// As configured.
        prepare: usize,
        /// As configured.
        accept: usize,
        /// How many acceptors there are.
        acceptors: usize,
    },
    /// A time after which to try again that is nothing, or longer than the longest pause.
    #[error(
        "to try again after {retry:?} is out of range: take more than nothing, and no more than \
         the longest pause, {pause_max:?}"
    )]
    Retry {
        /// As configured.
        retry: Duration,
        /// As configured.
        pause_max: Duration,
    },
    /// Room for nobody.
    #[error("room for no caller lets nothing through; take at least one")]
    ZeroBound,
}
