//! Another node goes on with sagas.

use std::{net::TcpListener, time::Duration};

use consensus_actors::{Node, saga::Saga};
use tempfile::TempDir;

use crate::order::{PlaceOrder, Rare, Shop, hasty};

// Goal: sagas go on while they are handed from node to node, again and again, in the middle of
// their steps; all end whole, and each effect comes about once.
// Method: orders of which every third is refused at the end, and a transfer every few milliseconds.
#[tokio::test]
async fn sagas_are_handed_over_in_the_middle() {
    let shop = Shop::open(1_000, 1_000).await;
    let orders = (0..60).map(|n| {
        let sagas = shop.sagas[n % 3].clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20 * n as u64)).await;
            let refused = n % 3 == 0;
            let order =
                PlaceOrder { goods: 1, money: 2, lasts: 40, refused, ..PlaceOrder::default() };
            (refused, sagas.start(order).await.unwrap().wait().await.unwrap())
        })
    });
    let orders: Vec<_> = orders.collect();
    for round in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // One that is under way already is as good.
        shop.sagas[0].transfer(Some(round % 3 + 1)).await.ok();
    }
    for order in orders {
        let (refused, told) = order.await.unwrap();
        let (failed, cause) = (Some("ship".to_owned()), "no lorry".to_owned());
        let undone = Saga::Compensated { failed, cause };
        assert_eq!(told, if refused { undone } else { Saga::Completed("1 for 2".to_owned()) });
    }
    assert_eq!(shop.told().await, ((960, 60, 20), (920, 60, 20)));
    assert!(shop.shipped() >= 60);
}

// Goal: a saga that the node in charge does not know is stuck, and stops no other; a node that
// knows it goes on with it.
#[tokio::test]
async fn a_saga_that_is_unknown_stops_no_other() {
    let shop = Shop::open(10, 10).await;
    shop.sagas[0].transfer(Some(2)).await.unwrap();
    let rare = shop.sagas[0].start(Rare).await.unwrap();
    let Saga::Stuck { step: None, cause, .. } = rare.wait().await.unwrap() else {
        panic!("node 2 does not know it")
    };
    assert!(cause.contains("is registered on the node in charge"), "{cause}");
    let order = PlaceOrder { goods: 1, money: 1, ..PlaceOrder::default() };
    let told = shop.sagas[2].start(order).await.unwrap().wait().await.unwrap();
    assert_eq!(told, Saga::Completed("1 for 1".to_owned()));
    let stuck = shop.sagas[2].stuck(None).await.unwrap();
    assert_eq!(stuck.iter().map(|it| it.id).collect::<Vec<_>>(), [rare.id()]);

    shop.sagas[0].transfer(Some(1)).await.unwrap();
    let mut told = rare.wait().await.unwrap();
    while matches!(told, Saga::Stuck { .. }) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        told = rare.wait().await.unwrap();
    }
    assert_eq!(told, Saga::Completed(()));
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

pub(crate) fn nodes(data: &TempDir) -> Vec<Node> {
    let addresses: Vec<String> = (0..3).map(|_| free_address()).collect();
    let start = |id: u64| {
        let builder = addresses.iter().zip(1..).fold(Node::builder(), |b, (at, id)| b.peer(id, at));
        let builder = builder.id(id).cluster("shop").data(data.path().join(id.to_string()));
        hasty(builder).start().unwrap()
    };
    (1..=3).map(start).collect()
}

// Goal: when the node that carries sagas out is stopped in the middle of their steps, another ends
// them, and each effect comes about once.
// Method: three nodes with disks and sockets; the one in charge is stopped while all ship.
#[test]
fn another_goes_on_when_a_node_stops() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let data = TempDir::new().unwrap();
    let nodes = nodes(&data);
    let (shop, runs) = runtime.block_on(async {
        let shop = Shop::on(&nodes, 100, 100).await;
        shop.sagas[0].transfer(Some(1)).deadline("20s").await.unwrap();
        let mut runs = Vec::new();
        for n in 0..12 {
            let refused = n % 3 == 0;
            let order =
                PlaceOrder { goods: 1, money: 2, lasts: 200, refused, ..PlaceOrder::default() };
            runs.push((refused, shop.sagas[n % 3].start(order).await.unwrap().id()));
        }
        while shop.shipped() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (shop, runs)
    });
    nodes[0].stop();
    runtime.block_on(async {
        for (refused, id) in runs {
            let told = shop.sagas[1].run::<PlaceOrder>(id).wait().await.unwrap();
            let (failed, cause) = (Some("ship".to_owned()), "no lorry".to_owned());
            let undone = Saga::Compensated { failed, cause };
            assert_eq!(told, if refused { undone } else { Saga::Completed("1 for 2".to_owned()) });
        }
        assert_eq!(shop.told().await, ((92, 12, 4), (84, 12, 4)));
    });
    assert!(shop.shipped() > 12, "some were asked for by both");
    nodes.iter().skip(1).for_each(Node::stop);
}
