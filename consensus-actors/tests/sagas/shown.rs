//! What operators see of a saga.

use std::{sync::atomic::Ordering, time::Duration};

use consensus_actors::{
    MemoryCluster,
    saga::{Now, Op, Saga, SagaId, Sagas, Shown, ShownStep, Stands},
};

use crate::order::{PlaceOrder, Shop, hasty};

/// Returns how often a step was asked for, and its compensation.
fn attempts(shown: &Shown, step: &str) -> (u32, u32) {
    let step = named(shown, step);
    (step.attempts, step.undo_attempts)
}

fn named<'a>(shown: &'a Shown, step: &str) -> &'a ShownStep {
    shown.steps.iter().find(|it| it.name == step).expect("there is such a step")
}

/// Looks until a saga looks so.
async fn looks(sagas: &Sagas, id: SagaId, so: impl Fn(&Shown) -> bool) -> Shown {
    loop {
        let shown = sagas.show(id).await.unwrap();
        if so(&shown) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// Goal: attempts are counted, of steps whose replies were lost and of compensations that were
// refused and retried; the tree is there when the saga has ended, with input, outputs and times.
// Method: one node, which nobody takes over from, so that all attempts are known.
#[tokio::test]
async fn attempts_are_shown_also_of_what_has_ended() {
    let cluster = MemoryCluster::configured(1, hasty).unwrap();
    let shop = Shop::on(cluster.nodes(), 10, 10).await;
    let order = PlaceOrder {
        goods: 1,
        money: 2,
        panics: 2,
        refused: true,
        keeps_goods: true,
        ..PlaceOrder::default()
    };
    let run = shop.sagas[0].start(order).await.unwrap();
    assert!(matches!(run.wait().await.unwrap(), Saga::Stuck { .. }));
    let shown = shop.sagas[0].show(run.id()).await.unwrap();
    assert_eq!(named(&shown, "goods").stands, Stands::UndoFailed);
    let counts = ["goods", "money", "ship"].map(|step| attempts(&shown, step));
    assert_eq!(counts, [(1, 1), (1, 1), (3, 0)]);
    assert_eq!((shown.is_live, shown.in_charge), (true, Some(1)));
    assert!(shown.steps.iter().all(|step| step.now.is_none()), "{:?}", shown.steps);

    shop.services[0].healed.store(1, Ordering::SeqCst);
    shop.sagas[0].retry(run.id(), "the door is open").await.unwrap();
    let has_ended = |shown: &Shown| matches!(shown.listed.standing, Some(Saga::Compensated { .. }));
    let ended = looks(&shop.sagas[0], run.id(), has_ended).await;
    let counts = ["goods", "money", "ship"].map(|step| attempts(&ended, step));
    assert_eq!(counts, [(1, 2), (1, 1), (3, 0)]);
    assert_eq!((&ended.input, ended.listed.records), (&shown.input, ended.log.len() as u64));
    let goods = named(&ended, "goods");
    assert!(ended.input.is_some() && goods.output.is_some());
    assert!(goods.asked <= goods.ended && goods.ended <= goods.undone, "{goods:?}");
}

// Goal: while a step is being asked for, the node in charge says since when, and how often it was;
// the others name that node, and say nothing of what they do not know.
#[tokio::test]
async fn the_node_in_charge_tells_what_is_asked_for() {
    let shop = Shop::open(10, 10).await;
    let order = PlaceOrder { goods: 1, money: 2, lasts: 60_000, ..PlaceOrder::default() };
    let run = shop.sagas[0].start(order).await.unwrap();
    let is_told = |shown: &Shown| match named(shown, "ship").now {
        Some(now) => {
            let told = attempts(shown, "ship").0 >= 1 && shown.is_live;
            told && matches!(now, Now::Asked(Op::Action, waited) if waited > Duration::ZERO)
        }
        None => shown.steps.iter().all(|step| step.now.is_none()),
    };
    // Who leads may change while it is looked at: then it is looked at again.
    loop {
        let mut all = Vec::new();
        for (place, sagas) in shop.sagas.iter().enumerate() {
            all.push((place as u64 + 1, looks(sagas, run.id(), is_told).await));
        }
        let live: Vec<_> = all.iter().filter(|(_, shown)| shown.is_live).collect();
        if let [(node, shown)] = &*live
            && named(shown, "ship").now.is_some()
            && all.iter().all(|(_, shown)| shown.in_charge == Some(*node))
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shop.sagas[1].abandon(run.id(), "it lasts too long").await.unwrap();
    assert_eq!(run.wait().await.unwrap(), Saga::Abandoned);
}
