//! A node: the actors of one process, their journal, their links, and their ports.

pub(crate) mod builder;
mod card;
mod deciding;
mod directory;
mod ending;
mod group;
mod host;
pub(crate) mod launch;
mod parts;
mod reception;
mod seating;
mod wiring;
mod wish;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{Addr, ArbiterHandle};
use consensus_core::{Index, NodeId, Status, snapshot::Manifest};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{broadcast, oneshot},
};

pub use builder::NodeBuilder;
pub(crate) use card::has_joined;
pub(crate) use deciding::checked;
pub use deciding::{Decided, Deciding};
pub(crate) use ending::{Doors, Visit};
pub(crate) use group::{Arguments, Group, Replied};
pub use host::Hosting;
use host::NodeActor;
pub(crate) use wish::{Effect, Part, Wish};

use crate::{
    archive::Shown,
    clock::NodeClock,
    config::{
        Layers, Settings,
        table::{DEADLINE, PROTOCOL, SHUTDOWN_GRACE},
    },
    decisions::Desk,
    error::{Code, Error, Result},
    replicated::{Protocol, Replicated},
    saga::Sagas,
    sync::lock,
    transport::{Identity, Network, REMOVED, Standing, guest::Places},
};

/// A running node. Clones stand for the same node, which ends when [`Node::stop`] is called or its
/// process ends.
///
/// Its actors run on a thread of their own, so that a `Node` works in any `main`: plain, tokio's or
/// actix's.
#[derive(Clone)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
}

/// What the node's handles and its HTTP server share.
pub(crate) struct Shared {
    pub(crate) id: NodeId,
    pub(crate) cluster: Arc<str>,
    pub(crate) identity: Identity,
    pub(crate) doors: Arc<Doors>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) http: Option<SocketAddr>,
    /// The places of clients that are no members.
    pub(crate) guests: Places,
    /// With what code says of the groups that are hosted.
    settings: Mutex<Settings>,
    groups: Mutex<BTreeMap<String, Arc<dyn Group>>>,
    /// The sagas that are hosted, by the groups of their logs.
    sagas: Mutex<BTreeMap<String, Sagas>>,
    /// Whether all groups are hosted; until then, one that is unknown may come.
    all_hosted: AtomicBool,
    started: Instant,
    actor: Addr<NodeActor>,
    /// Where callers wait for decisions, on a node that takes part in them.
    desk: Option<Arc<Desk>>,
    pub(crate) arbiter: Option<ArbiterHandle>,
    /// Ends the node, within so long.
    stop: Mutex<Option<oneshot::Sender<Duration>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Node {
    /// Starts to configure a node for a `main` of one's own.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// Returns the node's id.
    pub fn id(&self) -> u64 {
        self.shared.id.number()
    }

    /// Returns where the node serves HTTP, if it does.
    pub fn http(&self) -> Option<SocketAddr> {
        self.shared.http
    }

    /// Returns the arbiter of the node's actors, for actors and futures that call its groups often:
    /// there a call wakes no other thread. Whatever blocks on it holds up the node.
    ///
    /// ```no_run
    /// # use consensus_actors::prelude::*;
    /// # fn example(node: Node) {
    /// node.arbiter().spawn(async { /* calls one after the other */ });
    /// # }
    /// ```
    pub fn arbiter(&self) -> ArbiterHandle {
        self.shared.arbiter.clone().expect("a node's actors have an arbiter")
    }

    /// Hosts a replica of the group `name`: `node.host::<Counter>("hits").await?` returns its typed
    /// client.
    ///
    /// It returns before there is a leader: calls wait for one until their deadline.
    ///
    /// # Errors
    /// [`Code::GroupExists`](crate::Code::GroupExists) when the node hosts a group of that name
    /// already, and [`Code::JournalCorrupt`](crate::Code::JournalCorrupt) when its records
    /// contradict each other.
    pub fn host<S: Replicated>(&self, name: impl Into<String>) -> Hosting<S> {
        Hosting::new(Arc::clone(&self.shared), name.into())
    }

    /// Runs until the process is asked to end (Ctrl-C or SIGTERM), then ends the node gracefully, as
    /// [`Node::shutdown`] does. A second signal ends the process at once.
    ///
    /// All groups are hosted by then: from now on the HTTP interface calls others unknown, and no
    /// longer not ready.
    ///
    /// # Errors
    /// [`Code::Application`](crate::Code::Application) when signals cannot be awaited.
    pub async fn run(self) -> Result {
        self.shared.all_hosted.store(true, Ordering::Release);
        self.shared.warn_of_unhosted();
        let mut signals = Signals::listen()?;
        signals.next().await;
        tokio::select! {
            biased;
            () = self.shutdown() => Ok(()),
            () = signals.next() => {
                tracing::warn!(node = %self.shared.id, "ends at once");
                std::process::exit(INTERRUPTED)
            }
        }
    }

    /// Ends the node gracefully, within the time that [`NodeBuilder::shutdown_grace`] allows: it
    /// refuses new calls over HTTP, hands over what it leads, answers what is in flight, and writes
    /// what waits for the disk.
    pub async fn shutdown(&self) {
        tracing::info!(node = %self.shared.id, "stopping");
        let ended = lock(&self.shared.ended).take();
        if let Some(stop) = lock(&self.shared.stop).take() {
            let grace = lock(&self.shared.settings).get(&SHUTDOWN_GRACE);
            stop.send(grace).ok();
        }
        if let Some(ended) = ended {
            ended.await.ok();
        }
        self.stop();
    }

    /// Stops the node's actors at once and waits until they have ended. What was answered is durable
    /// already; whoever waits is told that the node stops.
    pub fn stop(&self) {
        let stop = lock(&self.shared.stop).take();
        if let Some(stop) = stop {
            stop.send(Duration::ZERO).ok();
        }
        let thread = lock(&self.shared.thread).take();
        if let Some(thread) = thread {
            thread.join().ok();
        }
        self.shared.identity.roster.close();
    }
}

/// What asks a process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// The exit code after a second signal, as of a process that an interrupt ended.
const INTERRUPTED: i32 = 130;

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let (interrupt, terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("id", &self.shared.id).finish_non_exhaustive()
    }
}

/// Where a group's actors write how things stand, for operators and for clients.
#[derive(Debug)]
pub(crate) struct Board {
    clock: NodeClock,
    now: Mutex<(Status, Index)>,
    /// The snapshots of the group that are on this node, oldest first.
    snapshots: Mutex<Vec<Manifest>>,
    /// Whether the replica has calls in flight, which need to look at the time.
    has_calls: AtomicBool,
    /// Says that the leader or the membership is another. (It wakes whoever follows in their order,
    /// as a `watch` does not, whose runs under test would differ.)
    changes: broadcast::Sender<()>,
    /// Says that more is applied.
    applies: broadcast::Sender<()>,
}

impl Board {
    pub(crate) fn new(clock: NodeClock) -> Self {
        let status = Status { role: "follower", ..Status::default() };
        let (now, snapshots) = (Mutex::new((status, Index::ZERO)), Mutex::default());
        let (has_calls, changes) = (AtomicBool::new(false), broadcast::Sender::new(1));
        let applies = broadcast::Sender::new(1);
        Self { clock, now, snapshots, has_calls, changes, applies }
    }

    pub(crate) fn set_status(&self, status: Status) {
        let mut now = lock(&self.now);
        let Status { leader, membership, .. } = &now.0;
        let changes = (*leader, membership) != (status.leader, &status.membership);
        now.0 = status;
        drop(now);
        if changes {
            self.changes.send(()).ok();
        }
    }

    pub(crate) fn set_applied(&self, applied: Index) {
        lock(&self.now).1 = applied;
        self.applies.send(()).ok();
    }

    pub(crate) fn snapshots(&self) -> Vec<Manifest> {
        lock(&self.snapshots).clone()
    }

    pub(crate) fn set_calls(&self, any: bool) {
        self.has_calls.store(any, Ordering::Relaxed);
    }

    pub(crate) fn has_calls(&self) -> bool {
        self.has_calls.load(Ordering::Relaxed)
    }

    pub(crate) fn read(&self) -> (Status, Index) {
        lock(&self.now).clone()
    }

    /// Tells whether this replica leads and holds a lease now.
    pub(crate) fn holds_lease(&self) -> bool {
        let until = lock(&self.now).0.lease_until;
        until.is_some_and(|until| self.clock.now() < until)
    }

    /// Follows who leads and who the members are.
    pub(crate) fn follow(&self) -> broadcast::Receiver<()> {
        self.changes.subscribe()
    }

    /// Follows what is applied.
    pub(crate) fn follow_applied(&self) -> broadcast::Receiver<()> {
        self.applies.subscribe()
    }
}

impl Shown for Board {
    fn show(&self, snapshots: Vec<Manifest>) {
        *lock(&self.snapshots) = snapshots;
    }
}

/// How long a node that never says that it hosts all may be about to host more.
const STARTING: Duration = Duration::from_secs(10);

impl Shared {
    /// Returns the hosted groups by name.
    pub(crate) fn groups(&self) -> MutexGuard<'_, BTreeMap<String, Arc<dyn Group>>> {
        lock(&self.groups)
    }

    /// Adds sagas that are hosted.
    pub(crate) fn add_sagas(&self, group: &str, sagas: &Sagas) {
        lock(&self.sagas).insert(group.to_owned(), sagas.clone());
    }

    /// Returns the sagas whose logs a group keeps.
    pub(crate) fn sagas(&self, group: &str) -> Result<Sagas> {
        if let Some(sagas) = lock(&self.sagas).get(group) {
            return Ok(sagas.clone());
        }
        self.group(group)?;
        let message = format!("the group {group:?} keeps no logs of sagas");
        Err(Error::new(Code::UnknownGroup, message))
    }

    /// Adds what code says of a group that is hosted.
    fn configure(&self, group: &str, said: Layers) -> Result {
        lock(&self.settings).add(group, said)
    }

    /// Returns the deadline of calls that name none.
    fn deadline(&self) -> Duration {
        lock(&self.settings).get(&DEADLINE)
    }

    /// Returns the protocol that replicates a group.
    fn protocol_of(&self, group: &str) -> Protocol {
        lock(&self.settings).group(group).get(&PROTOCOL)
    }

    /// Returns which settings count, and where each comes from.
    pub(crate) fn configuration(&self) -> serde_json::Value {
        lock(&self.settings).json()
    }

    /// Says which settings are of no group that is hosted: a name may be misspelled, or the group
    /// may be another node's.
    fn warn_of_unhosted(&self) {
        let groups = self.groups();
        let known: Vec<&str> = groups.keys().map(String::as_str).collect();
        for (name, origin) in lock(&self.settings).other_groups(&known) {
            let meant = crate::suggest::did_you_mean(&name, known.iter().copied());
            tracing::warn!(
                node = %self.id, "{origin}: this node hosts no group {name:?}{meant}; what is said \
                 of it has no effect here"
            );
        }
    }

    /// Checks that this node takes part in its cluster: one that does not reaches no leader, and
    /// its callers would wait in vain.
    pub(crate) fn check_part(&self) -> Result {
        let reason = match self.identity.roster.standing() {
            Standing::Member => return Ok(()),
            Standing::Waiting => self.identity.wanted(),
            Standing::Removed => REMOVED.to_owned(),
            Standing::Refused(reason) => reason,
        };
        Err(Error::new(Code::NoPart, format!("call another node: {reason}")))
    }

    /// Returns a hosted group.
    pub(crate) fn group(&self, name: &str) -> Result<Arc<dyn Group>> {
        let groups = self.groups();
        groups.get(name).cloned().ok_or_else(|| {
            let names = groups.keys().map(String::as_str);
            let known = crate::suggest::listed(names.clone());
            let meant = crate::suggest::did_you_mean(name, names);
            let node = self.id.number();
            if self.all_hosted.load(Ordering::Acquire) || self.started.elapsed() > STARTING {
                let message =
                    format!("node {node} hosts no group {name:?}{meant}; it hosts {known}");
                return Error::new(Code::UnknownGroup, message);
            }
            let message = format!(
                "node {node} has just started and hosts no group {name:?} yet{meant}; it hosts \
                 {known}; call again"
            );
            Error::new(Code::Starting, message)
        })
    }
}
