//! What becomes of a saga whose caller goes away.

use std::time::Duration;

use consensus_actors::saga::Saga;
use tempfile::TempDir;

use crate::{
    handover::nodes,
    order::{PlaceOrder, Shop},
};

fn refused() -> PlaceOrder {
    PlaceOrder { goods: 1, money: 2, lasts: 100, refused: true, ..PlaceOrder::default() }
}

fn undone() -> Saga<String> {
    Saga::Compensated { failed: Some("ship".to_owned()), cause: "no lorry".to_owned() }
}

// Goal: compensations run though nobody waits for the saga: neither who dropped what it got from the
// start, nor who was aborted while it waited.
#[tokio::test]
async fn s27_saga_is_undone_without_its_caller() {
    let shop = Shop::open(10, 10).await;
    let dropped = shop.sagas[1].start(refused()).await.unwrap().id();
    let (sagas, (tell, told)) = (shop.sagas[2].clone(), tokio::sync::oneshot::channel());
    let caller = tokio::spawn(async move {
        let run = sagas.start(refused()).await.unwrap();
        tell.send(run.id()).unwrap();
        run.wait().await.unwrap()
    });
    let aborted = told.await.unwrap();
    while shop.shipped() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(shop.told().await, ((8, 2, 0), (6, 2, 0)), "both are in the middle");
    for id in [dropped, aborted] {
        assert_eq!(shop.sagas[0].run::<PlaceOrder>(id).wait().await.unwrap(), undone());
    }
    assert_eq!(shop.told().await, ((10, 2, 2), (10, 2, 2)));
}

// Goal: compensations run though the node on which the saga was started is gone, whether it carried
// it out or another did.
// Method: three nodes with disks and sockets; the one that started it stops while it ships.
#[test]
fn s27_saga_is_undone_without_its_node() {
    for in_charge in [2, 3] {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let data = TempDir::new().unwrap();
        let nodes = nodes(&data);
        let (shop, id) = runtime.block_on(async {
            let shop = Shop::on(&nodes, 10, 10).await;
            shop.sagas[0].transfer(Some(in_charge)).deadline("20s").await.unwrap();
            let id = shop.sagas[2].start(refused()).await.unwrap().id();
            while shop.shipped() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            (shop, id)
        });
        nodes[2].stop();
        runtime.block_on(async {
            assert_eq!(shop.sagas[0].run::<PlaceOrder>(id).wait().await.unwrap(), undone());
            let goods = shop.services[0].goods.told().await.unwrap();
            let money = shop.services[0].money.told().await.unwrap();
            assert_eq!((goods, money), ((10, 1, 1), (10, 1, 1)));
        });
        nodes[..2].iter().for_each(|node| node.stop());
    }
}
