//! The numbers of a client's attempts.

use consensus_core::{
    Outcome,
    replica::{RequestId, SessionId},
};

use crate::{
    client::{command, identity},
    driver::Driver,
    node::id,
};

// Goal: however often the leader changes, an attempt is told from those of other calls; a session
// that could not be opened by so many attempts is opened by another call.
#[test]
fn attempts_of_a_call_are_bounded() {
    let mut driver = Driver::new();
    let call = driver.call(command());
    let mut last = None;
    for term in 0..5_000 {
        driver.client.route(Some(id(1 + term % 2)));
        driver.flush();
        // One more is not sent, and then another call is.
        let Some((_, attempt, _)) = driver.sent.pop() else { continue };
        assert!(last.is_none_or(|last| attempt > last), "{attempt:?} after {last:?}");
        last = Some(attempt);
    }
    driver.reply(last.expect("it was sent"), &9_u64.to_le_bytes());
    let (_, attempt, request) = driver.one_sent();
    assert_eq!(identity(&request), (SessionId(9), RequestId(1), RequestId(1)));
    for term in 0..5_000 {
        driver.client.route(Some(id(1 + term % 2)));
        driver.flush();
    }
    assert_eq!(driver.sent.len(), 4_095, "the others were sent before");
    driver.reply(attempt, b"r");
    assert_eq!(driver.outcome(call), Some(Outcome::Applied));
}
