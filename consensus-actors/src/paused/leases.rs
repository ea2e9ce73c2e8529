//! Queries that rest on a lease.

use std::time::Duration;

use tokio::{task::spawn_local, time::sleep};

use super::{
    chronicle::Queries,
    named::{end, note, started},
    paused,
    pulse::Thread,
    random::Random,
    world::World,
};
use crate::Code;

// Goal: RAFT-P18, L3: a leader that stood still while another was elected answers no query from the
// lease that it held before, which did so without a word to others until then.
// Method: its links are dead for a moment when it answers from the lease; then it stands still, is
// asked, and wakes when another has written.
#[test]
fn leader_that_stood_still_reads_from_no_old_lease() {
    paused(async {
        let world = World::new(3, Random::new(0));
        world.lease.set(true);
        let (world, leader, _) = started(world).await;
        let old = world.living(leader).expect("nobody died");
        note(&old, 1).await;
        sleep(Duration::from_secs(3)).await;
        let others: Vec<u64> = world.ids().into_iter().filter(|node| *node != leader).collect();

        // Nobody else is there to say a word, and it answers.
        for node in &others {
            let other = world.living(*node).expect("nobody died");
            other.pulse.stand_still(Thread::Actors, Duration::from_secs(2));
        }
        let query = Queries::Standing { asked: 2 };
        let asked = old.client.answer(&query).lease().deadline("1s").await;
        assert_eq!(asked.expect("the lease holds").length, 1);
        sleep(Duration::from_secs(10)).await;

        let leader = world.leader().expect("they have a majority");
        let old = world.living(leader).expect("nobody died");
        old.pulse.stand_still(Thread::Actors, Duration::from_secs(60));
        let client = old.client.clone();
        let asked = spawn_local(async move {
            sleep(Duration::from_secs(50)).await;
            client.answer(&Queries::Standing { asked: 3 }).lease().deadline("60s").await
        });
        sleep(Duration::from_secs(30)).await;
        let other = world.ids().into_iter().find(|node| *node != leader);
        let other = world.living(other.expect("there are three")).expect("nobody died");
        note(&other, 2).await;
        assert_ne!(world.leader(), Some(leader), "another leads a later term");
        let standing = asked.await.expect("it ends").expect("the cluster serves");
        assert_eq!(standing.length, 2, "it saw what was written before it was asked");
        end(&world);
    });
}

// Goal: a group whose members keep no leases refuses queries that are to rest on one, at once.
#[test]
fn group_without_leases_refuses_what_rests_on_one() {
    paused(async {
        let (world, leader, follower) = started(World::new(3, Random::new(0))).await;
        for node in [leader, follower] {
            let node = world.living(node).expect("nobody died");
            let asked = node.client.answer(&Queries::Standing { asked: 1 }).lease().await;
            assert_eq!(asked.expect_err("leases are off").code(), Code::NoLeases);
        }
        end(&world);
    });
}
