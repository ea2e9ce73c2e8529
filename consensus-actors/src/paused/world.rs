//! All nodes of a cluster, with their disks, clocks and network, on one thread.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Handler, Message};
use consensus_core::{
    CommitToken, GroupId, NodeId, StateMachine, Status, WallTime,
    journal::{self, Journal, JournalId, MemoryDisk, Recovered},
};
use tokio::{sync::oneshot, task::LocalSet, time::Instant};

use super::{
    chronicle::Chronicle,
    disk::Platter,
    history::History,
    network::{Life, Wire, address},
    pulse::Pulse,
    random::{Random, Trace},
    tally::Tally,
};
use crate::{
    Client, Node, Placement, Protocol, Replica, Replicated,
    archive::{Archive, ShelfDisk, Shelves, Workers},
    clock::{Calendar, NodeClock},
    config::{Size, table::APPEND_BYTES_MAX},
    inbox::Courses,
    journal::{JournalActor, NodeDisk, Records},
    node::launch::{Parts, assemble},
    remote::{self, Courier},
    sync::lock,
    transport::{Identity, Links, Peer, Presence, Roster, Store, admission::Greeting},
};

/// The name of the group that every node hosts.
pub(super) const GROUP: &str = "chronicle";

/// Long, so that little happens in a minute.
pub(super) const ELECTION_TIMEOUT: Duration = Duration::from_millis(5_000);
const HEARTBEAT: Duration = Duration::from_millis(1_500);
pub(super) const TICK: Duration = Duration::from_millis(250);

/// Numbers of clients that are no members begin here, where the network has no node.
const CLIENTS: u64 = 100;

/// Short, so that segments begin and the disk can be found full, and longer than what a follower
/// may lack.
const SEGMENT_BYTES: usize = 128 << 10;

/// A cluster under test.
pub(super) struct World {
    pub(super) wire: Wire,
    pub(super) history: RefCell<History>,
    pub(super) tally: RefCell<Tally>,
    /// The token of the last command that was acknowledged, and how many there were with it.
    pub(super) token: Cell<Option<(CommitToken, u64)>>,
    /// Whether callers are to come to an end.
    pub(super) over: Cell<bool>,
    /// What replicates the groups of nodes that are started.
    pub(super) protocol: Cell<Protocol>,
    /// Whether nodes that are started keep leases.
    pub(super) lease: Cell<bool>,
    /// The group by which it is told who leads.
    pub(super) watched: Cell<&'static str>,
    /// What nodes that are started do besides.
    pub(super) work: RefCell<Option<Work>>,
    began: Instant,
    random: RefCell<Random>,
    nodes: RefCell<BTreeMap<u64, Slot>>,
    clients: RefCell<Vec<u64>>,
}

/// What a node does besides, on its own threads.
pub(super) type Work = Rc<dyn Fn(Node) -> Pin<Box<dyn Future<Output = ()>>>>;

/// What outlives the lives of a node.
struct Slot {
    platter: Platter,
    calendar: Arc<Skewed>,
    known: Arc<Mutex<BTreeMap<NodeId, Peer>>>,
    generation: u64,
    running: Option<Running>,
}

/// A node that lives, or has died and is not buried yet.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) pulse: Arc<Pulse>,
    pub(super) client: Client<Chronicle>,
    node: Node,
}

/// Returns a client that is no member, as the network knows it.
pub(super) fn client(number: u64) -> Life {
    Life { node: CLIENTS + number, generation: 1 }
}

/// Tells whether the end of a connection is such a client.
pub(super) fn is_client(end: u64) -> bool {
    end >= CLIENTS
}

/// Where a caller calls.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) client: Client<Chronicle>,
    /// The node that it dies with, unless it is remote.
    pub(super) pulse: Option<Arc<Pulse>>,
}

impl From<Running> for Way {
    fn from(Running { client, pulse, .. }: Running) -> Self {
        Self { client, pulse: Some(pulse) }
    }
}

/// Noon of some day.
const NOON: u64 = 1_700_000_000_000;

/// A wall clock that is wrong.
struct Skewed {
    began: Instant,
    /// How many milliseconds it is fast.
    offset: AtomicI64,
}

impl Calendar for Skewed {
    fn wall(&self) -> WallTime {
        let now = NOON + self.began.elapsed().as_millis() as u64;
        WallTime(now.saturating_add_signed(self.offset.load(Ordering::Relaxed)))
    }
}

/// A roster that outlives a node's lives.
struct Known(Arc<Mutex<BTreeMap<NodeId, Peer>>>);

impl Store for Known {
    fn store(&mut self, peers: &BTreeMap<NodeId, Peer>) -> io::Result<()> {
        lock(&self.0).clone_from(peers);
        Ok(())
    }
}

fn incarnation(node: u64) -> u128 {
    u128::from(node) << 64 | 7
}

/// Asks a replica for its state.
pub(crate) struct Inspect<S>(PhantomData<S>);

impl<S> Default for Inspect<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<S: Send + 'static> Message for Inspect<S> {
    type Result = Option<S>;
}

impl<S: StateMachine> Handler<Inspect<S>> for Replica<S> {
    type Result = Option<S>;

    fn handle(&mut self, _: Inspect<S>, _: &mut Self::Context) -> Option<S> {
        Some(self.replica.machine().clone())
    }
}

impl World {
    /// Makes a cluster of `size` nodes, none of which is started.
    pub(super) fn new(size: u64, mut random: Random) -> Rc<Self> {
        let began = Instant::now();
        let slot = |random: &mut Random| Slot {
            platter: Platter::new(random.fork()),
            calendar: Arc::new(Skewed { began, offset: AtomicI64::new(0) }),
            known: Arc::default(),
            generation: 0,
            running: None,
        };
        let nodes = (1..=size).map(|node| (node, slot(&mut random))).collect();
        Rc::new(Self {
            wire: Wire::new(random.fork()),
            history: RefCell::default(),
            tally: RefCell::default(),
            token: Cell::new(None),
            over: Cell::new(false),
            protocol: Cell::new(Protocol::Raft),
            lease: Cell::new(false),
            watched: Cell::new(GROUP),
            work: RefCell::default(),
            began,
            random: RefCell::new(random),
            nodes: RefCell::new(nodes),
            clients: RefCell::default(),
        })
    }

    /// Returns the ids of all nodes.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.nodes.borrow().keys().copied().collect()
    }

    /// Returns the ends of all connections: nodes, and clients that are no members.
    pub(super) fn ends(&self) -> Vec<u64> {
        self.ids().into_iter().chain(self.clients.borrow().iter().copied()).collect()
    }

    /// Returns a node that lives.
    pub(super) fn living(&self, node: u64) -> Option<Running> {
        let running = self.nodes.borrow()[&node].running.clone();
        running.filter(|running| !running.pulse.is_dead())
    }

    /// Returns the nodes that are dead.
    pub(super) fn dead(&self) -> Vec<u64> {
        self.ids().into_iter().filter(|node| self.living(*node).is_none()).collect()
    }

    /// Returns the disk of a node.
    pub(super) fn platter(&self, node: u64) -> Platter {
        self.nodes.borrow()[&node].platter.clone()
    }

    /// Sets how many milliseconds a node's wall clock is fast.
    pub(super) fn set_wall(&self, node: u64, offset: i64) {
        self.nodes.borrow()[&node].calendar.offset.store(offset, Ordering::Relaxed);
    }

    /// Reads a node's wall clock.
    pub(super) fn wall(&self, node: u64) -> WallTime {
        self.nodes.borrow()[&node].calendar.wall()
    }

    /// Returns how long the world exists, in milliseconds.
    pub(super) fn moment(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Counts something.
    pub(super) fn count(&self, what: &'static str) {
        self.tally.borrow_mut().add(what, 1);
    }

    /// Starts a node that is dead, from what its last life left; it may die on the way.
    pub(super) async fn start(&self, id: u64) {
        let (actors, journal_tasks) = (LocalSet::new(), LocalSet::new());
        let pulse = self.next_life(id);
        let Some(journal) = self.open_journal(&pulse) else { return };
        let (journal, recovered) = journal;
        let dying = Arc::clone(&pulse);
        let records = {
            let _of_its_own = journal_tasks.enter();
            JournalActor::new(journal, Box::new(move |_| dying.die(false))).launch_here()
        };
        let shared = {
            let _of_its_own = actors.enter();
            let parts = self.parts(&pulse, records, recovered);
            assemble(parts, Some(self.wire.listen(pulse.life))).expect("the journal makes sense").0
        };
        let node = Node { shared };
        if let Some(work) = self.work.borrow().as_ref() {
            let _of_its_own = actors.enter();
            tokio::task::spawn_local(work(node.clone()));
        }
        tokio::task::spawn_local(Arc::clone(&pulse).run(actors, journal_tasks));
        let mut hosting = node.host::<Chronicle>(GROUP).protocol(self.protocol.get());
        if self.protocol.get() == Protocol::MultiPaxos {
            // On one thread: in one actor or in three, by turns.
            let generation = self.slot(id, |slot| slot.generation);
            let places = [Placement::Together, Placement::Apart];
            hosting = hosting.placement(places[generation as usize % places.len()]);
        }
        match hosting.await {
            Ok(client) => self.slot(id, |slot| {
                slot.running = Some(Running { pulse, client, node });
            }),
            Err(error) => {
                assert!(pulse.is_dead(), "node {id} does not host: {error}");
                self.settle(id);
            }
        }
    }

    /// Lets a node that lives host one more group.
    pub(super) async fn host(&self, node: u64, name: &str) -> Client<Chronicle> {
        let running = self.living(node).expect("a node that lives hosts more");
        running.node.host::<Chronicle>(name).await.expect("the name is free")
    }

    /// Makes a client that is no member, with a place of its own in the network.
    pub(super) async fn connect(&self, number: u64) -> Way {
        let (calls, called) = Courses::new();
        let (found, finding) = oneshot::channel();
        let life = client(number);
        self.clients.borrow_mut().push(life.node);
        let greeting = Greeting::new(GROUP, Chronicle::NAME, Chronicle::INTERFACE);
        let calendar = Skewed { began: self.began, offset: AtomicI64::new(0) };
        let courier = Courier::new(remote::Parts {
            name: GROUP.into(),
            group: GroupId::named(GROUP),
            seeds: self.ids().into_iter().map(|node| address(node).to_string()).collect(),
            seed: self.random.borrow_mut().next(),
            greeting,
            network: self.wire.of(life),
            clock: NodeClock::start(Arc::new(calendar)),
            tick: TICK,
        });
        tokio::task::spawn_local(courier.run(called, (found, Duration::from_secs(60))));
        let found = finding.await.expect("the courier lives");
        found.expect("some node takes the client");
        Way { client: Client::remote(calls), pulse: None }
    }

    fn slot<T>(&self, node: u64, act: impl FnOnce(&mut Slot) -> T) -> T {
        act(self.nodes.borrow_mut().get_mut(&node).expect("the node is one of the cluster"))
    }

    fn next_life(&self, node: u64) -> Arc<Pulse> {
        let generation = self.slot(node, |slot| {
            slot.generation += 1;
            slot.generation
        });
        Pulse::new(Life { node, generation }, self.wire.clone())
    }

    /// Opens the journal of a node; `None` if the node dies of it.
    fn open_journal(&self, pulse: &Arc<Pulse>) -> Option<(Journal<NodeDisk>, Recovered)> {
        let (node, platter) = (pulse.life.node, self.platter(pulse.life.node));
        let config = journal::Config::builder().segment_bytes(SEGMENT_BYTES).build();
        let config = config.expect("segments may be short");
        match Journal::open(platter.attach(Arc::clone(pulse)), JournalId(incarnation(node)), config)
        {
            Ok(opened) => Some(opened),
            Err(error) => {
                assert!(platter.has_failed(), "node {node} does not start: {error}");
                self.count("death at the start");
                pulse.die(true);
                self.settle(node);
                None
            }
        }
    }

    fn settle(&self, node: u64) {
        let machine = self.random.borrow_mut().chance(500);
        self.slot(node, |slot| slot.platter.settle(machine));
    }

    fn parts(&self, pulse: &Pulse, records: Records, recovered: Recovered) -> Parts {
        let number = pulse.life.node;
        let builder = self.ids().into_iter().fold(Node::builder().id(number), |builder, peer| {
            builder.peer(peer, address(peer).to_string())
        });
        let builder = builder.election_timeout(ELECTION_TIMEOUT).heartbeat(HEARTBEAT);
        // What is proposed again at once must fit into a segment, too.
        let builder = builder.set(&APPEND_BYTES_MAX, Size(SEGMENT_BYTES as u64 / 4));
        let builder = builder.lease(self.lease.get());
        let settings = builder.validate().expect("the settings are valid");
        let node = settings.id;
        let (known, calendar) =
            self.slot(number, |slot| (Arc::clone(&slot.known), Arc::clone(&slot.calendar)));
        let mut peers = lock(&known).clone();
        for (peer, address) in settings.peers.iter().filter(|(peer, _)| **peer != node) {
            peers.entry(*peer).or_default().address.clone_from(address);
        }
        let roster = Roster::new(node, true, peers, Box::new(Known(known)));
        let identity = Identity {
            cluster: "paused".into(),
            node,
            incarnation: incarnation(number),
            address: settings.address.as_deref().map(Arc::from),
            roster,
            presence: Presence::new(ELECTION_TIMEOUT),
        };
        let mut drawn = self.random.borrow_mut().fork();
        // Groups are small, and no run is long enough for a snapshot to be due.
        let shelves: Shelves = Arc::new(|_| Ok(Box::new(MemoryDisk::new()) as ShelfDisk));
        let workers: Workers = Arc::new(|job| job());
        Parts {
            founders: settings.founders(),
            join: Vec::new(),
            settings,
            identity,
            recovered,
            records,
            archive: Archive::new(shelves, Arc::clone(&workers)).start(),
            workers,
            calendar,
            tick: TICK,
            network: self.wire.of(pulse.life),
            links: Links::default(),
            draw: Box::new(move || Ok(drawn.next())),
            http: None,
        }
    }

    /// Ends the life of a node if it lives, and settles its disk: what was not synced is lost if
    /// the `machine` ended and not just the process.
    pub(super) fn bury(&self, node: u64, machine: bool) {
        if let Some(running) = self.slot(node, |slot| slot.running.take()) {
            // Whoever talks to a machine without power hears nothing, not even an end.
            running.pulse.die(machine);
            self.platter(node).settle(machine);
        }
    }

    /// Returns how the group stands on a node that lives.
    pub(super) fn status(&self, node: u64) -> Option<Status> {
        let running = self.living(node)?;
        let group = running.node.shared.group(self.watched.get()).ok()?;
        Some(group.status().1)
    }

    /// Tells the group on a node that lives that the node is about to end; true once it leads no
    /// more.
    pub(super) async fn resign(&self, node: u64) -> bool {
        let group = self.living(node).and_then(|it| it.node.shared.group(GROUP).ok());
        group.expect("the node lives").resign().await.unwrap_or_default()
    }

    /// Returns the node that leads the latest term.
    pub(super) fn leader(&self) -> Option<u64> {
        let leads = |node: &u64| self.status(*node).filter(|status| status.role == "leader");
        let ids = self.ids().into_iter();
        ids.filter_map(|node| leads(&node).map(|status| (status.term, node))).max().map(|it| it.1)
    }

    /// Returns the states of all nodes that live.
    pub(super) async fn states(&self) -> Vec<Chronicle> {
        let mut states = Vec::new();
        for node in self.ids() {
            let Some(running) = self.living(node) else { continue };
            states.extend(running.client.addr().send(Inspect::default()).await.ok().flatten());
        }
        states
    }

    /// Returns the hash of all that happened, and what was counted.
    pub(super) fn seen(&self) -> (Trace, Tally) {
        let (mut trace, mut tally) = self.wire.seen();
        for slot in self.nodes.borrow().values() {
            let (disk, counted) = slot.platter.seen();
            trace.note(&[disk.0], &[]);
            tally.merge(&counted);
        }
        let history = self.history.borrow();
        trace.note(&[history.trace().0], &[]);
        history.count(&mut tally);
        tally.merge(&self.tally.borrow());
        (trace, tally)
    }
}
