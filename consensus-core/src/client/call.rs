//! A call on its way: what was asked for, and what became of it so far.

use std::collections::BTreeSet;

use super::{Ask, Attempt, Request};
use crate::{
    members::NodeId,
    replica::{RequestId, SessionId},
    time::{Time, WallTime},
};

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) ask: Option<Ask>,
    pub(super) born: WallTime,
    pub(super) deadline: Option<Time>,
    /// The session and number it was given, with the request as it goes over the wire.
    pub(super) identity: Option<(SessionId, RequestId)>,
    pub(super) request: Option<Request>,
    /// Attempts that may have reached a log, or may yet.
    pub(super) open: BTreeSet<Attempt>,
    pub(super) sent: u32,
    /// Who was asked first.
    pub(super) asked: Option<NodeId>,
    /// When to send again.
    pub(super) due: Option<Time>,
}

impl Call {
    pub(super) fn is_query(&self) -> bool {
        matches!(self.ask, Some(Ask::Query(_)))
    }
}
