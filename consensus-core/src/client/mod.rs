//! A client's side: which replica gets a call, when it is sent again, and what its caller may
//! believe.
//!
//! A [`Client`] stands for all callers of one group in one process. It opens a session through the
//! log, numbers commands in it, sends them to the leader that its own replica knows, sends them
//! again under the same number when the leader changed or stays silent, and finishes each call at
//! its deadline at the latest. Queries go to the replica beside it, if there is one, which asks the
//! leader no more than how far it must have applied, and while no leader is reached to whichever
//! replica is; but where that has no state, to the leader. It claims [`Outcome::NotApplied`] only where
//! no attempt can have reached a log.

mod admin;
mod call;
mod directions;
mod effect;
mod error;
mod lookout;
mod mutant;
mod sending;
mod unanswered;
mod wire;

use std::time::Duration;

pub use admin::Admin;
use bytes::Bytes;
pub use call::Ask;
use call::Call;
use directions::Directions;
pub use effect::ClientEffect;
pub use error::CallError;
pub use lookout::{BACKOFF, FORGET, Lookout, Move, WATCH, Whereabouts};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
#[cfg(not(feature = "mutants"))]
use mutant::Mutant;
use unanswered::Unanswered;
pub use wire::{Answered, Attempted, Failure, Request, Response};

use crate::{
    error::{Outcome, SubmitError},
    members::NodeId,
    mutants::Bugs,
    replica::{Rejection, SESSION_WINDOW, SessionId},
    table::Table,
    time::{Time, WallTime},
};

/// A call of this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

/// One sending of a call; the answer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u64);

/// How often a call is sent at most.
const ATTEMPTS_MAX: u32 = 1 << 12;

/// How attempts are named: each tells which call it is of, so that no table has to.
#[derive(Clone, Copy, Debug)]
struct Numbering(u64);

impl Numbering {
    /// Names the attempt at a call that was sent so often before.
    fn attempt(self, CallId(call): CallId, sent: u32) -> Attempt {
        Attempt(self.0 + (call - 1) * u64::from(ATTEMPTS_MAX) + u64::from(sent))
    }

    /// Returns the call that an attempt would be of.
    fn call(self, Attempt(attempt): Attempt) -> Option<CallId> {
        Some(CallId(attempt.checked_sub(self.0)? / u64::from(ATTEMPTS_MAX) + 1))
    }
}

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long an attempt may stay unanswered before the call is sent again; it doubles with each
    /// attempt.
    pub retry_after: Duration,
    /// How long a refused call waits before it asks again, unless the leader changes first.
    pub pause: Duration,
}

/// All callers of one group in one process: `W` is what its host knows each by.
#[derive(Clone, Debug)]
pub struct Client<W = ()> {
    patience: Patience,
    directions: Directions,
    session: Session,
    /// Requests of the session that have no answer yet.
    unanswered: Unanswered,
    calls: Table<CallId, Call<W>>,
    call: CallId,
    numbering: Numbering,
    /// Calls that wait for nothing but to be sent, and some that have ended since.
    ready: Vec<CallId>,
    bugs: Bugs<Mutant>,
}

#[derive(Clone, Copy, Debug)]
enum Session {
    Closed,
    Opening(CallId),
    Open(SessionId),
}

impl<W> Client<W> {
    /// Makes a client that knows no leader yet.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            directions: Directions::default(),
            session: Session::Closed,
            unanswered: Unanswered::default(),
            calls: Table::default(),
            call: CallId(0),
            numbering: Numbering(1),
            ready: Vec::new(),
            bugs: Bugs::default(),
        }
    }

    /// Puts a known bug back, for tests that must find it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.bugs = Bugs::only(mutant);
        self
    }

    /// Numbers the attempts from `first` on instead of 1.
    ///
    /// Answers name the attempt and nothing else, and may outlive the process that asked: a host
    /// whose peers know it by the same name across restarts must start each time where no life
    /// before it has been, for one by drawing `first` at random below 2^62. Else an answer to
    /// another life's attempt is taken for its own.
    #[must_use]
    pub fn numbering_from(mut self, first: Attempt) -> Self {
        if !self.bugs.has(Mutant::NumberingRestarts) {
            self.numbering = Numbering(first.0);
        }
        self
    }

    /// Lets the replica on `node` answer queries, whichever leads.
    ///
    /// It must be one that loses no request: either it answers, or the client ends with it. Who has
    /// none such sends queries to the leader.
    #[must_use]
    pub fn reading_from(mut self, node: NodeId) -> Self {
        self.directions.home = Some(node);
        self
    }

    /// Tells whether no call is in flight, so that time changes nothing.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// Tells whether no caller waits, though the client may open a session.
    pub fn is_quiet(&self) -> bool {
        self.calls.len() <= 1 && self.calls.values().all(|call| call.caller.is_none())
    }

    /// Takes all callers, in the order of their calls: none of them is answered any more.
    pub fn drain(&mut self) -> impl Iterator<Item = W> {
        self.calls.drain().into_iter().filter_map(|(_, call)| call.caller)
    }

    /// Returns the leader that calls go to.
    pub fn leader(&self) -> Option<NodeId> {
        self.directions.leader
    }

    /// Starts a call of `caller`; it is sent by the next [`Client::flush`].
    ///
    /// # Errors
    /// [`CallError::Busy`], with the caller, when half as many calls are in flight as the session's
    /// window holds.
    pub fn call(
        &mut self,
        ask: Ask,
        caller: W,
        born: WallTime,
        deadline: Time,
    ) -> Result<CallId, (CallError, W)> {
        let limit = SESSION_WINDOW as usize / 2;
        if self.calls.len() >= limit {
            return Err((CallError::Busy { limit }, caller));
        }
        Ok(self.start(Call::new((Some(ask), Some(caller)), born, Some(deadline))))
    }

    fn start(&mut self, call: Call<W>) -> CallId {
        self.call = CallId(self.call.0 + 1);
        self.calls.insert(self.call, call);
        self.ready.push(self.call);
        self.call
    }

    /// Sends calls to `leader` from now on; those that wait for an answer of another are sent
    /// again.
    pub fn route(&mut self, leader: Option<NodeId>) {
        self.directions.leader = leader;
        if leader.is_some() {
            let directions = self.directions;
            // A read at home is answered or refused there: a second one would only crowd it.
            let waits = |call: &Call<W>| call.open.is_empty() || !directions.lead_home(call);
            self.calls.keys_where(waits).into_iter().for_each(|id| self.make_ready(id));
        }
    }

    /// Sends queries to the replica on `node` from now on, while there is no leader to send them
    /// to: it answers those whose level it can serve. `None` if it is reached no more.
    ///
    /// It may be one that loses requests: those without an answer are sent again.
    pub fn reach(&mut self, node: Option<NodeId>) {
        self.directions.reached = node;
        if node.is_some() {
            let queries = self.calls.keys_where(Call::is_query);
            queries.into_iter().for_each(|id| self.make_ready(id));
        }
    }

    /// Tells whether somebody still waits for the answer to an attempt.
    pub fn awaits(&self, attempt: Attempt) -> bool {
        self.call_of(attempt).is_some_and(|call| call.open.awaits(attempt))
    }

    /// Returns the query that an attempt is about, if somebody still waits for its answer.
    pub fn query(&self, attempt: Attempt) -> Option<&Bytes> {
        match self.call_of(attempt) {
            Some(Call { ask: Some(Ask::Query { query, .. }), open, .. }) => {
                open.awaits(attempt).then_some(query)
            }
            Some(_) | None => None,
        }
    }

    /// Returns the call that an attempt is of, if it has not ended.
    fn call_of(&self, attempt: Attempt) -> Option<&Call<W>> {
        self.calls.get(self.numbering.call(attempt)?)
    }

    /// Takes the answer to an attempt.
    pub fn answered(
        &mut self,
        now: Time,
        attempt: Attempt,
        result: Result<Answered, Failure>,
        out: &mut Vec<ClientEffect<W>>,
    ) {
        let Some(id) = self.numbering.call(attempt) else { return };
        if !self.calls.get_mut(id).is_some_and(|call| call.open.answer(attempt)) {
            return;
        }
        match result {
            Ok(answered) => self.on_reply(id, answered, out),
            Err(Failure::Refused(error)) => self.on_refused(now, id, attempt, error, out),
            Err(Failure::Rejected(rejection)) => self.on_rejected(now, id, attempt, rejection, out),
        }
    }

    fn on_reply(&mut self, id: CallId, answered: Answered, out: &mut Vec<ClientEffect<W>>) {
        if let Session::Opening(opening) = self.session
            && opening == id
        {
            self.forget(id);
            let bytes: [u8; 8] = answered.reply.as_ref().try_into().unwrap_or_default();
            self.session = Session::Open(SessionId(u64::from_le_bytes(bytes)));
            self.unanswered = Unanswered::default();
            return;
        }
        self.finish(id, Ok(answered), out);
    }

    /// The replica did not take the attempt, or took it and lost the lead.
    fn on_refused(
        &mut self,
        now: Time,
        id: CallId,
        attempt: Attempt,
        error: SubmitError,
        out: &mut Vec<ClientEffect<W>>,
    ) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.due = Some(now + self.patience.pause);
        let closes = self.bugs.has(Mutant::LostLeadClosesAttempt);
        if closes || error.outcome() == Outcome::NotApplied {
            call.open.remove(attempt);
        }
        // While another attempt may be in a log, only a repeat can tell what came of it.
        let settled = call.open.is_empty() || self.bugs.has(Mutant::BusyEndsOpenCall);
        let alone = settled && call.deadline.is_some();
        match error {
            SubmitError::Busy { limit } if alone => {
                self.finish(id, Err(CallError::Busy { limit }), out);
            }
            SubmitError::StorageFull if alone => {
                self.finish(id, Err(CallError::StorageFull), out);
            }
            SubmitError::Transfer(_) | SubmitError::NoLeases if alone => {
                self.finish(id, Err(CallError::Refused(error)), out);
            }
            SubmitError::Change(ref reason) if alone && !reason.is_passing() => {
                self.finish(id, Err(CallError::Refused(error)), out);
            }
            SubmitError::TooStale { age: Some(age) } => call.proven_at = Some(now - age),
            SubmitError::NoState { .. } => {
                call.shuns_others = true;
                self.make_ready(id);
            }
            SubmitError::Busy { .. }
            | SubmitError::TooStale { age: None }
            | SubmitError::StorageFull
            | SubmitError::NotLeader { .. }
            | SubmitError::Transferring { .. }
            | SubmitError::Transfer(_)
            | SubmitError::NoLeases
            | SubmitError::Change(_)
            | SubmitError::LeadershipLost => {}
        }
    }

    /// The replicas decided that there is no reply.
    fn on_rejected(
        &mut self,
        now: Time,
        id: CallId,
        attempt: Attempt,
        rejection: Rejection,
        out: &mut Vec<ClientEffect<W>>,
    ) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.open.remove(attempt);
        // A session is opened until one is open; and what lies beyond the window now may lie in it
        // later, when an earlier attempt of the same command arrives: only asking again can tell.
        if call.deadline.is_none() || rejection == Rejection::SessionWindow {
            call.due = Some(now + self.patience.pause);
            return;
        }
        if rejection != Rejection::UnknownSession {
            let error = match call.ask {
                Some(Ask::Query { .. }) => CallError::Unanswered(rejection),
                Some(Ask::Command(_) | Ask::Keyed { .. } | Ask::Admin(_)) | None => {
                    CallError::Rejected(rejection)
                }
            };
            self.finish(id, Err(error), out);
            return;
        }

        // The session is gone: a new one serves what was certainly not applied under the old.
        let (identity, retried) = (call.identity, !call.open.is_empty());
        if let (Session::Open(session), Some((of, _))) = (self.session, identity)
            && session == of
        {
            self.session = Session::Closed;
        }
        if retried && !self.bugs.has(Mutant::ExpiredSessionRepeated) {
            self.finish(id, Err(CallError::SessionExpired), out);
        } else if let Some(call) = self.calls.get_mut(id) {
            call.unseal();
            self.make_ready(id);
        }
    }

    /// Finishes calls whose deadline has passed, and marks those to be sent again.
    pub fn tick(&mut self, now: Time, out: &mut Vec<ClientEffect<W>>) {
        let is_over = |call: &Call<W>| call.deadline.is_some_and(|deadline| now >= deadline);
        let is_due = |call: &Call<W>| call.due.is_some_and(|due| now >= due);
        for id in self.calls.keys_where(|call| is_over(call) || is_due(call)) {
            match self.calls.get(id).is_some_and(is_over) {
                true => self.expire(now, id, out),
                false => self.make_ready(id),
            }
        }
    }

    fn expire(&mut self, now: Time, id: CallId, out: &mut Vec<ClientEffect<W>>) {
        let Some(call) = self.calls.get(id) else { return };
        let denies = self.bugs.has(Mutant::DeadlineDeniesOpenAttempt);
        let error = call.overdue(now, self.leader(), denies);
        self.finish(id, Err(error), out);
    }

    fn make_ready(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(id)
            && !std::mem::replace(&mut call.is_ready, true)
        {
            self.ready.push(id);
        }
    }

    fn finish(
        &mut self,
        id: CallId,
        result: Result<Answered, CallError>,
        out: &mut Vec<ClientEffect<W>>,
    ) {
        if let Some(caller) = self.forget(id) {
            out.push(ClientEffect::Finish { call: id, caller, result });
        }
    }

    /// Forgets a call; returns who made it.
    fn forget(&mut self, id: CallId) -> Option<W> {
        let call = self.calls.remove(id)?;
        if matches!(self.session, Session::Opening(opening) if opening == id) {
            self.session = Session::Closed;
        }
        if let (Session::Open(session), Some((of, request))) = (self.session, call.identity)
            && session == of
        {
            self.unanswered.remove(request);
        }
        call.caller
    }
}
