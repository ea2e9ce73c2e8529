//! Who leads, where a leader is not fit to.

use std::time::Duration;

use tokio::time::{Instant, sleep};

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
