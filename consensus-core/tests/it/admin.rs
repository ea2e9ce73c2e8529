//! What a client makes of operators' requests.

use bytes::Bytes;
use consensus_core::{
    SubmitError, TransferError,
    client::{Admin, Answered, Ask, CallError, Request},
};

use crate::{
    driver::{Driver, PAUSE},
    node::id,
};

fn hand_over(to: Option<u64>) -> Ask {
    Ask::Admin(Admin::Transfer { to: to.map(id) })
}

fn led_by(leader: u64) -> Result<Answered, CallError> {
    Ok(Admin::reply(Some(id(leader))).into())
}

// Goal: an operator's request needs no session, is asked again until it has an answer, and ends
// with it.
#[test]
fn request_is_asked_again_until_it_is_answered() {
    let mut driver = Driver::new();
    driver.client.route(Some(id(1)));
    let call = driver.call(hand_over(Some(2)));
    let (to, attempt, request) = driver.one_sent();
    assert_eq!((to, &request), (id(1), &Request::Admin(Admin::Transfer { to: Some(id(2)) })));

    driver.refuse(attempt, SubmitError::LeadershipLost);
    assert!(driver.sent.is_empty());
    driver.pass(PAUSE);
    let (to, attempt, again) = driver.one_sent();
    assert_eq!((to, &again), (id(1), &request));
    driver.reply(attempt, &Admin::reply(Some(id(2))));
    assert_eq!(driver.finished.remove(&call), Some(led_by(2)));
}

// Goal: what a leader will not do, and would not if it were asked again, ends the request.
#[test]
fn refused_request_ends() {
    let mut driver = Driver::new();
    driver.client.route(Some(id(1)));
    for error in [
        TransferError::NotAVoter { to: id(9) },
        TransferError::NoFollower,
        TransferError::UnderWay { to: id(3) },
        TransferError::Aborted { to: id(2) },
    ] {
        let call = driver.call(hand_over(Some(9)));
        let (_, attempt, _) = driver.one_sent();
        driver.refuse(attempt, error.into());
        assert_eq!(driver.finished.remove(&call), Some(Err(CallError::Refused(error.into()))));
    }
}

// Goal: to hand over to nobody in particular moves the lead once: who leads after the one that was
// asked is not asked to hand over too, whose answer was lost.
#[test]
fn lead_moves_once_although_the_answer_is_lost() {
    let mut driver = Driver::new();
    driver.client.route(Some(id(1)));
    let (moved, kept) = (driver.call(hand_over(None)), driver.call(hand_over(Some(2))));
    assert_eq!(driver.sent.len(), 2);
    driver.sent.clear();

    driver.client.route(Some(id(3)));
    driver.flush();
    let (to, ..) = driver.one_sent();
    assert_eq!(to, id(3), "the other leads not yet where it was asked to");
    assert_eq!(driver.finished.remove(&moved), Some(led_by(3)));
    assert_eq!(driver.finished.remove(&kept), None);
}

// Goal: a command that a leader does not take since it hands over is sent to the next as soon as
// that is known.
#[test]
fn command_follows_the_lead() {
    let mut driver = Driver::in_session();
    driver.call(Ask::Command(Bytes::from_static(b"command")));
    let (_, attempt, request) = driver.one_sent();
    driver.refuse(attempt, SubmitError::Transferring { to: id(2) });
    assert!(driver.sent.is_empty(), "there is nobody to ask yet");
    driver.client.route(Some(id(2)));
    driver.flush();
    let (to, _, again) = driver.one_sent();
    assert_eq!((to, again), (id(2), request));
}
