//! A client's routing, retries, and what it tells its callers.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use consensus_core::{
    Index, Outcome, ReadLevel, SubmitError, WallTime,
    client::{Ask, Attempt, CallError, CallId, Failure, Request},
    codec::Decode,
    replica::{Body, Envelope, Rejection, RequestId, SESSION_WINDOW, SessionId},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    driver::{DEADLINE, Driver, PAUSE, RETRY_AFTER},
    node::id,
};

pub(crate) fn command() -> Ask {
    Ask::Command(Bytes::from_static(b"command"))
}

fn keyed() -> Ask {
    Ask::Keyed { key: Bytes::from_static(b"key"), command: Bytes::from_static(b"command") }
}

pub(crate) fn asked(level: ReadLevel) -> Ask {
    Ask::Query { query: Bytes::from_static(b"query"), level }
}

pub(crate) fn query() -> Ask {
    asked(ReadLevel::Linearizable)
}

pub(crate) const NOT_LEADER: SubmitError = SubmitError::NotLeader { leader: None };

fn body(request: &Request) -> Body {
    let Request::Propose(envelope) = request else { panic!("{request:?} is no proposal") };
    Envelope::decode_all(envelope.clone()).expect("a client sends envelopes").body
}

pub(crate) fn identity(request: &Request) -> (SessionId, RequestId, RequestId) {
    match body(request) {
        Body::InSession { session, request, low, .. } => (session, request, low),
        other => panic!("{other:?} is in no session"),
    }
}

// Goal: nothing is sent before there is a leader, and a command waits for a session, which its
// reply opens.
#[test]
fn command_waits_for_leader_and_session() {
    let mut driver = Driver::new();
    driver.call(command());
    assert!(driver.sent.is_empty());

    driver.client.route(Some(id(2)));
    driver.flush();
    let (to, attempt, request) = driver.one_sent();
    assert_eq!((to, body(&request)), (id(2), Body::Open));

    driver.reply(attempt, &SessionId::from(Index(9)).0.to_le_bytes());
    let (_, _, request) = driver.one_sent();
    assert_eq!(identity(&request), (SessionId(9), RequestId(1), RequestId(1)));
}

// Goal: queries and commands under a key need no session, and are not sent again when one opens.
#[test]
fn only_commands_need_a_session() {
    let mut driver = Driver::new();
    driver.client.route(Some(id(1)));
    driver.call(keyed());
    assert!(matches!(body(&driver.one_sent().2), Body::Keyed { .. }));
    driver.call(query());
    assert_eq!(
        driver.one_sent().2,
        Request::Query { query: Bytes::from_static(b"query"), level: ReadLevel::Linearizable }
    );

    driver.call(command());
    let (_, attempt, _) = driver.one_sent();
    driver.reply(attempt, &7_u64.to_le_bytes());
    identity(&driver.one_sent().2);
}

// Goal: requests are numbered in their session, and tell which of them still wait, so that the rest
// can be dropped.
#[test]
fn request_tells_the_oldest_unanswered() {
    let mut driver = Driver::in_session();
    driver.call(command());
    let (_, second, request) = driver.one_sent();
    assert_eq!(identity(&request), (SessionId(7), RequestId(2), RequestId(2)));
    driver.call(command());
    assert_eq!(identity(&driver.one_sent().2).2, RequestId(2));
    driver.reply(second, b"");
    driver.call(command());
    assert_eq!(identity(&driver.one_sent().2).2, RequestId(3));
}

// Goal: when the leader changes, what waits goes to the new one at once, the very same request.
#[test]
pub(crate) fn new_leader_gets_the_same_request() {
    let mut driver = Driver::in_session();
    driver.call(command());
    let (_, first, request) = driver.one_sent();
    driver.client.route(None);
    driver.flush();
    assert!(driver.sent.is_empty());
    driver.client.route(Some(id(3)));
    driver.flush();
    let (to, second, again) = driver.one_sent();
    assert_eq!((to, &again), (id(3), &request));
    assert_ne!(first, second, "answers name the attempt");
}

// Goal: a call that stays unanswered is sent again, ever less often.
#[test]
fn silence_is_met_with_patience() {
    let mut driver = Driver::in_session();
    driver.call(command());
    let (_, _, request) = driver.one_sent();
    for factor in [1, 2, 4, 8] {
        driver.pass(RETRY_AFTER * factor - Duration::from_millis(1));
        assert!(driver.sent.is_empty());
        driver.pass(Duration::from_millis(1));
        assert_eq!(driver.one_sent().2, request);
    }
}

// Goal: who is refused by a node that does not lead asks again after a pause, and is told nothing
// yet.
#[test]
fn refusal_by_a_follower_is_retried() {
    let mut driver = Driver::in_session();
    driver.call(command());
    let (_, attempt, request) = driver.one_sent();
    driver.refuse(attempt, NOT_LEADER);
    assert!(driver.sent.is_empty());
    driver.pass(PAUSE);
    assert_eq!(driver.one_sent().2, request);
    assert!(driver.finished.is_empty());
}

// Goal: the answer to any attempt ends the call, and what comes later is nobody's.
#[test]
fn any_attempt_may_be_answered_and_once() {
    let mut driver = Driver::in_session();
    let call = driver.call(command());
    let (_, first, _) = driver.one_sent();
    driver.pass(RETRY_AFTER);
    let (_, second, _) = driver.one_sent();
    driver.reply(first, b"reply");
    assert_eq!(driver.finished.remove(&call), Some(Ok(Bytes::from_static(b"reply").into())));
    driver.reply(first, b"again");
    driver.reply(second, b"reply");
    driver.refuse(second, SubmitError::LeadershipLost);
    assert!(driver.finished.is_empty());
}

// Goal: a process that takes the place of one that died is not told what that one had asked, so
// its session and its replies are its own. Method: answers to attempts of the first life reach the
// second, which counts from elsewhere.
#[test]
pub(crate) fn answer_to_another_life_is_nobodys() {
    let mut first = Driver::new();
    first.client.route(Some(id(1)));
    first.call(command());
    let (_, stale, _) = first.one_sent();

    let mut second = Driver::new();
    second.client = second.client.numbering_from(Attempt(1 << 40));
    second.client.route(Some(id(1)));
    second.call(command());
    let (_, open, _) = second.one_sent();
    assert!(open >= Attempt(1 << 40), "{open:?}");
    second.reply(stale, &7_u64.to_le_bytes());
    assert!(second.sent.is_empty());
    second.reply(open, &9_u64.to_le_bytes());
    assert_eq!(identity(&second.one_sent().2), (SessionId(9), RequestId(1), RequestId(1)));
}

// Goal: at its deadline a command is denied only if no attempt can be in a log.
#[test]
pub(crate) fn deadline_tells_the_truth() {
    let asks = [command, keyed];
    for ask in asks {
        // Never sent, for want of a leader.
        let mut driver = Driver::new();
        let call = driver.call(ask());
        driver.pass(DEADLINE);
        assert_eq!(driver.outcome(call), Some(Outcome::NotApplied));

        // Refused by every node that was asked.
        let mut driver = Driver::in_session();
        let call = driver.call(ask());
        let (_, attempt, _) = driver.one_sent();
        driver.refuse(attempt, NOT_LEADER);
        driver.client.route(None);
        driver.pass(DEADLINE);
        assert_eq!(driver.outcome(call), Some(Outcome::NotApplied));

        // Sent, and never answered.
        let mut driver = Driver::in_session();
        let call = driver.call(ask());
        driver.pass(DEADLINE);
        assert_eq!(driver.outcome(call), Some(Outcome::Unknown));

        // Taken by a leader that was deposed; whatever others say of their attempts.
        let mut driver = Driver::in_session();
        let call = driver.call(ask());
        let (_, first, _) = driver.one_sent();
        driver.refuse(first, SubmitError::LeadershipLost);
        driver.pass(PAUSE);
        let (_, second, _) = driver.one_sent();
        driver.refuse(second, NOT_LEADER);
        driver.client.route(None);
        driver.pass(DEADLINE);
        assert_eq!(driver.outcome(call), Some(Outcome::Unknown));
    }
}

// Goal: a query changes nothing, so its deadline never leaves doubt.
#[test]
fn overdue_query_has_not_happened() {
    let mut driver = Driver::in_session();
    let call = driver.call(query());
    driver.pass(DEADLINE);
    assert_eq!(driver.outcome(call), Some(Outcome::NotApplied));
}

// Goal: a full window or disk is reported at once, unless an attempt may be in a log: then only
// asking again can tell.
#[test]
pub(crate) fn busy_is_reported_unless_an_attempt_is_open() {
    let busy = || SubmitError::Busy { limit: 4 };
    for (error, reported) in
        [(busy(), CallError::Busy { limit: 4 }), (SubmitError::StorageFull, CallError::StorageFull)]
    {
        let mut driver = Driver::in_session();
        let call = driver.call(command());
        let (_, attempt, _) = driver.one_sent();
        driver.refuse(attempt, error.clone());
        assert_eq!(reported.outcome(), Outcome::NotApplied);
        assert_eq!(driver.finished.remove(&call), Some(Err(reported)));

        let call = driver.call(command());
        driver.one_sent();
        driver.pass(RETRY_AFTER);
        let (_, second, _) = driver.one_sent();
        driver.refuse(second, error);
        assert!(driver.finished.is_empty());
        driver.pass(PAUSE);
        let (_, third, _) = driver.one_sent();
        driver.reply(third, b"");
        assert_eq!(driver.outcome(call), Some(Outcome::Applied));
    }
}

// Goal: a command whose session expired goes into a new one, if it was certainly not applied in the
// old.
#[test]
fn expired_session_is_replaced() {
    let mut driver = Driver::in_session();
    let call = driver.call(command());
    let (_, attempt, _) = driver.one_sent();
    driver.reject(attempt, Rejection::UnknownSession);
    let (_, open, request) = driver.one_sent();
    assert_eq!(body(&request), Body::Open);
    driver.reply(open, &8_u64.to_le_bytes());
    let (_, attempt, request) = driver.one_sent();
    assert_eq!(identity(&request), (SessionId(8), RequestId(1), RequestId(1)));
    driver.reply(attempt, b"");
    assert_eq!(driver.outcome(call), Some(Outcome::Applied));
}

// Goal: a command of an expired session that may have been applied is not sent under a new
// identity.
#[test]
pub(crate) fn expired_session_leaves_doubt_where_an_attempt_is_open() {
    let mut driver = Driver::in_session();
    let call = driver.call(command());
    let (_, first, _) = driver.one_sent();
    driver.refuse(first, SubmitError::LeadershipLost);
    driver.pass(PAUSE);
    let (_, second, _) = driver.one_sent();
    driver.reject(second, Rejection::UnknownSession);
    let result = driver.finished.remove(&call);
    assert_eq!(result, Some(Err(CallError::SessionExpired)));
    assert_eq!(CallError::SessionExpired.outcome(), Outcome::Unknown);
}

// Goal: what the replicas decided is final, and says what became of the command.
#[test]
fn rejection_ends_the_call() {
    for (rejection, outcome) in [
        (Rejection::Panicked, Outcome::Applied),
        (Rejection::AlreadyAnswered, Outcome::Unknown),
        (Rejection::Malformed, Outcome::NotApplied),
        (Rejection::RequestReused, Outcome::NotApplied),
        (Rejection::KeyReused, Outcome::NotApplied),
    ] {
        let mut driver = Driver::in_session();
        let call = driver.call(command());
        let (_, attempt, _) = driver.one_sent();
        driver.reject(attempt, rejection);
        assert_eq!(driver.outcome(call), Some(outcome), "{rejection:?}");
    }
}

// Goal: what the window refuses is asked again, and its caller not told that it was not applied: an
// earlier attempt may be in a log, or get there.
#[test]
pub(crate) fn refusal_by_the_window_is_retried() {
    let mut driver = Driver::in_session();
    let call = driver.call(command());
    let (_, _, request) = driver.one_sent();
    driver.pass(RETRY_AFTER);
    let (_, second, _) = driver.one_sent();
    driver.reject(second, Rejection::SessionWindow);
    assert!(driver.finished.is_empty());
    driver.pass(PAUSE);
    let (_, third, again) = driver.one_sent();
    assert_eq!(again, request);
    driver.reply(third, b"");
    assert_eq!(driver.outcome(call), Some(Outcome::Applied));
}

// Goal: a query changes nothing, whatever the replica says of it.
#[test]
fn rejected_query_is_not_applied() {
    for rejection in [Rejection::Panicked, Rejection::ReplyTooLarge, Rejection::Malformed] {
        let mut driver = Driver::in_session();
        let call = driver.call(query());
        let (_, attempt, _) = driver.one_sent();
        driver.reject(attempt, rejection);
        assert_eq!(driver.outcome(call), Some(Outcome::NotApplied), "{rejection:?}");
    }
}

// Goal: a session is opened in the end, whatever is said to the attempts at it; its call is none of
// the callers'.
#[test]
fn session_is_asked_for_until_it_opens() {
    let mut driver = Driver::new();
    driver.client.route(Some(id(1)));
    let call = driver.call(command());
    let failures = [
        Failure::Refused(NOT_LEADER),
        Failure::Refused(SubmitError::Busy { limit: 1 }),
        Failure::Refused(SubmitError::StorageFull),
        Failure::Refused(SubmitError::LeadershipLost),
        Failure::Rejected(Rejection::Malformed),
        Failure::Rejected(Rejection::UnknownSession),
    ];
    for failure in failures {
        let (_, attempt, request) = driver.one_sent();
        assert_eq!(body(&request), Body::Open);
        driver.answer(attempt, Err(failure));
        driver.pass(PAUSE);
        assert!(driver.finished.is_empty());
    }
    let (_, attempt, _) = driver.one_sent();
    driver.reply(attempt, &7_u64.to_le_bytes());
    let (_, attempt, _) = driver.one_sent();
    driver.reply(attempt, b"");
    assert_eq!(driver.outcome(call), Some(Outcome::Applied));
}

// Goal: the calls in flight are bounded.
#[test]
fn calls_are_bounded() {
    let mut driver = Driver::new();
    let deadline = driver.now + DEADLINE;
    let limit = SESSION_WINDOW as usize / 2;
    for _ in 0..limit {
        driver.client.call(command(), (), WallTime(0), deadline).expect("there is room");
    }
    let refused = driver.client.call(command(), (), WallTime(0), deadline);
    assert_eq!(refused, Err((CallError::Busy { limit }, ())));
}

// Goal: commands never run beyond the session's window, which would refuse them, however long one
// call stays unanswered: they wait for it.
#[test]
fn commands_wait_for_room_in_the_window() {
    let mut driver = Driver::in_session();
    driver.call(command());
    let (_, stuck, request) = driver.one_sent();
    let (_, oldest, _) = identity(&request);
    for _ in 1..SESSION_WINDOW {
        driver.call(command());
        let (_, attempt, request) = driver.one_sent();
        let (_, number, low) = identity(&request);
        assert!(low == oldest && number.0 - low.0 < SESSION_WINDOW);
        driver.reply(attempt, b"");
    }
    driver.call(command());
    assert!(driver.sent.is_empty());
    driver.reply(stuck, b"");
    let (_, number, low) = identity(&driver.one_sent().2);
    assert_eq!(number, low);
}

// Goal: no caller is told that a command was not applied while an attempt at it may be in a log, or
// get there.
// Method: seeded answers of all kinds to attempts in any order, or none; the test keeps which
// attempts are settled.
#[test]
fn nothing_is_denied_while_an_attempt_is_open() {
    let mut denied = 0;
    for seed in 0..300 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut driver = Driver::new();
        // Attempts that may be in a log, and the call that each request belongs to.
        let mut open: Vec<(Attempt, Request)> = Vec::new();
        let mut calls: BTreeMap<CallId, Bytes> = BTreeMap::new();
        for step in 0..300_u64 {
            match rng.next_u64() % 6 {
                0 => {
                    let command = Bytes::from(step.to_le_bytes().to_vec());
                    let deadline = driver.now + Duration::from_millis(rng.next_u64() % 4_000);
                    let ask = if rng.next_u64().is_multiple_of(2) {
                        Ask::Command(command.clone())
                    } else {
                        Ask::Keyed { key: command.clone(), command: command.clone() }
                    };
                    let call = driver.client.call(ask, (), WallTime(0), deadline).expect("room");
                    calls.insert(call, command);
                }
                1 => driver.client.route(Some(id(1 + rng.next_u64() % 3))),
                2 => driver.pass(Duration::from_millis(rng.next_u64() % 300)),
                _ if !open.is_empty() => {
                    let at = (rng.next_u64() % open.len() as u64) as usize;
                    let (attempt, request) = open.swap_remove(at);
                    let opens = body(&request) == Body::Open;
                    let result = match rng.next_u64() % 8 {
                        0..3 => Ok(Bytes::from(step.to_le_bytes().to_vec())),
                        3 => Err(Failure::Refused(NOT_LEADER)),
                        4 => Err(Failure::Refused(SubmitError::Busy { limit: 1 })),
                        5 if opens => Err(Failure::Refused(SubmitError::StorageFull)),
                        5 => Err(Failure::Rejected(Rejection::UnknownSession)),
                        6 => Err(Failure::Rejected(Rejection::SessionWindow)),
                        _ => Err(Failure::Refused(SubmitError::LeadershipLost)),
                    };
                    let lost = matches!(result, Err(Failure::Refused(SubmitError::LeadershipLost)));
                    driver.answer(attempt, result.map(Bytes::into));
                    if lost {
                        open.push((attempt, request));
                    }
                }
                _ => {}
            }
            driver.flush();
            open.extend(driver.sent.drain(..).map(|(_, attempt, request)| (attempt, request)));
            for (call, result) in std::mem::take(&mut driver.finished) {
                let command = calls.remove(&call).expect("only calls of callers end");
                let Err(error) = result else { continue };
                if error.outcome() == Outcome::NotApplied {
                    denied += 1;
                    let left = open.iter().find(|(_, request)| carries(request, &command));
                    assert_eq!(left, None, "seed {seed}: {error:?}");
                }
            }
        }
    }
    assert!(denied > 1_000, "some calls are denied: {denied}");
}

fn carries(request: &Request, wanted: &Bytes) -> bool {
    match body(request) {
        Body::Open => false,
        Body::InSession { command, .. } | Body::Keyed { command, .. } => command == *wanted,
    }
}
