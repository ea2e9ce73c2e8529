//! What dies in the middle of an effect, and what is asked for again then.

use std::sync::Arc;

use consensus_actors::saga::{
    Guarded, Op, Outcome,
    postgres::{Abort, Error},
};
use tokio::sync::oneshot;
use tokio_postgres::{Client, Transaction};

use crate::{
    place::{Place, done, of_saga, request, traced},
    server::Server,
};

/// Asserts that nothing has come about, and that the step can be carried out yet.
async fn assert_may_be_tried_again(place: &Place, client: &mut Client) {
    assert_eq!(place.traces("done").await, 0);
    assert_eq!(place.act(client, request(Op::Action)).await.unwrap(), done());
    assert_eq!(place.act(client, request(Op::Action)).await.unwrap(), done());
    assert_eq!(place.traces("done").await, 1);
}

// Goal: an effect that breaks off changes nothing and is no refusal, whether the database or the
// program broke it off, or the program did not look at what the database said.
#[tokio::test]
async fn an_effect_that_breaks_off_is_tried_again() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    let of_database = async |transaction: &mut Transaction<'_>| {
        traced(transaction).await?;
        transaction.execute("INSERT INTO trace VALUES (NULL)", &[]).await?;
        Ok("seventeen".to_owned())
    };
    let told = place.barrier.act(&mut client, request(Op::Action), of_database).await;
    let text = told.as_ref().unwrap_err().to_string();
    assert!(text.contains("null value"), "it says what the database says: {text}");
    assert_eq!(Outcome::<String>::from(told), Outcome::Unknown);
    let of_program = async |transaction: &mut Transaction<'_>| {
        traced(transaction).await?;
        Err::<String, _>(Abort::failed("no rate"))
    };
    let told = place.barrier.act(&mut client, request(Op::Action), of_program).await;
    assert!(matches!(told, Err(Error::Effect(_))), "{told:?}");
    let careless = async |transaction: &mut Transaction<'_>| {
        let told = traced(transaction).await;
        let _ = transaction.execute("INSERT INTO trace VALUES (NULL)", &[]).await;
        told
    };
    let told = place.barrier.act(&mut client, request(Op::Action), careless).await;
    assert!(matches!(told, Err(Error::Database(_))), "{told:?}");
    assert_may_be_tried_again(&place, &mut client).await;
}

// Goal: what cannot be kept in the log of its saga does not come about.
#[tokio::test]
async fn what_brings_too_much_is_rolled_back() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    let much = async |transaction: &mut Transaction<'_>| {
        traced(transaction).await?;
        Ok("x".repeat(100_000))
    };
    let told = place.barrier.act(&mut client, request(Op::Action), much).await;
    assert!(matches!(told, Err(Error::TooLarge(_))), "{told:?}");
    assert_may_be_tried_again(&place, &mut client).await;
}

// Goal: an effect that is dropped in its middle, as a step is at its timeout, leaves nothing, and
// the same connection goes on.
#[tokio::test]
async fn an_effect_that_is_dropped_leaves_nothing() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    let (reached, reaches) = oneshot::channel();
    let act = place.barrier.act(&mut client, request(Op::Action), async |transaction| {
        traced(transaction).await?;
        reached.send(()).unwrap();
        std::future::pending::<Result<String, Abort>>().await
    });
    tokio::select! {
        _ = act => panic!("it never ends"),
        reached = reaches => reached.unwrap(),
    }
    assert_may_be_tried_again(&place, &mut client).await;
}

// Goal: an effect that panics leaves nothing.
#[tokio::test]
async fn an_effect_that_panics_leaves_nothing() {
    let Some(place) = Place::open().await else { return };
    let (mut client, elsewhere) = (place.client().await, place.clone());
    let panics = tokio::spawn(async move {
        let act = elsewhere.barrier.act(&mut client, request(Op::Action), async |transaction| {
            traced(transaction).await?;
            if transaction.query_one("SELECT true", &[]).await?.get(0) {
                panic!("on purpose");
            }
            Ok("seventeen".to_owned())
        });
        act.await
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert_may_be_tried_again(&place, &mut place.client().await).await;
}

// Goal: a session that the server ends between an effect and its commit leaves nothing.
#[tokio::test]
async fn a_session_that_ends_before_its_commit_leaves_nothing() {
    let Some(place) = Place::open().await else { return };
    let (mut client, other) = (place.client().await, place.client().await);
    let told = place.barrier.act(&mut client, request(Op::Action), async |transaction| {
        let told = traced(transaction).await;
        let session = transaction.query_one("SELECT pg_backend_pid()", &[]).await?;
        let session: i32 = session.get(0);
        other.execute("SELECT pg_terminate_backend($1)", &[&session]).await?;
        told
    });
    let told = told.await;
    assert!(matches!(told, Err(Error::Database(_))), "{told:?}");
    assert_may_be_tried_again(&place, &mut place.client().await).await;
}

// Goal: a server that is killed in the middle of an effect has done nothing when it is back, and
// remembers what it had answered.
#[tokio::test]
async fn a_server_that_is_killed_has_done_all_or_nothing() {
    let Some(server) = Server::start() else { return };
    let place = Place::on(Arc::new(server)).await;
    let mut client = place.client().await;
    let answered = of_saga(request(Op::Action), 8);
    let one = async |transaction: &mut Transaction<'_>| {
        transaction.execute("INSERT INTO trace VALUES ('before')", &[]).await?;
        Ok("before".to_owned())
    };
    place.barrier.act(&mut client, answered, one).await.unwrap();
    let told = place.barrier.act(&mut client, request(Op::Action), async |transaction| {
        let told = traced(transaction).await;
        place.server.kill_and_restart();
        told
    });
    let told = told.await;
    assert!(matches!(told, Err(Error::Database(_))), "{told:?}");
    let mut client = place.client().await;
    assert_may_be_tried_again(&place, &mut client).await;
    let again = place.act(&mut client, answered).await.unwrap();
    assert_eq!(again, Guarded::Done("before".to_owned()));
    assert_eq!(place.traces("before").await, 1);
}

// Goal: what was committed while nobody heard of it is found by the next attempt. Method: the
// commit waits in a deferred trigger until the program's connection is gone.
#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_found() {
    let Some(place) = Place::open().await else { return };
    let ((mut client, connection), holder) = (place.connect().await, place.client().await);
    holder
        .batch_execute(
            "SELECT pg_advisory_lock(1717); \
             CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN PERFORM pg_advisory_xact_lock(1717); RETURN NULL; END'; \
             CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON trace \
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pause()",
        )
        .await
        .unwrap();
    let cut = async {
        place.wait_for_waiters("advisory", 1).await;
        connection.abort();
    };
    let (told, ()) = tokio::join!(place.act(&mut client, request(Op::Action)), cut);
    assert!(matches!(told, Err(Error::Commit(_))), "{told:?}");
    assert_eq!(Outcome::<String>::from(told), Outcome::Unknown);
    holder.batch_execute("SELECT pg_advisory_unlock(1717)").await.unwrap();
    let again = place.act(&mut place.client().await, request(Op::Action)).await;
    assert_eq!(again.unwrap(), done());
    assert_eq!(place.traces("done").await, 1);
}
