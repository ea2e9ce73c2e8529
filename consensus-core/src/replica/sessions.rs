//! Client sessions: a retried request applies once (dissertation 6.3).
//!
//! A session is opened through the log and its id is the index of that entry, so it is never
//! reused. Requests of a session may arrive in any order, since its client has many in flight: the
//! table keeps the reply of every request that the client has not acknowledged yet, and executes a
//! request only if it has none. An expired session is forgotten, and what comes for it later is
//! refused, never executed anew.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use super::{
    Rejection, Reply, RequestId, SessionId,
    mutant::Mutant,
    saved::{put_all, put_reply, take_all, take_reply},
};
use crate::{
    codec::{DecodeError, put_u64, take_u64},
    log::Index,
    mutants::Bugs,
    time::WallTime,
};

/// How long a session lives after its last request, by the time in the log.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How many sessions a group keeps; beyond, the one that was idle longest is forgotten.
pub const SESSIONS_MAX: usize = 65_536;

/// How far a request may lie beyond the oldest unanswered one: it bounds the replies that are kept.
pub const SESSION_WINDOW: u64 = 16_384;

/// The sessions of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    table: BTreeMap<SessionId, Session>,
    pub(super) bugs: Bugs<Mutant>,
}

#[derive(Clone, Debug)]
struct Session {
    last_active: WallTime,
    /// Requests below were answered and acknowledged.
    low: RequestId,
    /// From that on: a digest of each request's command, and its reply, where it has one.
    replies: VecDeque<Option<(u64, Reply)>>,
}

/// How a request stands to what its session has seen.
#[derive(Debug)]
pub(super) enum Standing {
    /// It is to be executed.
    Fresh,
    /// It was executed, with this reply.
    Repeated(Reply),
    /// It is not to be executed.
    Refused(Rejection),
}

impl Session {
    fn new(now: WallTime) -> Self {
        Self { last_active: now, low: RequestId(1), replies: VecDeque::new() }
    }

    /// Returns the place of a request among the replies; `None` beyond the window, or below `low`.
    fn place(&self, request: RequestId) -> Option<usize> {
        let place = request.0.checked_sub(self.low.0).filter(|place| *place < SESSION_WINDOW)?;
        usize::try_from(place).ok()
    }

    /// Drops the replies to requests below `low`, which were acknowledged.
    fn acknowledge(&mut self, low: RequestId) {
        let gone = usize::try_from(low.0 - self.low.0).unwrap_or(usize::MAX);
        self.replies.drain(..gone.min(self.replies.len()));
        self.low = low;
    }

    fn remember(&mut self, request: RequestId, digest: u64, reply: Reply) -> Option<()> {
        let place = self.place(request)?;
        while self.replies.len() < place {
            self.replies.push_back(None);
        }
        let reply = Some((digest, reply));
        match self.replies.get_mut(place) {
            Some(known) => *known = reply,
            None => self.replies.push_back(reply),
        }
        Some(())
    }
}

impl Sessions {
    /// Opens a session by the entry at `index`, and forgets those that have expired by `now`.
    pub(super) fn open(&mut self, index: Index, now: WallTime) -> SessionId {
        self.table.retain(|_, session| now.since(session.last_active) <= SESSION_LIFETIME);
        if self.table.len() >= SESSIONS_MAX {
            let idlest = self.table.iter().min_by_key(|(id, session)| (session.last_active, **id));
            if let Some(idlest) = idlest.map(|(id, _)| *id) {
                self.table.remove(&idlest);
            }
        }
        let id = SessionId::from(index);
        self.table.insert(id, Session::new(now));
        id
    }

    /// Judges a request, and drops the replies that its client has acknowledged.
    pub(super) fn standing(
        &mut self,
        id: SessionId,
        request: RequestId,
        low: RequestId,
        command: &[u8],
        now: WallTime,
    ) -> Standing {
        let bugs = self.bugs;
        let Some(session) = self.table.get_mut(&id) else {
            if bugs.has(Mutant::UnknownSessionExecuted) {
                return Standing::Fresh;
            }
            return Standing::Refused(Rejection::UnknownSession);
        };
        if now.since(session.last_active) > SESSION_LIFETIME {
            if !bugs.has(Mutant::ExpiredSessionRevived) {
                self.table.remove(&id);
                return Standing::Refused(Rejection::UnknownSession);
            }
            *session = Session::new(now);
        }

        session.last_active = now;
        if low > session.low {
            session.acknowledge(low);
            if bugs.has(Mutant::UnansweredReplyDropped)
                && let Some(unanswered) = session.replies.front_mut()
            {
                *unanswered = None;
            }
        }
        if request < session.low {
            if bugs.has(Mutant::AcknowledgedRequestExecuted) {
                return Standing::Fresh;
            }
            return Standing::Refused(Rejection::AlreadyAnswered);
        }
        let Some(place) = session.place(request) else {
            return Standing::Refused(Rejection::SessionWindow);
        };
        match session.replies.get(place).and_then(Option::as_ref) {
            None => Standing::Fresh,
            Some(_) if bugs.has(Mutant::RepeatedRequestExecuted) => Standing::Fresh,
            Some((known, reply)) if *known == digest(command) => Standing::Repeated(reply.clone()),
            Some(_) => Standing::Refused(Rejection::RequestReused),
        }
    }

    /// Keeps the reply to a request until its client acknowledges it.
    pub(super) fn remember(
        &mut self,
        id: SessionId,
        request: RequestId,
        command: &[u8],
        reply: Reply,
    ) {
        if let Some(session) = self.table.get_mut(&id) {
            session.remember(request, digest(command), reply);
        }
    }

    /// Appends all sessions, for a snapshot.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_all(out, self.table.iter(), |out, (id, session)| {
            let Session { last_active, low, replies } = session;
            put_u64(out, id.0);
            put_u64(out, last_active.0);
            put_u64(out, low.0);
            let kept: Vec<_> = (low.0..)
                .zip(replies)
                .filter_map(|(request, reply)| Some((request, reply.as_ref()?)))
                .collect();
            put_all(out, kept.into_iter(), |out, (request, (digest, reply))| {
                put_u64(out, request);
                put_u64(out, *digest);
                put_reply(out, reply);
            });
        });
    }

    /// Reads what [`Self::put`] wrote.
    pub(super) fn take(&mut self, input: &mut Bytes) -> Result<(), DecodeError> {
        take_all(input, |input| {
            let id = SessionId(take_u64(input)?);
            let (last_active, low) = (WallTime(take_u64(input)?), RequestId(take_u64(input)?));
            let mut session = Session { last_active, low, replies: VecDeque::new() };
            take_all(input, |input| {
                let (request, digest) = (RequestId(take_u64(input)?), take_u64(input)?);
                let kept = session.remember(request, digest, take_reply(input)?);
                kept.ok_or(DecodeError::Invalid("request of a session"))
            })?;
            self.table.insert(id, session);
            Ok(())
        })
    }
}

fn digest(command: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: WallTime = WallTime(1_000_000_000);

    fn replied(sessions: &mut Sessions, id: SessionId, request: u64) {
        sessions.remember(id, RequestId(request), b"x", Ok(Bytes::from_static(b"r")));
    }

    fn standing(sessions: &mut Sessions, id: SessionId, request: u64, low: u64) -> Standing {
        sessions.standing(id, RequestId(request), RequestId(low), b"x", NOON)
    }

    // Goal: a request executes once, in whatever order requests come; a repeat gets the first reply
    // (SES-P01).
    #[test]
    fn request_executes_once_in_any_order() {
        let mut sessions = Sessions::default();
        let id = sessions.open(Index(7), NOON);
        for request in [3, 1, 2] {
            assert!(matches!(standing(&mut sessions, id, request, 1), Standing::Fresh));
            replied(&mut sessions, id, request);
            assert!(matches!(standing(&mut sessions, id, request, 1), Standing::Repeated(Ok(_))));
        }
    }

    // Goal: an acknowledged request ends in a definite refusal, never in a second execution.
    #[test]
    fn acknowledged_request_is_refused() {
        let mut sessions = Sessions::default();
        let id = sessions.open(Index(7), NOON);
        replied(&mut sessions, id, 1);
        assert!(matches!(standing(&mut sessions, id, 2, 2), Standing::Fresh));
        assert!(matches!(
            standing(&mut sessions, id, 1, 1),
            Standing::Refused(Rejection::AlreadyAnswered)
        ));
    }

    // Goal: the same number with another command is refused loudly (SES-P03).
    #[test]
    fn reused_number_is_refused() {
        let mut sessions = Sessions::default();
        let id = sessions.open(Index(7), NOON);
        replied(&mut sessions, id, 1);
        let standing = sessions.standing(id, RequestId(1), RequestId(1), b"y", NOON);
        assert!(matches!(standing, Standing::Refused(Rejection::RequestReused)));
    }

    // Goal: a session expires by the time in the log, and its retries are refused, not executed.
    #[test]
    fn expired_session_is_refused() {
        let mut sessions = Sessions::default();
        let id = sessions.open(Index(7), NOON);
        let later = WallTime(NOON.0 + SESSION_LIFETIME.as_millis() as u64 + 1);
        let standing = sessions.standing(id, RequestId(1), RequestId(1), b"x", later);
        assert!(matches!(standing, Standing::Refused(Rejection::UnknownSession)));
    }

    // Goal: the replies kept for a session are bounded.
    #[test]
    fn window_bounds_a_session() {
        let mut sessions = Sessions::default();
        let id = sessions.open(Index(7), NOON);
        assert!(matches!(standing(&mut sessions, id, SESSION_WINDOW, 1), Standing::Fresh));
        assert!(matches!(
            standing(&mut sessions, id, SESSION_WINDOW + 1, 1),
            Standing::Refused(Rejection::SessionWindow)
        ));
    }
}
