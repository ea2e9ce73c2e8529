//! Requests that come more than once, at once, or in another order.

use std::time::Duration;

use consensus_actors::saga::{
    EffectKey, Guarded, Op, Outcome, Undo,
    postgres::{Abort, Error},
};
use tokio::sync::oneshot;
use tokio_postgres::Transaction;

use crate::place::{Place, done, of_saga, request, traced};

// Goal: what is repeated is answered as it was first, and nothing comes about twice.
#[tokio::test]
async fn a_repeated_step_is_carried_out_once() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    for _ in 0..3 {
        assert_eq!(place.act(&mut client, request(Op::Action)).await.unwrap(), done());
    }
    for _ in 0..3 {
        let undone = place.undo(&mut client, request(Op::Undo)).await.unwrap();
        assert_eq!(undone, Guarded::Done(()));
    }
    assert_eq!(place.traces("done").await, 1);
    assert_eq!(place.traces("undone seventeen").await, 1, "it gets what the step brought");
}

// Goal: of many that come at once one is carried out, and all are answered as it was. Method: the
// first waits within its effect until all others wait for it.
#[tokio::test]
async fn of_many_at_once_one_is_carried_out() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    let mut others = Vec::new();
    let first = place.barrier.act(&mut client, request(Op::Action), async |transaction| {
        for _ in 0..5 {
            let place = place.clone();
            others.push(tokio::spawn(async move {
                let mut client = place.client().await;
                place.act(&mut client, request(Op::Action)).await
            }));
        }
        place.wait_for_waiters("transactionid", 5).await;
        traced(transaction).await
    });
    assert_eq!(first.await.unwrap(), done());
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), done());
    }
    assert_eq!(place.traces("done").await, 1);
}

// Goal: who waits in vain for another of the same request is told to ask again, which is no
// refusal, and then gets the answer.
#[tokio::test]
async fn a_wait_in_vain_is_no_refusal() {
    let Some(place) = Place::open().await else { return };
    let (mut first, mut second) = (place.client().await, place.client().await);
    let hasty = place.barrier.clone().patience(Duration::from_millis(50));
    let act = place.barrier.act(&mut first, request(Op::Action), async |transaction| {
        let other = hasty.act(&mut second, request(Op::Action), async |other| traced(other).await);
        let refused = other.await;
        assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
        assert_eq!(Outcome::<String>::from(refused), Outcome::Unknown);
        let undone: Result<Guarded<()>, _> =
            hasty.undo(&mut second, request(Op::Undo), async |_, _: String| Ok(())).await;
        assert_eq!(Undo::from(undone), Undo::Unknown, "nobody knows yet what there is to undo");
        traced(transaction).await
    });
    assert_eq!(act.await.unwrap(), done());
    assert_eq!(place.act(&mut second, request(Op::Action)).await.unwrap(), done());
    assert_eq!(place.traces("done").await, 1);
}

// Goal: a compensation that comes first undoes nothing, and keeps the step away for good.
#[tokio::test]
async fn an_undoing_that_comes_first_undoes_nothing() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    for _ in 0..2 {
        let undone = place.undo(&mut client, request(Op::Undo)).await.unwrap();
        assert_eq!(undone, Guarded::Done(()));
        let late = place.act(&mut client, request(Op::Action)).await.unwrap();
        assert_eq!(late, Guarded::Refused);
    }
    assert_eq!((place.traces("done").await, place.traces("undone seventeen").await), (0, 0));
}

// Goal: a step that comes once more after its compensation is refused.
#[tokio::test]
async fn a_step_that_comes_after_its_undoing_is_refused() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    assert_eq!(place.act(&mut client, request(Op::Action)).await.unwrap(), done());
    place.undo(&mut client, request(Op::Undo)).await.unwrap();
    let late = place.act(&mut client, request(Op::Action)).await.unwrap();
    assert_eq!(late, Guarded::Refused);
    assert_eq!((place.traces("done").await, place.traces("undone seventeen").await), (1, 1));
}

// Goal: a step and its compensation that come at once leave nothing behind, whichever is first.
#[tokio::test]
async fn a_step_and_its_undoing_at_once_leave_nothing() {
    let Some(place) = Place::open().await else { return };
    let (mut one, mut two) = (place.client().await, place.client().await);
    for saga in 0..50 {
        let act = place.act(&mut one, of_saga(request(Op::Action), saga));
        let undo = place.undo(&mut two, of_saga(request(Op::Undo), saga));
        let (acted, undone) = tokio::join!(act, undo);
        assert_eq!(undone.unwrap(), Guarded::Done(()));
        assert!([done(), Guarded::Refused].contains(&acted.unwrap()));
    }
    assert_eq!(place.traces("done").await, place.traces("undone seventeen").await);
}

// Goal: a refusal is kept, what was changed before it is not, and there is nothing to undo; also
// when a statement had failed before it.
#[tokio::test]
async fn a_refusal_is_kept_and_its_effect_is_not() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    let refused = async |transaction: &mut Transaction<'_>| {
        traced(transaction).await?;
        let failed = transaction.execute("INSERT INTO trace VALUES (NULL)", &[]).await;
        Err::<String, _>(Abort::rejected(failed.map_or("none left", |_| "it was no text")))
    };
    let told = place.barrier.act(&mut client, request(Op::Action), refused).await.unwrap();
    assert_eq!(told, Guarded::Rejected("none left".to_owned()));
    let told = place.act(&mut client, request(Op::Action)).await.unwrap();
    assert_eq!(told, Guarded::Rejected("none left".to_owned()));
    let undone = place.undo(&mut client, request(Op::Undo)).await.unwrap();
    assert_eq!(undone, Guarded::Done(()));
    assert_eq!((place.traces("done").await, place.traces("undone seventeen").await), (0, 0));
}

// Goal: a compensation that was refused is another effect when an operator asks for it again.
#[tokio::test]
async fn a_refused_undoing_runs_again_in_its_next_round() {
    let Some(place) = Place::open().await else { return };
    let mut client = place.client().await;
    place.act(&mut client, request(Op::Action)).await.unwrap();
    let locked = async |_: &mut Transaction<'_>, _: String| Err(Abort::rejected("locked"));
    let told = place.barrier.undo(&mut client, request(Op::Undo), locked).await.unwrap();
    assert_eq!(told, Guarded::Rejected("locked".to_owned()));
    let told = place.undo(&mut client, request(Op::Undo)).await.unwrap();
    assert_eq!(told, Guarded::Rejected("locked".to_owned()));
    let mut again = request(Op::Undo);
    again.key = EffectKey { round: 1, ..again.key };
    assert_eq!(place.undo(&mut client, again).await.unwrap(), Guarded::Done(()));
    assert_eq!(place.traces("undone seventeen").await, 1);
}

// Goal: of sagas that have ended no row stays, and everything is refused; whoever was let through
// before comes first, and what goes on stays.
// Method: a step of an old saga is in the middle when one of a much later saga says that it ended.
#[tokio::test]
async fn what_has_ended_is_forgotten_and_refused() {
    let Some(place) = Place::open().await else { return };
    let (mut old, mut later) = (place.client().await, place.client().await);
    place.act(&mut old, of_saga(request(Op::Action), 8)).await.unwrap();
    let mut next = of_saga(request(Op::Action), 5_000);
    next.age.oldest = next.age.place;
    let (begun, begins) = oneshot::channel();
    let acts = place.barrier.act(&mut old, request(Op::Action), async |transaction| {
        begun.send(()).unwrap();
        place.wait_for_waiters("transactionid", 1).await;
        traced(transaction).await
    });
    let forgets = async {
        begins.await.unwrap();
        place.act(&mut later, next).await.unwrap()
    };
    let (acted, told) = tokio::join!(acts, forgets);
    assert_eq!((acted.unwrap(), told), (done(), done()));
    let rows = later.query("SELECT FROM saga_barrier", &[]).await.unwrap();
    assert_eq!(rows.len(), 1, "that of the one that goes on");
    assert_eq!(place.act(&mut old, request(Op::Action)).await.unwrap(), Guarded::Refused);
    assert_eq!(place.undo(&mut old, request(Op::Undo)).await.unwrap(), Guarded::Refused);
    assert_eq!(place.act(&mut later, next).await.unwrap(), done());
    assert_eq!(place.traces("done").await, 3);
}
