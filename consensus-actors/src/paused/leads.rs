//! Who leads, where a leader is not fit to.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};

use super::{
    named::{end, note, three},
    paused,
    world::ELECTION_TIMEOUT,
};

// Goal: a leader whose disk stalls hands over to a node whose disk is well, and calls go on; when the
// disk is well again the node holds the same as others.
// Method: each sync of the leader's disk takes a minute; how it stands is looked at every second.
#[test]
fn leader_whose_disk_stalls_hands_over() {
    paused(async {
        let (world, leader, follower) = three().await;
        let node = world.living(follower).expect("nobody died");
        note(&node, 1).await;
        world.platter(leader).set_slowness(Duration::from_secs(60));
        // The disk is busy after the first, and keeps the second waiting.
        note(&node, 2).await;
        note(&node, 3).await;
        let began = Instant::now();
        while world.leader() == Some(leader) {
            assert!(began.elapsed() < ELECTION_TIMEOUT * 2, "it leads still");
            sleep(Duration::from_secs(1)).await;
        }
        assert!(world.living(leader).is_some(), "it lives");
        let began = Instant::now();
        note(&node, 4).await;
        assert!(began.elapsed() < Duration::from_secs(2), "the others do not wait for it");

        world.platter(leader).set_slowness(Duration::ZERO);
        sleep(Duration::from_secs(180)).await;
        let states = world.states().await;
        assert_eq!(states.len(), 3);
        assert!(states.iter().all(|state| state.names() == [1, 2, 3, 4]), "all hold the same");
        end(&world);
    });
}

// Goal: a node that is about to end hands over what it leads, and no call notices: each takes a small
// part of an election timeout.
// Method: four callers at all three nodes; the leader is told, and then the next.
#[test]
fn call_takes_no_longer_while_the_lead_is_handed_over() {
    paused(async {
        let (world, ..) = three().await;
        let (over, slowest) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(Duration::ZERO)));
        let caller = |number: u64| {
            let node = world.living(number % 3 + 1).expect("nobody died");
            let (over, slowest) = (Rc::clone(&over), Rc::clone(&slowest));
            spawn_local(async move {
                let mut calls = 0;
                while !over.get() {
                    let began = Instant::now();
                    note(&node, number << 32 | calls).await;
                    slowest.set(slowest.get().max(began.elapsed()));
                    calls += 1;
                    sleep(Duration::from_millis(20)).await;
                }
                calls
            })
        };
        let callers: Vec<_> = (0..4).map(caller).collect();
        // Who was told leads no more, and the last that is left has nobody to hand over to.
        for _ in 0..2 {
            sleep(Duration::from_secs(2)).await;
            let leader = world.leader().expect("one of three leads");
            assert!(world.resign(leader).await, "node {leader} hands over");
            assert_ne!(world.leader(), Some(leader));
        }
        sleep(Duration::from_secs(2)).await;
        over.set(true);
        let mut calls = 0;
        for caller in callers {
            calls += caller.await.expect("every call is answered");
        }
        assert!(calls > 400, "only {calls} calls");
        let longest = ELECTION_TIMEOUT / 10;
        assert!(slowest.get() < longest, "a call took {:?}, of {longest:?}", slowest.get());
        eprintln!("{calls} calls, the slowest {:?}", slowest.get());
        end(&world);
    });
}
