//! Sagas whose steps are in a PostgreSQL database.

use std::time::Duration;

use consensus_actors::{
    MemoryCluster,
    prelude::*,
    saga::{Outcome, Saga, SagaCx, Sagas, Undo, postgres::Abort},
};
use tokio_postgres::Transaction;

use crate::place::Place;

/// An order: goods are taken from the stock, and then shipped, each a statement of SQL.
#[derive(Clone, Serialize, Deserialize)]
struct Order {
    goods: i64,
    refused: bool,
}

#[saga(version = 1)]
impl Order {
    #[step(undo = put_back, retry(max = 20, backoff = "5ms..50ms"))]
    async fn take(&self, cx: &SagaCx) -> Outcome<i64> {
        let place = cx.get::<Place>();
        let goods = self.goods;
        let take = async |transaction: &mut Transaction<'_>| {
            let take = "UPDATE stock SET count = count - $1 WHERE count >= $1";
            if transaction.execute(take, &[&goods]).await? == 0 {
                return Err(Abort::rejected("not enough in stock"));
            }
            Ok(goods)
        };
        let mut client = place.client().await;
        let taken = place.barrier.act(&mut client, cx.request(), take).await;
        // The reply to every first attempt is lost.
        if cx.attempt() == 1 { Outcome::Unknown } else { taken.into() }
    }

    async fn put_back(&self, cx: &SagaCx) -> Undo {
        let place = cx.get::<Place>();
        let back = async |transaction: &mut Transaction<'_>, goods: i64| {
            let back = "UPDATE stock SET count = count + $1, returned = returned + 1";
            transaction.execute(back, &[&goods]).await?;
            Ok(())
        };
        let mut client = place.client().await;
        let undone = place.barrier.undo(&mut client, cx.request(), back).await;
        if cx.attempt() == 1 { Undo::Unknown } else { undone.into() }
    }

    #[step(pivot, after(take), retry(max = 20, backoff = "5ms..50ms"))]
    async fn ship(&self, cx: &SagaCx) -> Outcome<String> {
        let place = cx.get::<Place>();
        let refused = self.refused;
        place
            .barrier
            .act(&mut place.client().await, cx.request(), async |transaction| {
                transaction.execute("UPDATE stock SET shipped = shipped + 1", &[]).await?;
                if refused { Err(Abort::rejected("no lorry")) } else { Ok("shipped".to_owned()) }
            })
            .await
            .into()
    }
}

async fn sagas(cluster: &MemoryCluster, place: &Place) -> Vec<Sagas> {
    let mut all = Vec::new();
    for node in cluster.nodes() {
        let hosting = node.sagas("orders").with(place.clone()).register::<Order>();
        all.push(hosting.await.unwrap());
    }
    all
}

// Goal: sagas of which every first reply is lost are carried out, or undone, as if it were not: the
// sums in the database are right.
#[tokio::test]
async fn sagas_end_whole_in_a_database() {
    let Some(place) = Place::open().await else { return };
    let client = place.client().await;
    client
        .batch_execute(
            "CREATE TABLE stock (count bigint, shipped bigint, returned bigint); \
             INSERT INTO stock VALUES (15, 0, 0)",
        )
        .await
        .unwrap();
    let cluster = MemoryCluster::configured(3, |node| {
        node.election_timeout(Duration::from_millis(300)).heartbeat(Duration::from_millis(60))
    });
    let cluster = cluster.unwrap();
    let sagas = sagas(&cluster, &place).await;
    for n in 0..9 {
        let order = Order { goods: 2, refused: n % 3 == 2 };
        let told = sagas[n % 3].start(order).await.unwrap().wait().await.unwrap();
        match n {
            2 | 5 | 8 => {
                let (failed, cause) = (Some("ship".to_owned()), "no lorry".to_owned());
                assert_eq!(told, Saga::Compensated { failed, cause });
            }
            _ => assert_eq!(told, Saga::Completed("shipped".to_owned())),
        }
    }
    let order = Order { goods: 4, refused: false };
    let told = sagas[0].start(order).await.unwrap().wait().await.unwrap();
    let (failed, cause) = (Some("take".to_owned()), "not enough in stock".to_owned());
    assert_eq!(told, Saga::Compensated { failed, cause });
    let row = client.query_one("SELECT count, shipped, returned FROM stock", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (3_i64, 6_i64, 3_i64));
}
