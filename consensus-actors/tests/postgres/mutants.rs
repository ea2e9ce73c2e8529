//! What these tests would miss if the barrier were not there: known bugs put back (58, 59).

use consensus_actors::saga::Op;
use consensus_core::saga::Mutant;

use crate::place::{Place, by, done, of_saga, request};

async fn with_mutant(mutant: Mutant) -> Option<Place> {
    let mut place = Place::open().await?;
    place.barrier = place.barrier.with_mutant(mutant);
    Some(place)
}

// Goal: without the barrier a repeated step comes about twice, so its test can fail (58).
#[tokio::test]
async fn without_the_barrier_a_step_comes_about_twice() {
    let Some(place) = with_mutant(Mutant::NoBarrier).await else { return };
    let mut client = place.client().await;
    for _ in 0..2 {
        assert_eq!(place.act(&mut client, request(Op::Action)).await.unwrap(), done());
    }
    assert_eq!(place.traces("done").await, 2);
}

// Goal: without epochs an executor that was replaced is obeyed, so its test can fail (59).
#[tokio::test]
async fn without_epochs_a_replaced_executor_is_obeyed() {
    let Some(place) = with_mutant(Mutant::BarrierIgnoresEpoch).await else { return };
    let mut client = place.client().await;
    let of = request(Op::Action);
    assert_eq!(place.act(&mut client, by(of, 4)).await.unwrap(), done());
    assert_eq!(place.act(&mut client, by(of_saga(of, 8), 3)).await.unwrap(), done());
    assert_eq!(place.traces("done").await, 2);
}
