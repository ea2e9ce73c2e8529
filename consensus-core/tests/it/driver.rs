//! Drives one [`Client`] by hand: its clock, its leader's answers, and what it makes of them.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use consensus_core::{
    NodeId, Outcome, ReadLevel, SubmitError, Time, WallTime,
    client::{
        Answered, Ask, Attempt, CallError, CallId, Client, ClientEffect, Failure, Patience, Request,
    },
    replica::Rejection,
};

use crate::{bug, client::command, node::id};

pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(500);
pub(crate) const PAUSE: Duration = Duration::from_millis(50);
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A client, its clock, and what it sent and finished since it was last asked.
pub(crate) struct Driver {
    pub(crate) client: Client,
    pub(crate) now: Time,
    pub(crate) sent: Vec<(NodeId, Attempt, Request)>,
    pub(crate) finished: BTreeMap<CallId, Result<Answered, CallError>>,
}

impl Driver {
    pub(crate) fn new() -> Self {
        let patience = Patience { retry_after: RETRY_AFTER, pause: PAUSE };
        Self {
            client: bug::client(Client::new(patience)),
            now: Time::ZERO,
            sent: Vec::new(),
            finished: BTreeMap::new(),
        }
    }

    /// Makes a client beside the replica on a node.
    pub(crate) fn at_home(node: u64) -> Self {
        let mut driver = Self::new();
        driver.client = driver.client.reading_from(id(node));
        driver
    }

    /// Makes a client that sends to node 1 in session 7.
    pub(crate) fn in_session() -> Self {
        let mut driver = Self::new();
        driver.client.route(Some(id(1)));
        let call = driver.call(command());
        let (_, open, _) = driver.one_sent();
        driver.reply(open, &7_u64.to_le_bytes());
        let (_, attempt, _) = driver.one_sent();
        driver.reply(attempt, b"ready");
        assert_eq!(driver.finished.remove(&call), Some(Ok(Bytes::from_static(b"ready").into())));
        driver
    }

    pub(crate) fn call(&mut self, ask: Ask) -> CallId {
        let call = self.client.call(ask, (), WallTime(5), self.now + DEADLINE);
        self.flush();
        call.expect("there is room")
    }

    pub(crate) fn flush(&mut self) {
        let mut out = Vec::new();
        self.client.tick(self.now, &mut out);
        self.client.flush(self.now, WallTime(5), &mut out);
        self.take(out);
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.flush();
    }

    pub(crate) fn answer(&mut self, attempt: Attempt, result: Result<Answered, Failure>) {
        let mut out = Vec::new();
        self.client.answered(self.now, attempt, result, &mut out);
        self.take(out);
        self.flush();
    }

    pub(crate) fn reply(&mut self, attempt: Attempt, reply: &[u8]) {
        self.answer(attempt, Ok(Bytes::copy_from_slice(reply).into()));
    }

    pub(crate) fn refuse(&mut self, attempt: Attempt, error: SubmitError) {
        self.answer(attempt, Err(Failure::Refused(error)));
    }

    pub(crate) fn reject(&mut self, attempt: Attempt, rejection: Rejection) {
        self.answer(attempt, Err(Failure::Rejected(rejection)));
    }

    pub(crate) fn take(&mut self, out: Vec<ClientEffect>) {
        for effect in out {
            match effect {
                ClientEffect::Request { to, attempt, request, .. } => {
                    self.sent.push((to, attempt, request));
                }
                ClientEffect::Finish { call, result, .. } => {
                    let before = self.finished.insert(call, result);
                    assert_eq!(before, None, "a call ends once");
                }
            }
        }
    }

    /// Returns the level of a query.
    pub(crate) fn level(&self, request: &Request) -> Option<ReadLevel> {
        match request {
            Request::Query { level, .. } => Some(*level),
            Request::Propose(_) | Request::Admin(_) => None,
        }
    }

    /// Returns the one request that was sent since the last call.
    pub(crate) fn one_sent(&mut self) -> (NodeId, Attempt, Request) {
        assert_eq!(self.sent.len(), 1, "{:?}", self.sent);
        self.sent.remove(0)
    }

    pub(crate) fn outcome(&mut self, call: CallId) -> Option<Outcome> {
        let result = self.finished.remove(&call)?;
        Some(result.map_or_else(|error| error.outcome(), |_| Outcome::Applied))
    }
}
