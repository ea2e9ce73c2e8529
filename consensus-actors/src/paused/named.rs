//! What seldom shows under faults from a seed, each on its own.

use std::{
    collections::BTreeMap,
    future::IntoFuture,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix::{Actor, Addr};
use bytes::Bytes;
use consensus_core::{
    Decided, GroupId, Index, NodeId, Outcome, Read, Submission, Ticket, WallTime,
    client::{Admin, Attempt, Attempted, Patience, Request},
    codec::{DecodeError, Encode},
    journal::MemoryDisk,
    replica::{Body, Envelope, Replica as Restored},
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_local},
    time::{sleep, timeout},
};

use super::{
    chronicle::{Chronicle, Commands, Note, Queries, Standing},
    network::{Life, Wire, address},
    paused,
    random::Random,
    world::{Running, World},
};
use crate::{
    Client, Code, Result,
    archive::{Archive, ShelfDisk, Shelves, Workers},
    client::COMMAND_BYTES_MAX,
    clock::{Calendar, NodeClock},
    node::Board,
    replica::{Decisions, Keeping, Origin, Place, Proposer, Replica, Requests},
    role::Decision,
    sync::lock,
    transport::{
        Identity, Inlet, Inlets, Item, Kind, Link, Links, Look, Peer, Presence, Queue, Roster,
        Store,
        admission::{Greeting, Ground, Refusal},
        guest::{Desk, Places, Reception},
        listen,
    },
};

/// Starts a cluster of three and waits until one leads; returns it with the leader and a follower.
pub(super) async fn three() -> (Rc<World>, u64, u64) {
    started(World::new(3, Random::new(0))).await
}

pub(super) async fn started(world: Rc<World>) -> (Rc<World>, u64, u64) {
    for node in world.ids() {
        world.start(node).await;
    }
    loop {
        sleep(Duration::from_secs(1)).await;
        if let Some(leader) = world.leader() {
            let follower = world.ids().into_iter().find(|node| *node != leader);
            return (world, leader, follower.expect("there are three"));
        }
    }
}

/// Lets all nodes die, so that their tasks end.
pub(super) fn end(world: &World) {
    world.ids().into_iter().for_each(|node| world.bury(node, false));
}

fn command(name: u64, padding: usize) -> Commands {
    Commands::Note(Note { name, padding: "x".repeat(padding) })
}

pub(super) async fn note(node: &Running, name: u64) -> Standing {
    node.client.apply(&command(name, 0)).deadline("30s").await.expect("the cluster serves")
}

// Goal: a node whose clock is fast dates nothing in the log later than the leader's clock, or it
// would expire everybody's sessions and keys.
#[test]
fn fast_clock_of_a_follower_dates_nothing() {
    paused(async {
        let (world, leader, follower) = three().await;
        world.set_wall(follower, 30 * 24 * 3_600 * 1_000);
        let node = world.living(follower).expect("nobody died");
        for name in 1..10 {
            assert!(note(&node, name).await.now <= world.wall(leader).0, "the log is dated ahead");
        }
        end(&world);
    });
}

// Goal: what no client would send is not taken from a peer either, and one that fits is.
// Method: the leader's replica gets two requests as from a peer, which differ in length alone.
#[test]
fn oversized_request_of_a_peer_is_refused() {
    paused(async {
        let (world, leader, follower) = three().await;
        let node = world.living(leader).expect("nobody died");
        let from = NodeId::new(follower).expect("ids count from 1");
        for (name, padding) in [(1, COMMAND_BYTES_MAX + 2_048), (2, 2_048)] {
            let encoded = rmp_serde::to_vec_named(&command(name, padding)).expect("it encodes");
            let key = Bytes::copy_from_slice(&[name as u8]);
            let body = Body::Keyed { key, digest: u128::from(name), command: encoded.into() };
            let envelope = Envelope { at: WallTime(0), body };
            let request = Request::Propose(envelope.encoded().into());
            let attempted = Attempted { attempt: Attempt(name), request };
            node.client.addr().do_send(Requests(Origin::Peer(from), vec![attempted]));
        }
        sleep(Duration::from_secs(20)).await;
        for state in world.states().await {
            assert_eq!(state.names(), [2]);
        }
        assert!(world.dead().is_empty());
        end(&world);
    });
}

// Goal: an answer that the leader owes a life of a node which is over goes to nobody, whatever the
// next life asks at that time.
// Method: both lives ask the same way, so that they would number their attempts alike; the leader
// can answer the first one only when the second is there, since it lacks a majority until then.
#[test]
fn answer_to_a_former_life_goes_to_nobody() {
    paused(async {
        let (world, leader, follower) = three().await;
        let third = world.ids().into_iter().find(|node| ![leader, follower].contains(node));
        world.bury(third.expect("there are three"), false);
        let former = world.living(follower).expect("nobody else died");
        world.platter(follower).set_slowness(Duration::from_secs(60));
        let asking = spawn_local(async move { once(&former, 1).await });
        sleep(Duration::from_secs(1)).await;
        world.bury(follower, false);
        world.platter(follower).set_slowness(Duration::ZERO);
        let error = asking.await.expect("it ends").expect_err("its node has died");
        assert_eq!((error.code(), error.outcome()), (Code::Stopping, Outcome::Unknown));

        world.start(follower).await;
        let next = world.living(follower).expect("it was started");
        assert_eq!(once(&next, 2).await.expect("two of three serve").of, 2);
        sleep(Duration::from_secs(5)).await;
        for state in world.states().await {
            assert_eq!(state.names(), [1, 2], "the leader had no answer to owe");
        }
        end(&world);
    });
}

async fn once(node: &Running, name: u64) -> Result<Standing> {
    let note = Note { name, padding: String::new() };
    node.client.command_once(&format!("key-{name}"), note).deadline("60s").await
}

// Goal: a node hosts a hundred groups, which share its journal, links and clock; when a node dies,
// all that it led go on, and when it is back, all replicas hold the same.
#[test]
fn hundred_groups_go_on_without_a_node() {
    const GROUPS: usize = 100;
    paused(async {
        let (world, leader, follower) = three().await;
        let names: Vec<String> = (0..GROUPS).map(|number| format!("group-{number}")).collect();
        let mut clients = Vec::new();
        for name in &names {
            let mut of_all = BTreeMap::new();
            for node in world.ids() {
                of_all.insert(node, world.host(node, name).await);
            }
            clients.push(of_all);
        }
        let write_all = async |from: u64, name: u64| {
            let writing: Vec<_> = clients
                .iter()
                .map(|of_all| {
                    let client = of_all[&from].clone();
                    spawn_local(
                        async move { client.apply(&command(name, 0)).deadline("60s").await },
                    )
                })
                .collect();
            let mut lengths = Vec::new();
            for written in writing {
                lengths.push(written.await.expect("it ends").expect("the group serves").length);
            }
            lengths
        };
        assert_eq!(write_all(follower, 1).await, [1; GROUPS]);
        world.bury(leader, false);
        assert_eq!(write_all(follower, 2).await, [2; GROUPS]);
        end(&world);
    });
}

// Goal: a peer that loses power leaves its peers with a connection over which nothing will ever
// come, not even an end; however many there are, the next one is accepted.
#[test]
fn power_losses_use_up_no_connections() {
    paused(async {
        let (world, _, follower) = three().await;
        for _ in 0..80 {
            world.bury(follower, true);
            world.start(follower).await;
            sleep(Duration::from_secs(3)).await;
        }
        note(&world.living(follower).expect("it was started"), 1).await;
        end(&world);
    });
}

/// A seat that only remembers who asked, and what it was told.
#[derive(Default)]
struct Tickets(Mutex<Vec<Ticket>>, Mutex<Vec<bool>>);

impl Proposer for Tickets {
    fn submit(&self, _: Vec<Submission>) {}

    fn read(&self, reads: Vec<Read>) {
        lock(&self.0).extend(reads.iter().map(|read| read.ticket));
    }

    fn behind(&self, behind: bool) {
        lock(&self.1).push(behind);
    }

    fn admin(&self, _: Vec<(Ticket, Admin)>) {}

    fn resign(&self, _: Ticket) {}

    fn inspect(&self, _: oneshot::Sender<Vec<(NodeId, Index)>>) {}

    fn take_snapshot(&self) {}
}

/// A calendar of one day.
struct Noon;

impl Calendar for Noon {
    fn wall(&self) -> WallTime {
        WallTime(1)
    }
}

/// Starts a replica that has nothing but its seat.
fn alone(node: NodeId, seat: &Arc<Tickets>) -> Addr<Replica<Chronicle>> {
    let shelves: Shelves = Arc::new(|_| Ok(Box::new(MemoryDisk::new()) as ShelfDisk));
    let workers: Workers = Arc::new(|job| job());
    let archive = Archive::new(shelves, Arc::clone(&workers)).start();
    let clock = NodeClock::start(Arc::new(Noon));
    let place = Place {
        node,
        group: GroupId(1),
        name: "chronicle".into(),
        seat: Arc::clone(seat) as Arc<dyn Proposer>,
        links: Links::default(),
        clock: clock.clone(),
        board: Arc::new(Board::new(clock)),
        patience: Patience { retry_after: Duration::from_secs(9), pause: Duration::from_secs(1) },
        first_attempt: Attempt(1),
        deadline: Duration::from_secs(9),
        keeping: Keeping { archive, workers },
        heartbeat: Duration::from_secs(9),
        is_apart: false,
    };
    Replica::<Chronicle>::new(place, false).start()
}

/// Makes an entry that notes `name`.
fn decided(index: Index, name: u64) -> Decided {
    let encoded = rmp_serde::to_vec_named(&command(name, 0)).expect("it encodes");
    let key = Bytes::from_static(b"key");
    let body = Body::Keyed { key, digest: 1, command: encoded.into() };
    let entry = Envelope { at: WallTime(1), body }.encoded().into();
    Decided { index, command: Some(entry), ticket: None }
}

/// Starts a replica alone, and asks it for what is ready at index 1; checks that this waits.
async fn reading() -> (Addr<Replica<Chronicle>>, JoinHandle<Result<Standing>>) {
    let (node, seat) = (NodeId::new(1).expect("positive"), Arc::new(Tickets::default()));
    let replica = alone(node, &seat);
    let client = Client::from(replica.clone());
    replica.do_send(Decisions(vec![Decision::Route { leader: Some(node) }]));
    let asking = spawn_local(async move { client.answer(&Queries::Standing { asked: 7 }).await });
    sleep(Duration::from_millis(1)).await;

    let ticket = lock(&seat.0).pop().expect("the query came to the seat");
    replica.do_send(Decisions(vec![Decision::ReadReady { ticket, at: Index(1) }]));
    sleep(Duration::from_secs(1)).await;
    assert!(!asking.is_finished(), "a read was answered before its index was applied");
    (replica, asking)
}

// Goal: a read that is ready at an index is answered once that is applied, and not from before.
#[test]
fn read_waits_until_its_index_is_applied() {
    paused(async {
        let (replica, asking) = reading().await;
        let decided = decided(Index(1), 5);
        replica.do_send(Decisions(vec![Decision::Apply(vec![decided].into_iter())]));
        assert_eq!(asking.await.expect("it ends").expect("it is answered").length, 1);
    });
}

// Goal: a read that is ready at an index which the replica comes to by a snapshot is answered, though
// nothing is applied behind it.
#[test]
fn read_waits_until_its_index_is_restored() {
    paused(async {
        let (replica, asking) = reading().await;
        let mut restored = Restored::new(GroupId(1));
        restored.apply(&decided(Index(1), 5));
        Replica::returns(replica)(Some(restored));
        let answer = timeout(Duration::from_secs(1), asking).await.expect("it is not forgotten");
        assert_eq!(answer.expect("it ends").expect("it is answered").length, 1);
    });
}

// Goal: calls that wait to be looked at are bounded: beyond, a caller is told at once that there
// are too many, and when they have been looked at there is room again.
#[test]
fn mailbox_of_a_replica_is_bounded() {
    const PLACES: usize = 8_192;
    paused(async {
        let node = NodeId::new(1).expect("positive");
        let client = Client::from(alone(node, &Arc::default()));
        let mut cx = Context::from_waker(Waker::noop());
        let mut ask = || {
            let mut asked = client.answer(&Queries::Standing { asked: 7 }).into_future();
            let answer = std::pin::Pin::new(&mut asked).poll(&mut cx);
            (asked, answer)
        };
        let waiting: Vec<_> = (0..PLACES).map(|_| ask()).collect();
        assert!(waiting.iter().all(|(_, answer)| answer.is_pending()));
        let Poll::Ready(Err(error)) = ask().1 else { panic!("there is no place left") };
        assert_eq!((error.code(), error.outcome()), (Code::Busy, Outcome::NotApplied));
        assert!(error.message().starts_with("8192 calls wait"), "{error}");

        sleep(Duration::from_millis(1)).await;
        drop(waiting);
        assert!(ask().1.is_pending(), "all were looked at, and there is room");
    });
}

// Goal: a replica that has more to apply than it may says so to its protocol, and says when it has
// caught up.
#[test]
fn backlog_of_a_replica_is_bounded() {
    const ENTRIES_MAX: u64 = 1 << 18;
    paused(async {
        let (node, seat) = (NodeId::new(1).expect("positive"), Arc::new(Tickets::default()));
        let replica = alone(node, &seat);
        let decided = |index| Decided { index: Index(index), command: None, ticket: None };
        let decide = |entries: std::ops::RangeInclusive<u64>| {
            let entries: Vec<_> = entries.map(decided).collect();
            replica.do_send(Decisions(vec![Decision::Apply(entries.into_iter())]));
        };
        decide(1..=ENTRIES_MAX);
        sleep(Duration::from_millis(1)).await;
        assert!(lock(&seat.1).is_empty(), "so many it may have");
        decide(ENTRIES_MAX + 1..=2 * ENTRIES_MAX + 1);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(*lock(&seat.1), [true, false]);
    });
}

/// A roster that nobody reads again.
struct Forgetful;

impl Store for Forgetful {
    fn store(&mut self, _: &BTreeMap<NodeId, Peer>) -> std::io::Result<()> {
        Ok(())
    }
}

fn identity(node: u64, peer: u64) -> Identity {
    let [node, peer] = [node, peer].map(|number| NodeId::new(number).expect("positive"));
    let peers = BTreeMap::from([(peer, Peer::default())]);
    let roster = Roster::new(node, true, peers, Box::new(Forgetful));
    let presence = Presence::new(Duration::from_secs(5));
    Identity { cluster: "paused".into(), node, incarnation: 1, address: None, roster, presence }
}

/// Collects the numbers that items carry.
#[derive(Default)]
struct Numbers(Mutex<Vec<u64>>);

impl Inlet for Numbers {
    fn deliver(&self, _: NodeId, items: Vec<Item>) -> Result<(), DecodeError> {
        let numbers = items.iter().map(|item| {
            u64::from_le_bytes(item.bytes.as_ref().try_into().expect("an item is a number"))
        });
        lock(&self.0).extend(numbers);
        Ok(())
    }

    fn reach(&self, _: NodeId, _: bool) {}
}

/// Takes no clients.
#[derive(Default)]
struct Closed(Places);

impl Reception for Closed {
    fn places(&self) -> &Places {
        &self.0
    }

    fn receive(&self, _: &Greeting) -> Result<Arc<dyn Desk>, Refusal> {
        Err(Refusal { ground: Ground::Stopping, reason: "this port is for peers".to_owned() })
    }
}

// Goal: a link neither repeats nor reorders items, and loses none but those of a connection that
// was lost.
// Method: numbered items over a network that cuts and holds; the last ones come without faults.
#[test]
fn link_keeps_the_order() {
    const EACH: u64 = 2_000;
    paused(async {
        let mut random = Random::new(1);
        let wire = Wire::new(random.fork());
        let [from, to] = [1, 2].map(|node| Life { node, generation: 1 });
        let (inlets, numbers) = (Inlets::default(), Arc::new(Numbers::default()));
        inlets.add(GroupId(1), Arc::clone(&numbers) as Arc<dyn Inlet>);
        let listening =
            spawn_local(listen(wire.listen(to), identity(2, 1), inlets, Arc::<Closed>::default()));
        let peer = NodeId::new(2).expect("positive");
        let (to, queue) = ((peer, address(2).to_string()), Arc::<Queue>::default());
        let link = Link::launch(wire.of(from), identity(1, 2), to, Arc::clone(&queue));
        for number in 1..=2 * EACH {
            let bytes = Bytes::copy_from_slice(&number.to_le_bytes());
            if queue.push(vec![Item { group: GroupId(1), kind: Kind::Message, bytes }]) {
                link.do_send(Look);
            }
            if random.chance(300) {
                sleep(Duration::from_millis(random.between(0, 30))).await;
            }
            if number < EACH && random.chance(20) {
                wire.cut(1, 2);
            }
            if number == EACH {
                sleep(Duration::from_secs(5)).await;
            }
        }
        sleep(Duration::from_secs(5)).await;
        let numbers = std::mem::take(&mut *lock(&numbers.0));
        assert!(numbers.is_sorted_by(|one, next| one < next), "items were repeated or reordered");
        assert!(numbers.ends_with(&(EACH + 1..=2 * EACH).collect::<Vec<_>>()), "items were lost");
        listening.abort();
    });
}
