//! A call: what was asked for, and what became of it so far.

use bytes::Bytes;

use super::{Admin, Attempt, CallError, Request};
use crate::{
    error::Outcome,
    members::NodeId,
    read::ReadLevel,
    replica::{RequestId, SessionId},
    time::{Time, WallTime},
};

/// What a caller asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A command in named MessagePack, applied once under the client's session.
    Command(Bytes),
    /// A command under a key of the caller's, applied once whoever repeats it.
    Keyed {
        /// The key.
        key: Bytes,
        /// The command in named MessagePack.
        command: Bytes,
    },
    /// A query.
    Query {
        /// The query in named MessagePack.
        query: Bytes,
        /// What it is promised.
        level: ReadLevel,
    },
    /// What an operator asks of the protocol.
    Admin(Admin),
}

/// A call on its way.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) ask: Option<Ask>,
    pub(super) born: WallTime,
    pub(super) deadline: Option<Time>,
    /// The session and number it was given, with the request as it goes over the wire.
    pub(super) identity: Option<(SessionId, RequestId)>,
    pub(super) request: Option<Request>,
    /// Attempts that may have reached a log, or may yet.
    pub(super) open: Open,
    pub(super) sent: u32,
    /// Who was asked first.
    pub(super) asked: Option<NodeId>,
    /// Whether only the leader is to be asked: a replica said that it has no state to read.
    pub(super) shuns_others: bool,
    /// When the state that it was last refused was current.
    pub(super) proven_at: Option<Time>,
    /// When to send again.
    pub(super) due: Option<Time>,
    /// Whether it waits for nothing but to be sent.
    pub(super) is_ready: bool,
}

/// Attempts of a call that may have reached a log: one as a rule, which takes no memory of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    first: Option<Attempt>,
    others: Vec<Attempt>,
}

impl Open {
    pub(super) fn insert(&mut self, attempt: Attempt) {
        match self.first {
            None => self.first = Some(attempt),
            Some(_) => self.others.push(attempt),
        }
    }

    pub(super) fn remove(&mut self, attempt: Attempt) {
        if self.first == Some(attempt) {
            self.first = None;
        }
        self.others.retain(|other| *other != attempt);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Attempt> {
        self.first.into_iter().chain(self.others.iter().copied())
    }
}

impl Call {
    pub(super) fn is_query(&self) -> bool {
        matches!(self.ask, Some(Ask::Query { .. }))
    }

    /// Says what its caller is told at the deadline; that nothing was applied, if `denied`.
    pub(super) fn overdue(&self, now: Time, leader: Option<NodeId>, denied: bool) -> CallError {
        match self.ask {
            Some(Ask::Query { level: ReadLevel::Stale { max_lag }, .. }) => {
                let age = self.proven_at.map(|proven_at| now.since(proven_at));
                CallError::TooStale { max_lag, age }
            }
            Some(Ask::Query { level: ReadLevel::After { index }, .. }) => {
                CallError::Behind { index }
            }
            Some(Ask::Query { level: ReadLevel::Linearizable | ReadLevel::Lease, .. }) => {
                CallError::Deadline { outcome: Outcome::NotApplied, leader }
            }
            Some(Ask::Command(_) | Ask::Keyed { .. } | Ask::Admin(_)) | None => {
                let harmless = denied || self.open.is_empty();
                let outcome = if harmless { Outcome::NotApplied } else { Outcome::Unknown };
                CallError::Deadline { outcome, leader }
            }
        }
    }
}
