//! What callers asked for and were told.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{history::Moment, workload::Body};
use crate::{
    client::CallError,
    log::Index,
    members::NodeId,
    read::ReadLevel,
    replica::{self, Rejection, RequestId, SessionId},
    time::Time,
};

/// The identity under which a command applies once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity {
    /// A request of a session.
    Request(SessionId, RequestId),
    /// A command under a key.
    Key(Bytes),
}

impl Identity {
    /// Returns the identity of what stands in an envelope, if it has one.
    pub(super) fn of(body: &replica::Body) -> Option<Self> {
        match body {
            replica::Body::Open => None,
            replica::Body::InSession { session, request, .. } => {
                Some(Self::Request(*session, *request))
            }
            replica::Body::Keyed { key, .. } => Some(Self::Key(key.clone())),
        }
    }
}

/// How an operation ended for its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was applied, or answered, with this encoded reply.
    Ok(Bytes),
    /// It was applied and has no reply.
    Applied(Rejection),
    /// It is a query that has no answer.
    Unanswered(Rejection),
    /// It was not applied and will not be.
    NotApplied(String),
    /// Nobody knows.
    Unknown(String),
}

/// An operation of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asked; a process asks for one thing at a time.
    pub process: u64,
    /// What for.
    pub body: Body,
    /// When, in the order of all that callers see.
    pub invoked: Moment,
    /// When, in virtual time.
    pub invoked_at: Time,
    /// When and how it ended; `None` while it has not.
    pub returned: Option<(Moment, Time, Ended)>,
    pub(super) key: Option<Bytes>,
    pub(super) deadline: Time,
    /// Somebody who was asked may have it in a log.
    pub(super) is_doubtful: bool,
    pub(super) identities: Vec<Identity>,
    /// The last index that the state had seen which answered a query.
    pub(super) seen: Option<Index>,
    /// What a query is promised.
    pub level: ReadLevel,
    /// Clocks are less alike than is declared: what rests on a lease may be old.
    pub clocks_betray: bool,
    /// The command whose token a query comes after.
    pub(super) after: Option<usize>,
}

impl Asked {
    /// Returns how it ended, if it has.
    pub fn ended(&self) -> Option<&Ended> {
        self.returned.as_ref().map(|(_, _, ended)| ended)
    }
}

/// All operations of a run, in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Operations {
    list: Vec<Asked>,
    moment: u64,
    /// Processes that ask for nothing now, and how many there are.
    idle: BTreeSet<u64>,
    processes: u64,
    open: usize,
    /// Operations that show whether a node serves, and have not shown it yet.
    probes: Vec<(NodeId, usize)>,
    /// The nodes of those that are to be tried again.
    retried: Vec<NodeId>,
    /// The operation that travels under an identity.
    by_identity: BTreeMap<Identity, usize>,
    /// Commands that were answered, with the index that a token of each names.
    tokens: Vec<(usize, Index)>,
}

impl Operations {
    fn next_moment(&mut self) -> Moment {
        self.moment += 1;
        Moment(self.moment)
    }

    /// Notes that somebody asks; returns the operation.
    pub(super) fn begin(
        &mut self,
        now: Time,
        body: Body,
        key: Option<Bytes>,
        deadline: Time,
    ) -> usize {
        let process = self.idle.pop_first().unwrap_or_else(|| {
            self.processes += 1;
            self.processes - 1
        });
        let invoked = self.next_moment();
        self.open += 1;
        self.list.push(Asked {
            process,
            body,
            invoked,
            invoked_at: now,
            returned: None,
            key,
            deadline,
            is_doubtful: false,
            identities: Vec::new(),
            seen: None,
            level: ReadLevel::Linearizable,
            clocks_betray: false,
            after: None,
        });
        self.list.len() - 1
    }

    /// Notes how an operation ended; nothing if it had ended before.
    pub(super) fn end(&mut self, operation: usize, now: Time, ended: Ended) {
        let moment = self.next_moment();
        let Some(asked) = self.list.get_mut(operation) else { return };
        if asked.returned.is_none() {
            // Of one whose end is unknown the process is busy for ever.
            if !matches!(ended, Ended::Unknown(_)) {
                self.idle.insert(asked.process);
            }
            asked.returned = Some((moment, now, ended));
            self.open -= 1;
        }
    }

    /// Notes the identity under which an operation travels.
    pub(super) fn identify(&mut self, operation: usize, identity: Identity) {
        let Some(asked) = self.list.get_mut(operation) else { return };
        if !asked.identities.contains(&identity) {
            asked.identities.push(identity.clone());
            self.by_identity.insert(identity, operation);
        }
    }

    /// Returns the operation that travels under an identity.
    pub(super) fn identified(&self, identity: &Identity) -> Option<usize> {
        self.by_identity.get(identity).copied()
    }

    /// Notes that a command may be in a log, whatever others say who are asked for it again.
    pub(super) fn doubt(&mut self, operation: usize) {
        if let Some(asked) = self.list.get_mut(operation) {
            asked.is_doubtful = true;
        }
    }

    /// Notes the last index that the state had seen which answered a query.
    pub(super) fn saw(&mut self, operation: usize, seen: Option<Index>) {
        if let Some(asked) = self.list.get_mut(operation) {
            asked.seen = seen;
        }
    }

    /// Notes what a query is promised, and the command that it comes after.
    pub(super) fn promise(&mut self, operation: usize, level: ReadLevel, after: Option<usize>) {
        if let Some(asked) = self.list.get_mut(operation) {
            (asked.level, asked.after) = (level, after);
        }
    }

    /// Notes that what an operation reads from a lease may be old.
    pub(super) fn mistrust(&mut self, operation: usize) {
        if let Some(asked) = self.list.get_mut(operation) {
            asked.clocks_betray = true;
        }
    }

    /// Notes the index that the token of a command names.
    pub(super) fn stands_at(&mut self, operation: usize, index: Option<Index>) {
        let is_command = |asked: &Asked| matches!(asked.body, Body::Command(_));
        if let (Some(index), true) = (index, self.list.get(operation).is_some_and(is_command)) {
            self.tokens.push((operation, index));
        }
    }

    /// Returns one of the latest commands that were answered, with the index of its token.
    pub(super) fn token(&self, pick: u64) -> Option<(usize, Index)> {
        const LATEST: usize = 4;
        let back = pick as usize % LATEST.min(self.tokens.len().max(1));
        self.tokens.iter().rev().nth(back).copied()
    }

    /// Returns when each operation began and ended, in order.
    pub(super) fn moments(&self) -> Vec<(Time, Moment)> {
        let began = self.list.iter().map(|asked| (asked.invoked_at, asked.invoked));
        let ended = self
            .list
            .iter()
            .filter_map(|asked| asked.returned.as_ref().map(|(moment, at, _)| (*at, *moment)));
        let mut moments: Vec<_> = began.chain(ended).collect();
        moments.sort_unstable();
        moments
    }

    pub(super) fn get(&self, operation: usize) -> Option<&Asked> {
        self.list.get(operation)
    }

    pub(super) fn all(&self) -> &[Asked] {
        &self.list
    }

    pub(super) fn into_all(self) -> Vec<Asked> {
        self.list
    }

    pub(super) fn all_ended(&self) -> bool {
        self.open == 0
    }

    /// Notes that an operation shows, once all is mended, whether a node serves.
    pub(super) fn add_probe(&mut self, node: NodeId, operation: usize) {
        self.probes.push((node, operation));
    }

    /// Takes an operation from the probes; returns the node that it was to try.
    pub(super) fn take_probe(&mut self, operation: usize) -> Option<NodeId> {
        let place = self.probes.iter().position(|(_, probe)| *probe == operation)?;
        Some(self.probes.swap_remove(place).0)
    }

    /// Notes that a node was not served and will ask again; and that it does.
    pub(super) fn will_retry(&mut self, node: NodeId) {
        self.retried.push(node);
    }

    pub(super) fn retries(&mut self, node: NodeId) {
        let place = self.retried.iter().position(|other| *other == node);
        place.map(|place| self.retried.swap_remove(place));
    }

    /// Tells whether every node that serves has been served.
    pub(super) fn probes_are_answered(&self, serves: impl Fn(NodeId) -> bool) -> bool {
        let mut waiting = self.probes.iter().map(|(node, _)| node).chain(&self.retried);
        !waiting.any(|node| serves(*node))
    }
}

/// Returns why a call has no reply.
pub(super) fn rejection(error: &CallError) -> Rejection {
    match error {
        CallError::Rejected(rejection) | CallError::Unanswered(rejection) => *rejection,
        CallError::Deadline { .. }
        | CallError::Busy { .. }
        | CallError::StorageFull
        | CallError::SessionExpired
        | CallError::TooStale { .. }
        | CallError::Behind { .. }
        | CallError::Refused(_) => unreachable!("only a decided call is applied and silent"),
    }
}
