//! Handlers that break off, and services that are gone in the middle of a request.

use std::{sync::Arc, thread, time::Duration};

use actix_web::{http::StatusCode, rt::System};
use consensus_actors::saga::{Op, http::Once};
use tokio::time::{Instant, timeout};

use crate::hotel::{Hotel, REFUSED, hosted, open, request, room};

const PATIENCE: Duration = Duration::from_secs(60);

// Goal: what a handler answers that is no answer for good is not kept: it runs once more; so it
// does after a panic.
#[actix_web::test]
async fn what_is_no_answer_is_not_kept() {
    for how in ["broken", "panics"] {
        let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
        let app = open(once, &hotel).await;
        let (status, _) = app.book(how, request(Op::Action)).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        // What panicked is given up in the background.
        let asked = async {
            loop {
                let told = app.book(how, request(Op::Action)).await;
                if told.0 != REFUSED {
                    break told;
                }
            }
        };
        assert_eq!(timeout(PATIENCE, asked).await.unwrap(), room(2), "{how}");
        assert_eq!(app.book(how, request(Op::Action)).await, room(2), "{how}");
        assert_eq!(hotel.begun(), 2);
    }
}

// Goal: a step that broke off may have been carried out, so it is undone, though nobody knows what
// it brought.
#[actix_web::test]
async fn what_broke_off_is_undone() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once, &hotel).await;
    let (status, _) = app.book("broken", request(Op::Action)).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(app.cancel().await.0, StatusCode::OK);
    assert_eq!(hotel.cancelled(), [None]);
    assert_eq!(app.book("any", request(Op::Action)).await.0, REFUSED);
}

// Goal: of an answer that is too large nothing is kept but that there was one: the handler runs
// once, and is told so each time, and the step can be undone.
#[actix_web::test]
async fn an_answer_that_is_too_large_is_said_to_be() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once, &hotel).await;
    for _ in 0..2 {
        let (status, text) = app.book("large", request(Op::Action)).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text.contains("64 KiB"), "{text}");
    }
    assert_eq!(hotel.begun(), 1);
    assert_eq!(app.cancel().await.0, StatusCode::OK);
    assert_eq!(hotel.cancelled(), [None]);
}

// Goal: a handler that takes longer than it may is dropped, and runs again when it is asked for.
#[actix_web::test]
async fn a_handler_that_takes_too_long_is_dropped() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once.limit(Duration::from_millis(200)), &hotel).await;
    let (status, _) = app.book("slow", request(Op::Action)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.book("any", request(Op::Action)).await, room(2));
}

/// Has a service take a request and be gone in the middle of it.
async fn die_in_the_middle(once: &Once, hotel: &Arc<Hotel>) {
    let (once, elsewhere) = (once.clone(), Arc::clone(hotel));
    let process = thread::spawn(move || {
        System::new().block_on(async {
            let app = open(once, &elsewhere).await;
            tokio::select! {
                told = app.book("slow", request(Op::Action)) => panic!("{told:?}"),
                reached = elsewhere.reached.acquire() => reached.unwrap().forget(),
            }
        });
    });
    // The node needs this thread meanwhile.
    actix_web::rt::task::spawn_blocking(|| process.join().unwrap()).await.unwrap();
}

// Goal: what a service was about that is gone is taken over when it must have ended, and not
// before; whether the step is asked for again, or its undoing.
#[actix_web::test]
async fn what_a_service_was_about_that_is_gone_is_taken_over() {
    const LIMIT: Duration = Duration::from_millis(500);
    for undone in [false, true] {
        let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
        let once = once.limit(LIMIT);
        die_in_the_middle(&once, &hotel).await;
        let app = open(once, &hotel).await;
        let (begun, mut refused) = (Instant::now(), 0);
        let asked = async {
            loop {
                let told = match undone {
                    false => app.book("any", request(Op::Action)).await,
                    true => app.cancel().await,
                };
                if told.0 != REFUSED {
                    break told;
                }
                refused += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let told = timeout(PATIENCE, asked).await.unwrap();
        assert!(refused > 0 && begun.elapsed() > LIMIT, "{refused} after {:?}", begun.elapsed());
        if undone {
            assert_eq!(told.0, StatusCode::OK);
            assert_eq!((hotel.begun(), hotel.cancelled()), (1, vec![None]));
        } else {
            assert_eq!(told, room(2));
            assert_eq!(app.book("any", request(Op::Action)).await, room(2));
        }
    }
}

// Goal: a caller that waits no longer does not break its request off: the answer is kept. Method:
// the call is dropped while the handler runs, as a server drops one whose connection is closed.
#[actix_web::test]
async fn a_caller_that_is_gone_breaks_nothing_off() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once, &hotel).await;
    tokio::select! {
        told = app.book("slow", request(Op::Action)) => panic!("{told:?}"),
        reached = hotel.reached.acquire() => reached.unwrap().forget(),
    }
    assert_eq!(app.book("any", request(Op::Action)).await.0, REFUSED, "it is under way");
    hotel.gate.add_permits(1);
    let asked = async {
        loop {
            let told = app.book("any", request(Op::Action)).await;
            if told.0 != REFUSED {
                break told;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, asked).await.unwrap(), room(1));
    assert_eq!(hotel.begun(), 1);
}
