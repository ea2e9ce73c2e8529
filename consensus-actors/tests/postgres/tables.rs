//! The tables themselves.

use consensus_actors::saga::{
    Op,
    postgres::{Barrier, Error},
};

use crate::{
    place::{Place, done, request, traced},
    server::Server,
};

// Goal: without tables a step is unknown, and whoever looks is told what to do.
#[tokio::test]
async fn missing_tables_are_told() {
    let Some(server) = Server::shared() else { return };
    let place = Place::bare(server).await;
    let mut client = place.client().await;
    let told = place.act(&mut client, request(Op::Action)).await.unwrap_err();
    assert!(matches!(told, Error::NoTables(_)), "{told:?}");
    assert!(told.to_string().contains("call Barrier::create"), "{told}");
}

// Goal: services that start at once create the tables once, and one that starts later keeps what is
// in them; in a schema of their own, whatever it is called and wherever sessions look.
#[tokio::test]
async fn many_services_create_the_tables_at_once() {
    let Some(server) = Server::shared() else { return };
    let place = Place::bare(server).await;
    let name = format!("Say \"sagas\"; {:p}", &raw const place);
    let barrier = Barrier::in_schema(&name);
    let creating = (0..8).map(|_| {
        let (place, barrier) = (place.clone(), barrier.clone());
        tokio::spawn(async move { barrier.create(&place.client().await).await })
    });
    for created in creating.collect::<Vec<_>>() {
        created.await.unwrap().unwrap();
    }
    let mut client = place.client().await;
    client.batch_execute("CREATE TABLE trace (what text NOT NULL)").await.unwrap();
    for _ in 0..2 {
        let act = barrier
            .act(&mut client, request(Op::Action), async |transaction| traced(transaction).await);
        assert_eq!(act.await.unwrap(), done());
        barrier.create(&client).await.unwrap();
    }
    assert_eq!(place.traces("done").await, 1);
    let dropped = format!("DROP SCHEMA \"{}\" CASCADE", name.replace('"', "\"\""));
    client.batch_execute(&dropped).await.unwrap();
}

// Goal: an epoch that no coordinator can have reached is an error that says so.
#[tokio::test]
async fn an_epoch_beyond_the_tables_is_told() {
    let Some(place) = Place::open().await else { return };
    let of = crate::place::by(request(Op::Action), u64::MAX);
    let told = place.act(&mut place.client().await, of).await.unwrap_err();
    assert!(matches!(told, Error::Odd(_)), "{told:?}");
}
