//! What operators do about sagas.

use std::{sync::atomic::Ordering, time::Duration};

use consensus_actors::{
    Code,
    saga::{Entry, Order, Record, Saga, SagaId},
};

use crate::order::{PlaceOrder, Shop};

fn locked() -> PlaceOrder {
    PlaceOrder { goods: 1, money: 1, refused: true, keeps_goods: true, ..PlaceOrder::default() }
}

// Goal: a compensation that fails leaves its saga stuck, visibly, while the others of it are done;
// once its cause is gone it is retried, by a call to any node, and the reason is in the log.
#[tokio::test]
async fn what_is_stuck_is_retried() {
    let shop = Shop::open(10, 10).await;
    let run = shop.sagas[0].start(locked()).await.unwrap();
    let Saga::Stuck { step: Some(step), cause, hint } = run.wait().await.unwrap() else {
        panic!("the goods cannot be put back")
    };
    assert_eq!((&*step, &*cause), ("goods", "the door is locked"));
    assert!(hint.contains(&format!("{:032x}", run.id().0)), "{hint}");
    assert_eq!(shop.told().await, ((9, 1, 0), (10, 1, 1)));
    for sagas in &shop.sagas {
        let stuck = sagas.stuck(None).await.unwrap();
        assert_eq!((stuck.len(), stuck[0].id), (1, run.id()));
        assert_eq!(stuck[0].definition, "place-order version 1");
    }

    shop.services[0].healed.store(1, Ordering::SeqCst);
    shop.sagas[2].retry(run.id(), "the door is open").await.unwrap();
    let mut told = run.wait().await.unwrap();
    while matches!(told, Saga::Stuck { .. }) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        told = run.wait().await.unwrap();
    }
    assert!(matches!(told, Saga::Compensated { .. }), "{told:?}");
    assert_eq!(shop.told().await, ((10, 1, 1), (10, 1, 1)));
    assert_eq!(shop.sagas[1].stuck(None).await.unwrap(), []);
}

// Goal: what is stuck is skipped, or given up, with a reason that is kept as long as the saga is.
#[tokio::test]
async fn what_is_stuck_is_skipped_or_given_up() {
    let shop = Shop::open(10, 10).await;
    let (skipped, given_up) = (
        shop.sagas[0].start(locked()).await.unwrap(),
        shop.sagas[1].start(locked()).await.unwrap(),
    );
    for run in [&skipped, &given_up] {
        assert!(matches!(run.wait().await.unwrap(), Saga::Stuck { .. }));
    }
    let why = shop.sagas[0].skip(skipped.id(), "goods", "").await.unwrap_err();
    assert_eq!(why.code(), Code::InvalidArgument);
    let why = shop.sagas[0].skip(skipped.id(), "good", "carried back").await.unwrap_err();
    assert!(why.message().contains("no step \"good\""), "{why}");
    let log = shop.sagas[0].show(skipped.id()).await.unwrap().log;
    assert!(matches!(log[0].record, Record::Begun { .. }));
    let failed = |entry: &Entry| matches!(entry.record, Record::UndoFailed { .. });
    assert!(log.iter().any(failed), "{log:?}");

    shop.sagas[0].skip(skipped.id(), "goods", "carried back").await.unwrap();
    assert!(matches!(skipped.wait().await.unwrap(), Saga::Compensated { .. }));
    shop.sagas[2].abandon(given_up.id(), "not worth it").await.unwrap();
    assert_eq!(given_up.wait().await.unwrap(), Saga::Abandoned);
    let ended = shop.sagas[2].show(given_up.id()).await.unwrap();
    assert_eq!(ended.listed.standing, Some(Saga::Abandoned));
    let abandoned = Record::Ordered { order: Order::Abandon, reason: "not worth it".to_owned() };
    assert_eq!(ended.log.last().map(|last| &last.record), Some(&abandoned));
    let why = shop.sagas[1].abandon(given_up.id(), "again").await.unwrap_err();
    assert!(why.message().contains("has ended"), "{why}");
}

// Goal: a saga is cancelled before its pivot is asked for, and not after; one that nobody knows is
// refused.
#[tokio::test]
async fn a_saga_is_cancelled_before_its_pivot() {
    let shop = Shop::open(10, 10).await;
    let order = PlaceOrder { goods: 1, money: 1, lasts: 500, ..PlaceOrder::default() };
    let run = shop.sagas[0].start(order).await.unwrap();
    while shop.shipped() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let why = shop.sagas[1].cancel(run.id(), "changed their mind").await.unwrap_err();
    assert!(why.message().contains("reached its pivot"), "{why}");
    assert_eq!(why.code(), Code::OrderRefused);
    assert_eq!(run.wait().await.unwrap(), Saga::Completed("1 for 1".to_owned()));

    let slow = PlaceOrder { goods: 1, money: 1, waits: 500, ..PlaceOrder::default() };
    let run = shop.sagas[0].start(slow).await.unwrap();
    while shop.told().await.0 != (8, 2, 0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    shop.sagas[1].cancel(run.id(), "changed their mind").await.unwrap();
    let log = shop.sagas[1].show(run.id()).await.unwrap().log;
    let ordered = Record::Ordered { order: Order::Cancel, reason: "changed their mind".to_owned() };
    assert!(log.iter().any(|entry| entry.record == ordered), "{log:?}");
    let cause = "it was cancelled".to_owned();
    assert_eq!(run.wait().await.unwrap(), Saga::Compensated { failed: None, cause });
    assert_eq!(shop.told().await.0, (9, 2, 1));
    let why = shop.sagas[0].cancel(SagaId(1), "what is it").await.unwrap_err();
    assert_eq!(why.code(), Code::UnknownSaga);
    let why = shop.sagas[0].run::<PlaceOrder>(SagaId(1)).wait().await.unwrap_err();
    assert_eq!(why.code(), Code::UnknownSaga);
}
