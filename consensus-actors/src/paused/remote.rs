//! Clients that are no members, and behave as none of ours would.

use std::{io, rc::Rc, time::Duration};

use bytes::Bytes;
use consensus_core::{
    GroupId, ReadLevel, StateMachine,
    client::{Attempt, Attempted, Request},
};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep, timeout},
};

use super::{
    callers,
    chronicle::Chronicle,
    history::Ask,
    named::{end, three},
    network::address,
    paused,
    world::{GROUP, World, client},
};
use crate::{
    Replicated,
    transport::{
        FRAME_BYTES_MAX, Kind,
        admission::{self, Greeting},
        conversation::{Conversation, Turn},
        put_item,
    },
};

/// Connects to a node as a client that does nothing by itself.
async fn visit(world: &World, node: u64) -> Conversation {
    let network = world.wire.of(client(1));
    let mut stream = network.dial(&address(node).to_string()).await.expect("the node is there");
    let greeting = Greeting::new(GROUP, Chronicle::NAME, Chronicle::INTERFACE);
    let admitted = admission::call(&mut stream, &greeting).await.expect("it answers");
    admitted.expect("it takes clients");
    Conversation::new(stream, FRAME_BYTES_MAX)
}

/// Writes frame after frame until the node takes no more, and reads nothing; returns how many it
/// took, and what became of the connection if it did not stay open.
async fn flood(
    visitor: &mut Conversation,
    requests: u64,
    request: &Request,
    patience: Duration,
) -> (u64, Option<io::Error>) {
    let (mut taken, mut attempt) = (0, 0);
    loop {
        visitor.say(|body| {
            for _ in 0..requests {
                attempt += 1;
                let attempted = Attempted { attempt: Attempt(attempt), request: request.clone() };
                put_item(body, GroupId::named(GROUP), Kind::Request, &attempted);
            }
        });
        while visitor.is_writing() {
            match timeout(patience, visitor.next(false)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return (taken, Some(error)),
                Err(_) => return (taken, None),
            }
        }
        taken += 1;
    }
}

// Goal: a client that asks and never reads is left in seconds, and keeps nobody waiting meanwhile.
#[test]
fn client_that_never_reads_is_left() {
    paused(async {
        let (world, leader, _) = three().await;
        let other = world.connect(2).await;
        let mut visitor = visit(&world, leader).await;
        let begun = Instant::now();
        let flooding = spawn_local(async move {
            let query = Request::Query {
                query: Bytes::from_static(b"no query"),
                level: ReadLevel::Linearizable,
            };
            flood(&mut visitor, 200, &query, Duration::from_secs(60)).await
        });
        let mut name = 0;
        while !flooding.is_finished() {
            name += 1;
            let asked = Instant::now();
            let ask = Ask::Note(name);
            assert!(callers::call(&world, other.clone(), ask, Duration::from_secs(5)).await);
            assert!(asked.elapsed() < Duration::from_secs(1), "it waits for who does not read");
            sleep(Duration::from_millis(100)).await;
        }
        let (taken, ended) = flooding.await.expect("it comes to an end");
        assert!(taken > 10, "{taken}");
        ended.expect("the connection is closed");
        let took = begun.elapsed();
        assert!(took > Duration::from_secs(5) && took < Duration::from_secs(15), "{took:?}");
        end(&world);
    });
}

// Goal: what a client may have on its way is bounded: the node reads no more before it has
// answered.
// Method: no answer can be given, since the leader's followers are gone.
#[test]
fn requests_on_their_way_are_bounded() {
    paused(async {
        let (world, leader, _) = three().await;
        world.ids().into_iter().filter(|node| *node != leader).for_each(|node| {
            world.bury(node, true);
        });
        let mut visitor = visit(&world, leader).await;
        let command = Request::Propose(Bytes::from(vec![0; 100 << 10]));
        let (taken, ended) = flood(&mut visitor, 1, &command, Duration::from_secs(1)).await;
        assert!(ended.is_none(), "the node only stops to read: {ended:?}");
        assert!((70..=100).contains(&taken), "{taken} requests of 100 KiB are on their way");
        assert!(world.living(leader).is_some());
        end(&world);
    });
}

// Goal: a client that says nothing is left in time, one that asks where the leader is now and then
// is not; and whoever asks is told.
#[test]
fn silent_client_is_left() {
    paused(async {
        let (world, leader, _) = three().await;
        let stays = |asks: bool| {
            let world = Rc::clone(&world);
            async move {
                let mut visitor = visit(&world, leader).await;
                let (begun, mut told) = (Instant::now(), 0);
                while begun.elapsed() < Duration::from_secs(100) {
                    match timeout(Duration::from_secs(20), visitor.next(true)).await {
                        Ok(Ok(Turn::Heard(_))) => told += 1,
                        Ok(Ok(Turn::Said)) => {}
                        Ok(Ok(Turn::Ended) | Err(_)) => break,
                        Err(_) if asks => visitor.say(|_| {}),
                        Err(_) => {}
                    }
                }
                (begun.elapsed(), told)
            }
        };
        let (stayed, told) = stays(false).await;
        assert!(stayed > Duration::from_secs(25) && stayed < Duration::from_secs(35), "{stayed:?}");
        assert_eq!(told, 1, "it was told on arrival where the leader is");
        let (stayed, told) = stays(true).await;
        assert!(stayed >= Duration::from_secs(100) && told >= 5, "{stayed:?}, {told}");
        end(&world);
    });
}
