//! The protocols that can be simulated.

use clap::ValueEnum;

/// What can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// Raft: a replicated log.
    Raft,
    /// Basic Paxos: decisions of one value each, one after the other.
    Paxos,
    /// Multi-Paxos: a replicated log of such decisions.
    #[value(name = "multi_paxos", alias = "multi-paxos")]
    MultiPaxos,
    /// Fast Paxos: decisions of one value each, by acceptors that proposers ask themselves.
    #[value(name = "fast_paxos", alias = "fast-paxos")]
    FastPaxos,
    /// Sagas: transactions that are carried out or undone.
    Saga,
}

impl Protocol {
    /// Tells whether it keeps no log of commands that callers have the history of.
    pub(super) fn decides(self) -> bool {
        match self {
            Self::Raft | Self::MultiPaxos => false,
            Self::Paxos | Self::FastPaxos | Self::Saga => true,
        }
    }

    /// Returns its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Paxos => "paxos",
            Self::MultiPaxos => "multi_paxos",
            Self::FastPaxos => "fast_paxos",
            Self::Saga => "saga",
        }
    }
}
