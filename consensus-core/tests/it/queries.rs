//! What a client makes of queries, and of the index that a reply comes with.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::{
    Index, ReadLevel, SubmitError,
    client::{Answered, CallError},
};

use crate::{
    client::{NOT_LEADER, asked, command, query},
    driver::{DEADLINE, Driver, PAUSE, RETRY_AFTER},
    node::id,
};

// Goal: with a replica beside it, a client asks that for every query, whichever leads; it repeats
// one only when it was refused, for what is asked beside it cannot be lost.
#[test]
fn queries_are_asked_at_home() {
    let mut driver = Driver::at_home(3);
    driver.call(query());
    let (to, first, _) = driver.one_sent();
    assert_eq!(to, id(3), "there need be no leader");
    driver.client.route(Some(id(1)));
    driver.pass(RETRY_AFTER * 4);
    assert!(driver.sent.is_empty());
    assert!(driver.client.awaits(first));

    driver.refuse(first, NOT_LEADER);
    assert!(driver.sent.is_empty() && !driver.client.awaits(first));
    driver.pass(PAUSE);
    let (to, second, _) = driver.one_sent();
    assert_eq!(to, id(3));
    // A call that waits for its pause goes at once when there is a leader.
    driver.refuse(second, NOT_LEADER);
    driver.client.route(Some(id(2)));
    driver.flush();
    assert_eq!(driver.one_sent().0, id(3));
    driver.call(command());
    assert_eq!(driver.one_sent().0, id(2), "the log is the leader's");
}

// Goal: at its deadline a query is told what its level lacked: how old the state may be by then, or
// what the replica has not applied.
#[test]
fn deadline_tells_what_a_level_lacked() {
    let mut driver = Driver::at_home(3);
    driver.pass(PAUSE);
    let max_lag = Duration::from_millis(10);
    let stale = driver.call(asked(ReadLevel::Stale { max_lag }));
    let unheard = driver.call(asked(ReadLevel::Stale { max_lag }));
    let index = Index(9);
    let after = driver.call(asked(ReadLevel::After { index }));
    let (_, attempt, _) = driver.sent.remove(0);
    driver.refuse(attempt, SubmitError::TooStale { age: Some(PAUSE) });
    driver.pass(DEADLINE);
    let age = Some(PAUSE + DEADLINE);
    let told = |call| driver.finished.get(&call).cloned();
    assert_eq!(told(stale), Some(Err(CallError::TooStale { max_lag, age })));
    assert_eq!(told(unheard), Some(Err(CallError::TooStale { max_lag, age: None })));
    assert_eq!(told(after), Some(Err(CallError::Behind { index })));
}

// Goal: a caller learns the index that its token names, whatever attempt it was that was answered.
#[test]
fn reply_comes_with_its_index() {
    let mut driver = Driver::in_session();
    let call = driver.call(command());
    let (_, attempt, _) = driver.one_sent();
    let answered = Answered { reply: Bytes::from_static(b"7"), index: Some(Index(12)) };
    driver.answer(attempt, Ok(answered.clone()));
    assert_eq!(driver.finished.remove(&call), Some(Ok(answered)));
}
