//! Requests that come more than once, at once, or in another order.

use std::sync::Arc;

use actix_web::http::StatusCode;
use consensus_actors::saga::{Age, EffectKey, Epoch, Op, Place, Request, SagaId};

use crate::hotel::{Hotel, REFUSED, headers, hosted, open, open_if, request, room};

// Goal: what is repeated is answered as it was first, status and body, and the handler runs once;
// the handler of its undoing runs once, too, and gets what the step brought.
#[actix_web::test]
async fn a_repeated_request_is_answered_as_it_was_first() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once.clone(), &hotel).await;
    for _ in 0..3 {
        assert_eq!(app.book("any", request(Op::Action)).await, room(1));
    }
    for _ in 0..3 {
        assert_eq!(app.cancel().await, (StatusCode::OK, "null".to_owned()));
    }
    assert_eq!(hotel.begun(), 1);
    assert_eq!(hotel.cancelled(), [Some("room 1".to_owned())]);
    assert_eq!(app.book("any", request(Op::Action)).await.0, REFUSED, "it is undone");
    assert_eq!(once.len().await.unwrap(), 1);
    let age = Age { place: Place(8), oldest: Place(8) };
    let later = Request { age, ..request(Op::Action) };
    assert_eq!(app.book("any", later).await, room(2));
    assert_eq!(once.len().await.unwrap(), 1, "what has ended is forgotten");
    assert_eq!(app.book("any", request(Op::Action)).await.0, REFUSED, "it is forgotten");
}

// Goal: the tests above can fail: without the middleware the handler runs as often as it is asked.
#[actix_web::test]
async fn without_it_a_handler_runs_twice() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open_if(false, once, &hotel).await;
    assert_eq!(app.book("any", request(Op::Action)).await, room(1));
    assert_eq!(app.book("any", request(Op::Action)).await, room(2));
}

// Goal: while a handler runs, others for the same are refused, and so is its undoing; then they are
// answered as it was.
#[actix_web::test]
async fn of_many_at_once_one_is_carried_out() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once, &hotel).await;
    let others = async {
        hotel.reached.acquire().await.unwrap().forget();
        for _ in 0..3 {
            assert_eq!(app.book("slow", request(Op::Action)).await.0, REFUSED);
            assert_eq!(app.cancel().await.0, REFUSED, "nobody knows what there is to undo");
        }
        hotel.gate.add_permits(1);
    };
    let (first, ()) = tokio::join!(app.book("slow", request(Op::Action)), others);
    assert_eq!(first, room(1));
    assert_eq!(app.book("slow", request(Op::Action)).await, room(1));
    assert_eq!(app.cancel().await.0, StatusCode::OK);
    assert_eq!((hotel.begun(), hotel.cancelled().len()), (1, 1));
}

// Goal: a compensation that comes first runs no handler, and keeps the step away for good.
#[actix_web::test]
async fn an_undoing_that_comes_first_undoes_nothing() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once, &hotel).await;
    for _ in 0..2 {
        assert_eq!(app.cancel().await, (StatusCode::OK, "null".to_owned()));
        assert_eq!(app.book("any", request(Op::Action)).await.0, REFUSED);
    }
    assert_eq!((hotel.begun(), hotel.cancelled().len()), (0, 0));
}

// Goal: a refusal for good is kept, and there is nothing to undo; a 409 that does not say so is
// none.
#[actix_web::test]
async fn a_refusal_is_kept() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once, &hotel).await;
    for how in ["rejected", "any"] {
        let told = app.book(how, request(Op::Action)).await;
        assert_eq!(told, (StatusCode::CONFLICT, "{\"rejected\":\"no room\"}".to_owned()));
    }
    assert_eq!(app.cancel().await, (StatusCode::OK, "null".to_owned()));
    assert_eq!((hotel.begun(), hotel.cancelled().len()), (1, 0));
    let age = Age { place: Place(8), oldest: Place(7) };
    let other = Request { age, ..request(Op::Action) };
    let told = app.book("in-use", other).await;
    assert_eq!(told, (StatusCode::CONFLICT, "in use".to_owned()));
    assert_eq!(app.book("any", other).await, room(3));
}

// Goal: an executor that was replaced has no say once the next was heard of.
#[actix_web::test]
async fn an_executor_that_was_replaced_is_refused() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once, &hotel).await;
    let next = Request { epoch: Epoch(4), ..request(Op::Action) };
    assert_eq!(app.book("any", next).await, room(1));
    let mut former = request(Op::Action);
    former.key = EffectKey { saga: SagaId(8), ..former.key };
    for of in [request(Op::Action), former] {
        assert_eq!(app.book("any", of).await.0, REFUSED);
    }
    assert_eq!(app.cancel().await.0, REFUSED);
    assert_eq!((hotel.begun(), hotel.cancelled().len()), (1, 0));
}

// Goal: requests that come from no saga are left alone, or refused where that was asked for; those
// that come from one and say so badly are refused and told why.
#[actix_web::test]
async fn requests_of_others_are_left_alone() {
    let ((_cluster, once), hotel) = (hosted().await, Arc::new(Hotel::default()));
    let app = open(once.clone(), &hotel).await;
    let others = [("idempotency-key", "order-17".to_owned())];
    for n in 1..3 {
        assert_eq!(app.ask("/book/any", &others).await, room(n));
    }
    let mut odd = headers(request(Op::Action));
    odd[2].1 = "soon".to_owned();
    let strict = open(once.only_sagas(), &hotel).await;
    for (status, text) in [app.ask("/book/any", &odd).await, strict.ask("/book/any", &[]).await] {
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text.contains("header"), "{text}");
    }
    assert_eq!(hotel.begun(), 2);
    let (status, text) = app.ask("/cancel", &[]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "there is nothing to undo: {text}");
}
