//! Where calls wait to be looked at: bounded, and with one word to who takes them for all that
//! gather until it looks.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{Addr, Message};
use consensus_core::{CommitToken, Outcome, StateMachine, client::Ask};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    call::Answer,
    error::{Error, Result},
    replica::Replica,
    sync::lock,
};

/// How many calls may wait to be looked at, beyond those that are in flight.
const WAITING_MAX: usize = 8_192;

/// A call from outside the actor system.
pub(crate) struct Called {
    pub(crate) ask: Ask,
    /// The token that a query comes after.
    pub(crate) after: Option<CommitToken>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) answer: oneshot::Sender<Result<Answer>>,
}

impl Called {
    fn refuse(self, error: Error) {
        self.answer.send(Err(error)).ok();
    }
}

/// Who takes calls.
pub(crate) trait Taker: Send + Sync {
    /// Takes a call; its answer comes by the way that the call names, whatever happens.
    fn take(self: Arc<Self>, called: Called);
}

/// The calls that wait for the replica in this process.
pub(crate) struct Inbox<S: StateMachine> {
    replica: Addr<Replica<S>>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    calls: Vec<Called>,
    /// Whether the replica was told, and has not looked since.
    is_told: bool,
}

/// Calls wait in an inbox.
pub(crate) struct Look<S: StateMachine> {
    inbox: Arc<Inbox<S>>,
    has_looked: bool,
}

impl<S: StateMachine> Message for Look<S> {
    type Result = ();
}

impl<S: StateMachine> Inbox<S> {
    /// Makes the inbox of a replica.
    pub(crate) fn new(replica: Addr<Replica<S>>) -> Self {
        Self { replica, waiting: Mutex::default() }
    }

    /// Returns the replica.
    pub(crate) fn replica(&self) -> &Addr<Replica<S>> {
        &self.replica
    }
}

impl<S: StateMachine> Taker for Inbox<S> {
    fn take(self: Arc<Self>, called: Called) {
        let mut waiting = lock(&self.waiting);
        if waiting.calls.len() >= WAITING_MAX {
            drop(waiting);
            return called.refuse(Error::no_place(WAITING_MAX));
        }
        waiting.calls.push(called);
        let is_told = mem::replace(&mut waiting.is_told, true);
        drop(waiting);
        if !is_told {
            let replica = self.replica.clone();
            replica.do_send(Look { inbox: self, has_looked: false });
        }
    }
}

impl<S: StateMachine> Look<S> {
    /// Moves what waits to `calls`, which must be empty.
    pub(crate) fn take(mut self, calls: &mut Vec<Called>) {
        assert!(calls.is_empty(), "what was taken before is looked at");
        self.has_looked = true;
        let mut waiting = lock(&self.inbox.waiting);
        waiting.is_told = false;
        mem::swap(calls, &mut waiting.calls);
    }
}

impl<S: StateMachine> Drop for Look<S> {
    /// Drops what waits if nobody has looked: the replica has ended.
    fn drop(&mut self) {
        if !self.has_looked {
            let unanswered = mem::take(&mut *lock(&self.inbox.waiting));
            drop(unanswered);
        }
    }
}

/// The way to the task of a client that is no member: calls go there from any thread.
pub(crate) struct Courses {
    calls: mpsc::UnboundedSender<(Called, OwnedSemaphorePermit)>,
    /// Places where calls wait: else there were no bound.
    places: Arc<Semaphore>,
}

/// The calls that come to such a task; each holds its place until it is dropped.
pub(crate) type Coming = mpsc::UnboundedReceiver<(Called, OwnedSemaphorePermit)>;

impl Courses {
    /// Makes a way, and its end.
    pub(crate) fn new() -> (Arc<Self>, Coming) {
        let (calls, coming) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(WAITING_MAX));
        (Arc::new(Self { calls, places }), coming)
    }
}

impl Taker for Courses {
    fn take(self: Arc<Self>, called: Called) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return called.refuse(Error::no_place(WAITING_MAX));
        };
        if let Err(mpsc::error::SendError((called, _))) = self.calls.send((called, place)) {
            called.refuse(Error::stopping(Outcome::NotApplied));
        }
    }
}
