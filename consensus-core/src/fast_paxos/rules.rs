//! The rules that the values of a configuration keep.

use crate::paxos;

/// Why values make no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A rule that classic rounds have, too.
    #[error(transparent)]
    Classic(#[from] paxos::ConfigError),
    /// A fast quorum of nobody, or of more than there are.
    #[error(
        "a fast quorum of {fast} is out of range: of {acceptors} acceptors, 1 to {acceptors} make \
         one"
    )]
    FastQuorumSize {
        /// As configured.
        fast: usize,
        /// How many acceptors there are.
        acceptors: usize,
    },
    /// Those that promise would not tell which of two values a fast quorum has voted for.
    #[error(
        "of {acceptors} acceptors, {prepare} that promise cannot tell which of two values {fast} \
         others have voted for in a fast round, and two may be chosen; {prepare} + 2 x {fast} must \
         be more than 2 x {acceptors}"
    )]
    FastQuorumsApart {
        /// How many promise, as configured.
        prepare: usize,
        /// How many vote in a fast round, as configured.
        fast: usize,
        /// How many acceptors there are.
        acceptors: usize,
    },
}
