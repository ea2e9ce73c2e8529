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

// Goal: where the replica beside a client has no state, its queries go to the leader, and are sent
// again there as any call is; and nobody else is asked.
#[test]
fn queries_of_a_witness_go_to_the_leader() {
    let mut driver = Driver::at_home(3);
    let call = driver.call(query());
    let (_, first, request) = driver.one_sent();
    driver.refuse(first, SubmitError::NoState { leader: None });
    driver.pass(PAUSE);
    assert!(driver.sent.is_empty(), "there is no leader yet");
    driver.client.reach(Some(id(2)));
    driver.flush();
    assert!(driver.sent.is_empty(), "it may be another witness");
    driver.client.route(Some(id(1)));
    driver.flush();
    let (to, second, same) = driver.one_sent();
    assert_eq!((to, &same), (id(1), &request));
    driver.pass(RETRY_AFTER * 2);
    let (to, third, _) = driver.one_sent();
    assert_eq!(to, id(1), "what goes elsewhere may be lost");
    assert!(driver.client.awaits(second));
    driver.reply(third, b"7");
    assert_eq!(driver.finished.remove(&call), Some(Ok(Bytes::from_static(b"7").into())));
}

// Goal: while no leader is reached, a client without a replica beside it asks the one that is: for
// queries only, at their level, and again when it reaches another. The leader goes before it.
#[test]
fn queries_go_to_whoever_is_reached() {
    let mut driver = Driver::new();
    let stale = asked(ReadLevel::Stale { max_lag: PAUSE });
    driver.call(command());
    driver.call(stale.clone());
    assert!(driver.sent.is_empty(), "nobody is reached");
    driver.client.reach(Some(id(2)));
    driver.flush();
    let (to, first, request) = driver.one_sent();
    assert_eq!((to, driver.level(&request)), (id(2), Some(ReadLevel::Stale { max_lag: PAUSE })));
    driver.refuse(first, SubmitError::TooStale { age: None });
    driver.pass(PAUSE);
    assert_eq!(driver.one_sent().0, id(2));

    driver.client.reach(None);
    driver.pass(RETRY_AFTER * 2);
    assert!(driver.sent.is_empty());
    driver.client.reach(Some(id(3)));
    driver.flush();
    assert_eq!(driver.one_sent().0, id(3));
    driver.client.route(Some(id(1)));
    driver.flush();
    let told: Vec<_> = driver.sent.drain(..).map(|(to, ..)| to).collect();
    assert_eq!(told, [id(1), id(1)], "the query, and a session for the command");
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
