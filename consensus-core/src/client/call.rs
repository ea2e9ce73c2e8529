//! A call: what was asked for, and what became of it so far.

use std::ops::Range;

use bytes::Bytes;

use super::{Admin, Attempt, CallError, Request};
use crate::{
    codec::Encode,
    error::Outcome,
    members::NodeId,
    read::ReadLevel,
    replica::{Opened, OpenedBody, RequestId, SessionId},
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

/// A call on its way, and who made it.
#[derive(Clone, Debug)]
pub(super) struct Call<W> {
    /// What was asked; nothing by the client itself, which opens its session so.
    pub(super) ask: Option<Ask>,
    pub(super) caller: Option<W>,
    pub(super) born: WallTime,
    pub(super) deadline: Option<Time>,
    /// The session and number that a command was given.
    pub(super) identity: Option<(SessionId, RequestId)>,
    /// What goes into the log, once that is known; it has the command then.
    pub(super) envelope: Option<Bytes>,
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

/// Attempts of a call that may have reached a log, and whether each was answered: one as a rule,
/// which takes no memory of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    first: Option<(Attempt, bool)>,
    others: Vec<(Attempt, bool)>,
}

impl Open {
    pub(super) fn insert(&mut self, attempt: Attempt) {
        match self.first {
            None => self.first = Some((attempt, false)),
            Some(_) => self.others.push((attempt, false)),
        }
    }

    pub(super) fn remove(&mut self, attempt: Attempt) {
        self.first.take_if(|(open, _)| *open == attempt);
        self.others.retain(|(open, _)| *open != attempt);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    /// Tells whether an attempt has no answer yet.
    pub(super) fn awaits(&self, attempt: Attempt) -> bool {
        self.first.iter().chain(&self.others).any(|open| *open == (attempt, false))
    }

    /// Notes the answer to an attempt; false if it had none coming.
    pub(super) fn answer(&mut self, attempt: Attempt) -> bool {
        let mut all = self.first.iter_mut().chain(&mut self.others);
        let awaited = all.find(|open| **open == (attempt, false));
        awaited.map(|(_, is_answered)| *is_answered = true).is_some()
    }
}

impl<W> Call<W> {
    /// Makes a call that waits to be sent.
    pub(super) fn new(
        (ask, caller): (Option<Ask>, Option<W>),
        born: WallTime,
        deadline: Option<Time>,
    ) -> Self {
        Self {
            ask,
            caller,
            born,
            deadline,
            identity: None,
            envelope: None,
            open: Open::default(),
            sent: 0,
            asked: None,
            shuns_others: false,
            proven_at: None,
            due: None,
            is_ready: true,
        }
    }

    /// Tells whether it is a command of the session that has no number in it.
    pub(super) fn needs_session(&self) -> bool {
        self.envelope.is_none() && matches!(self.ask, Some(Ask::Command(_)))
    }

    /// Returns how many bytes of a caller's the envelope will have, about.
    pub(super) fn size(&self) -> usize {
        match &self.ask {
            Some(Ask::Command(command) | Ask::Keyed { command, .. }) => command.len(),
            Some(Ask::Query { .. } | Ask::Admin(_)) | None => 0,
        }
    }

    /// Puts the call's envelope at the end of `batch`, with the `identity` that a command of the
    /// session gets and the oldest request that has no answer. Returns where it is.
    pub(super) fn pack(
        &mut self,
        identity: Option<(SessionId, RequestId, RequestId)>,
        batch: &mut Vec<u8>,
    ) -> Option<Range<usize>> {
        let body = match (&self.ask, identity) {
            (None, _) => OpenedBody::Open,
            (Some(Ask::Keyed { key, command }), _) => {
                let digest = twox_hash::XxHash3_128::oneshot(command);
                OpenedBody::Keyed { key, digest, command }
            }
            (Some(Ask::Command(command)), Some((session, request, low))) => {
                self.identity = Some((session, request));
                OpenedBody::InSession { session, request, low, command }
            }
            (Some(Ask::Command(_) | Ask::Query { .. } | Ask::Admin(_)), _) => return None,
        };
        let (from, opened) = (batch.len(), Opened { at: self.born, body });
        batch.reserve(opened.size_hint());
        opened.encode(batch);
        Some(from..batch.len())
    }

    /// Takes the envelope out of `batch`, where it is; the command need not be kept twice.
    pub(super) fn seal(&mut self, batch: &Bytes, at: Range<usize>) {
        self.envelope = Some(batch.slice(at));
        if let Some(Ask::Command(command)) = &mut self.ask {
            *command = Bytes::new();
        }
    }

    /// Takes the command out of its envelope: it gets another identity.
    pub(super) fn unseal(&mut self) {
        self.identity = None;
        if let (Some(envelope), Some(Ask::Command(command))) = (self.envelope.take(), &mut self.ask)
        {
            *command = Opened::command(&envelope).expect("a command was put into its envelope");
        }
    }

    /// Returns what is sent; nothing while the call has no envelope that it needs.
    pub(super) fn request(&self) -> Option<Request> {
        match &self.ask {
            Some(Ask::Query { query, level }) => {
                Some(Request::Query { query: query.clone(), level: *level })
            }
            Some(Ask::Admin(admin)) => Some(Request::Admin(admin.clone())),
            Some(Ask::Command(_) | Ask::Keyed { .. }) | None => {
                self.envelope.clone().map(Request::Propose)
            }
        }
    }

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
