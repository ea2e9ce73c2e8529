//! Executors that were replaced.

use std::time::Duration;

use consensus_actors::saga::{
    CoordinatorId, Guarded, Op, Request,
    postgres::{Abort, Error},
};
use tokio::sync::oneshot;
use tokio_postgres::Transaction;

use crate::place::{Place, by, done, of_saga, request, traced};

// Goal: an executor that was replaced has no say, whatever it asks for, once the database has heard
// of the next; another coordinator's executors have.
#[tokio::test]
async fn an_executor_that_was_replaced_is_refused() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    let of = request(Op::Action);
    assert_eq!(place.act(&mut client, by(of, 4)).await.unwrap(), done());
    assert_eq!(place.act(&mut client, by(of, 3)).await.unwrap(), Guarded::Refused);
    let stale = by(of_saga(of, 8), 3);
    assert_eq!(place.act(&mut client, stale).await.unwrap(), Guarded::Refused);
    let undo = by(request(Op::Undo), 3);
    assert_eq!(place.undo(&mut client, undo).await.unwrap(), Guarded::Refused);
    let other = Request { coordinator: CoordinatorId(2), ..stale };
    assert_eq!(place.act(&mut client, other).await.unwrap(), done());
    assert_eq!((place.traces("done").await, place.traces("undone seventeen").await), (2, 0));
}

// Goal: the next executor is heard of even if what it asks for does not work out.
#[tokio::test]
async fn the_next_executor_is_heard_of_whatever_becomes_of_its_request() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    let of = request(Op::Action);
    let fails = async |_: &mut Transaction<'_>| Err::<String, _>(Abort::failed("no rate"));
    place.barrier.act(&mut client, by(of, 2), fails).await.unwrap_err();
    assert_eq!(place.act(&mut client, of).await.unwrap(), Guarded::Refused);
    assert_eq!(place.traces("done").await, 0);
}

// Goal: what an executor has begun is committed before the next one is heard of, or not at all.
// Method: the next asks while the former is in the middle of an effect, of another saga.
#[tokio::test]
async fn an_executor_commits_before_the_next_is_heard_of() {
    let Some(place) = Place::open().await else { return };
    let (mut former, mut next) = (place.client().await, place.client().await);
    let hasty = place.barrier.clone().patience(Duration::from_millis(50));
    let other = by(of_saga(request(Op::Action), 8), 2);
    let act = place.barrier.act(&mut former, request(Op::Action), async |transaction| {
        let early = hasty.act(&mut next, other, async |other| traced(other).await).await;
        assert!(matches!(early, Err(Error::Busy(_))), "{early:?}");
        traced(transaction).await
    });
    assert_eq!(act.await.unwrap(), done());
    assert_eq!(place.act(&mut next, other).await.unwrap(), done());
    let late = place.act(&mut former, of_saga(request(Op::Action), 9)).await.unwrap();
    assert_eq!(late, Guarded::Refused);
    assert_eq!(place.traces("done").await, 2);
}

// Goal: a program that stands still in the middle of an effect keeps the next executor waiting for
// so long and no longer, and what it had done by then is undone. Method: the effect of the former
// never ends.
#[tokio::test]
async fn an_executor_that_stands_still_keeps_nobody() {
    let Some(place) = Place::open().await else { return };
    let (mut former, mut next) = (place.client().await, place.client().await);
    let brief = place.barrier.clone().idle(Duration::from_millis(300));
    let (reached, reaches) = oneshot::channel();
    let stands_still = brief.act(&mut former, request(Op::Action), async |transaction| {
        traced(transaction).await?;
        reached.send(()).unwrap();
        std::future::pending::<Result<String, Abort>>().await
    });
    let goes_on = async {
        reaches.await.unwrap();
        place.act(&mut next, by(request(Op::Action), 2)).await
    };
    tokio::select! {
        _ = stands_still => panic!("it stands still"),
        told = goes_on => assert_eq!(told.unwrap(), done()),
    }
    assert_eq!(place.traces("done").await, 1);
    place.act(&mut former, request(Op::Action)).await.expect_err("its session has ended");
}
