//! The replica: applies decided commands to the user's state machine, each once.
//!
//! Besides the state it keeps, replicated and in the log's order alone, the sessions of clients
//! and the table of idempotency keys. Nothing here depends on a local clock: time is what
//! commands carry.

mod envelope;
mod keys;
mod mutant;
mod saved;
mod sessions;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use serde::Serialize;

pub use envelope::{Body, Envelope, RequestId, SessionId};
pub(crate) use envelope::{Opened, OpenedBody};
pub use keys::{KEY_BYTES_MAX, KEY_LIFETIME, KEYS_MAX};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
#[cfg(not(feature = "mutants"))]
use mutant::Mutant;
pub use saved::{RestoreError, SaveError};
pub use sessions::{SESSION_LIFETIME, SESSION_WINDOW, SESSIONS_MAX};

use self::{
    keys::Keys,
    sessions::{Sessions, Standing},
};
use crate::{
    error::Outcome,
    log::{Decided, Index},
    mutants::Bugs,
    process::GroupId,
    state_machine::{Cx, StateMachine},
    time::WallTime,
};

/// The largest reply, encoded: it must fit into a frame, and be kept until its client has it.
pub const REPLY_BYTES_MAX: usize = 2 << 20;

/// What a decided command answers: the encoded reply, or why there is none.
pub type Reply = Result<Bytes, Rejection>;

/// Why a decided command, or a query, has no reply; the same on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The command panicked; what it had changed by then stays changed.
    #[error("the command panicked; the log of each node says where")]
    Panicked,
    /// The reply is longer than [`REPLY_BYTES_MAX`].
    #[error("the reply takes more than {REPLY_BYTES_MAX} bytes")]
    ReplyTooLarge,
    /// The bytes are no command or query of this state machine.
    #[error("the bytes are no command of this state machine")]
    Malformed,
    /// The session was never opened here, or has expired.
    #[error("the session is unknown or has expired")]
    UnknownSession,
    /// The client has said that it waits for the request no more; it was answered, or given up.
    #[error("the request was answered or given up before, and its reply is gone")]
    AlreadyAnswered,
    /// The request number lies too far beyond the oldest unanswered one.
    #[error("the session has too many requests in flight")]
    SessionWindow,
    /// The same session and request number came with another command.
    #[error("the request number was used for another command")]
    RequestReused,
    /// The same idempotency key came with another body.
    #[error("the idempotency key was used with another body")]
    KeyReused,
}

impl Rejection {
    /// Tells whether the command has been applied; a query changes nothing whatever it says.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Panicked | Self::ReplyTooLarge => Outcome::Applied,
            Self::AlreadyAnswered => Outcome::Unknown,
            Self::Malformed
            | Self::UnknownSession
            | Self::SessionWindow
            | Self::RequestReused
            | Self::KeyReused => Outcome::NotApplied,
        }
    }
}

/// A replica of the state machine `S`.
#[derive(Clone, Debug)]
pub struct Replica<S> {
    group: GroupId,
    machine: S,
    applied: Index,
    now: WallTime,
    sessions: Sessions,
    keys: Keys,
    /// The buffer that replies are encoded in.
    scratch: Vec<u8>,
    bugs: Bugs<Mutant>,
}

impl<S: StateMachine> Replica<S> {
    /// Makes the replica of `group` before its first command.
    pub fn new(group: GroupId) -> Self {
        Self {
            group,
            machine: S::default(),
            applied: Index::ZERO,
            now: WallTime::default(),
            sessions: Sessions::default(),
            keys: Keys::default(),
            scratch: Vec::new(),
            bugs: Bugs::default(),
        }
    }

    /// Puts a known bug back, for tests that must find it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.bugs = Bugs::only(mutant);
        self.sessions.bugs = self.bugs;
        self.keys.bugs = self.bugs;
        self
    }

    /// Returns the last index applied.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// Returns the time in the log at the last index applied.
    pub fn now(&self) -> WallTime {
        self.now
    }

    /// Returns the user's state.
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// Applies what was decided next; `None` for an entry of the protocol's own.
    ///
    /// # Panics
    /// If `decided` does not follow what was applied last: the host lost or reordered it.
    pub fn apply(&mut self, decided: &Decided) -> Option<Reply> {
        assert!(decided.index == self.applied.next(), "decided entries are applied in order");
        self.applied = decided.index;
        let command = decided.command.as_ref()?;
        let Ok(envelope) = Opened::read(command) else {
            return Some(Err(Rejection::Malformed));
        };

        // Time in the log never goes back, whatever the clocks of the nodes that stamped it.
        self.now = self.now.max(envelope.at);
        if self.bugs.has(Mutant::TimeGoesBack) {
            self.now = envelope.at;
        }
        let elsewhere = decided.ticket.is_none();
        Some(match envelope.body {
            OpenedBody::Open => {
                let session = self.sessions.open(decided.index, self.now);
                Ok(Bytes::copy_from_slice(&session.0.to_le_bytes()))
            }
            OpenedBody::InSession { command, .. }
                if elsewhere && self.bugs.has(Mutant::SessionsNotReplicated) =>
            {
                self.execute(command)
            }
            OpenedBody::InSession { session, request, low, command } => {
                self.apply_in_session(session, request, low, command)
            }
            OpenedBody::Keyed { key, digest, command } => self.apply_keyed(key, digest, command),
        })
    }

    fn apply_in_session(
        &mut self,
        session: SessionId,
        request: RequestId,
        low: RequestId,
        command: &[u8],
    ) -> Reply {
        match self.sessions.standing(session, request, low, command, self.now) {
            Standing::Fresh => {
                let reply = self.execute(command);
                let forgets = self.bugs.has(Mutant::PanicForgotten);
                if !(forgets && reply == Err(Rejection::Panicked)) {
                    self.sessions.remember(session, request, command, reply.clone());
                }
                reply
            }
            Standing::Repeated(reply) => reply,
            Standing::Refused(rejection) => Err(rejection),
        }
    }

    fn apply_keyed(&mut self, key: &[u8], digest: u128, command: &[u8]) -> Reply {
        self.keys.expire(self.now);
        match self.keys.recall(key, digest) {
            Some(reply) if !self.bugs.has(Mutant::KeyExecutedAgain) => reply,
            Some(_) | None => {
                let reply = self.execute(command);
                self.keys.remember(key, digest, reply.clone(), self.now);
                reply
            }
        }
    }

    /// Runs the user's command; a panic becomes its outcome.
    fn execute(&mut self, command: &[u8]) -> Reply {
        let mut cx = Cx::new(self.group, self.applied, self.now);
        let (machine, scratch) = (&mut self.machine, &mut self.scratch);
        // The state stays as the panic left it, on every replica alike, so observing it is sound.
        let reply = catch_unwind(AssertUnwindSafe(|| {
            let command = rmp_serde::from_slice(command).map_err(|_| Rejection::Malformed)?;
            encode(scratch, &machine.apply(&mut cx, command))
        }));
        reply.unwrap_or(Err(Rejection::Panicked))
    }

    /// Answers a query from the present state.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] and [`Rejection::Panicked`].
    pub fn query(&self, query: &[u8]) -> Reply {
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let query = rmp_serde::from_slice(query).map_err(|_| Rejection::Malformed)?;
            encode(&mut Vec::new(), &self.machine.answer(query))
        }));
        answer.unwrap_or(Err(Rejection::Panicked))
    }
}

/// Encodes a reply as named MessagePack; what cannot be encoded counts as a panic of its command.
pub(crate) fn encode(scratch: &mut Vec<u8>, reply: &impl Serialize) -> Reply {
    scratch.clear();
    rmp_serde::encode::write_named(scratch, reply).map_err(|_| Rejection::Panicked)?;
    let reply = match scratch.as_slice() {
        long if long.len() > REPLY_BYTES_MAX => Err(Rejection::ReplyTooLarge),
        // Nothing, a flag, a small number: what most commands reply takes no memory.
        [byte] => {
            let at = usize::from(*byte);
            Ok(Bytes::from_static(BYTES.get(at..=at).unwrap_or_default()))
        }
        some => Ok(Bytes::copy_from_slice(some)),
    };
    scratch.shrink_to(SCRATCH_BYTES);
    reply
}

/// How much room for replies a replica keeps.
const SCRATCH_BYTES: usize = 4 << 10;

/// Every byte.
#[expect(clippy::indexing_slicing, reason = "the compiler sees that the place is there")]
static BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};
