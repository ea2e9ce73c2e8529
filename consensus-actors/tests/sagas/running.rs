//! Sagas without faults of nodes.

use consensus_actors::{Code, Protocol, saga::Saga};

use crate::order::{PlaceOrder, Shop};

// Goal: a saga started on any node is carried out once, and its caller gets what its last step
// brought; under both protocols.
#[tokio::test]
async fn a_saga_is_carried_out_once() {
    for protocol in Protocol::ALL {
        let shop = Shop::configured(100, 100, |node| node.protocol(protocol)).await;
        for (place, sagas) in shop.sagas.iter().enumerate() {
            let order = PlaceOrder { goods: 2, money: place as i64, ..PlaceOrder::default() };
            let run = sagas.start(order).await.unwrap();
            let done = Saga::Completed(format!("2 for {place}"));
            assert_eq!(run.wait().await.unwrap(), done);
            let elsewhere = shop.sagas[(place + 1) % 3].run::<PlaceOrder>(run.id());
            assert_eq!(elsewhere.wait().await.unwrap(), done);
        }
        assert_eq!(shop.told().await, ((94, 3, 0), (97, 3, 0)));
    }
}

// Goal: many at once are all carried out, more than go into one write.
#[tokio::test]
async fn many_are_carried_out_at_once() {
    let shop = Shop::open(1_000, 1_000).await;
    let runs = (0..200).map(|n| {
        let sagas = shop.sagas[n % 3].clone();
        tokio::spawn(async move {
            let order = PlaceOrder { goods: 1, money: 2, ..PlaceOrder::default() };
            sagas.start(order).await.unwrap().wait().await.unwrap()
        })
    });
    for run in runs.collect::<Vec<_>>() {
        assert_eq!(run.await.unwrap(), Saga::Completed("1 for 2".to_owned()));
    }
    assert_eq!(shop.told().await, ((800, 200, 0), (600, 200, 0)));
    assert_eq!(shop.sagas[0].list(None).await.unwrap(), []);
}

// Goal: what was done is undone when a step is rejected, and the caller is told which and why:
// whether it stands beside what was done or behind it.
#[tokio::test]
async fn a_rejected_step_has_the_others_undone() {
    let shop = Shop::open(10, 10).await;
    let order = PlaceOrder { goods: 3, money: 11, ..PlaceOrder::default() };
    let told = shop.sagas[0].start(order).await.unwrap().wait().await.unwrap();
    let (failed, cause) = (Some("money".to_owned()), "only 10 left".to_owned());
    assert_eq!(told, Saga::Compensated { failed, cause });
    let order = PlaceOrder { goods: 3, money: 3, refused: true, ..PlaceOrder::default() };
    let told = shop.sagas[1].start(order).await.unwrap().wait().await.unwrap();
    let (failed, cause) = (Some("ship".to_owned()), "no lorry".to_owned());
    assert_eq!(told, Saga::Compensated { failed, cause });
    assert_eq!(shop.told().await, ((10, 2, 2), (10, 1, 1)));
}

// Goal: a step that panics is asked for again: what came of it is unknown, and no refusal.
#[tokio::test]
async fn a_step_that_panics_is_asked_for_again() {
    let shop = Shop::open(10, 10).await;
    let order = PlaceOrder { goods: 1, money: 1, panics: 2, ..PlaceOrder::default() };
    let told = shop.sagas[2].start(order).await.unwrap().wait().await.unwrap();
    assert_eq!(told, Saga::Completed("1 for 1".to_owned()));
    assert_eq!(shop.shipped(), 3);
    assert_eq!(shop.told().await, ((9, 1, 0), (9, 1, 0)));
}

// Goal: a saga that is started under a key is started once, while it is under way and after it has
// ended, on any node; the key is worth nothing with another input.
#[tokio::test]
async fn a_key_starts_one_saga() {
    let shop = Shop::open(10, 10).await;
    let order = PlaceOrder { goods: 1, money: 1, lasts: 50, ..PlaceOrder::default() };
    let mut ids = Vec::new();
    for sagas in shop.sagas.iter().chain(&shop.sagas) {
        let run = sagas.start_once("o-17", order.clone()).await.unwrap();
        ids.push(run.id());
        if ids.len() == 3 {
            assert_eq!(run.wait().await.unwrap(), Saga::Completed("1 for 1".to_owned()));
        }
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(shop.told().await, ((9, 1, 0), (9, 1, 0)));
    let other = PlaceOrder { goods: 2, ..order };
    let refused = shop.sagas[0].start_once("o-17", other).await.unwrap_err();
    assert_eq!(refused.code(), Code::KeyReused);
}
