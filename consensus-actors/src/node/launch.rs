//! Starting a node: its directory, its ports, its thread, its first actors.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use actix::{Actor, Addr, Arbiter};
use consensus_core::{
    NodeId,
    journal::{self, Journal, JournalError, JournalId},
};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    Node, Shared,
    card::Card,
    directory::{Directory, create_durably},
    ending,
    host::{Draw, NodeActor},
};
use crate::{
    abort::AbortOnPanic,
    archive::{Archive, ShelfDisk, Shelves, Workers},
    clock::{self, Calendar, Clock, MachineCalendar, NodeClock},
    config::{
        Settings,
        table::{ELECTION_TIMEOUT, HEARTBEAT, JOURNAL_SEGMENT},
    },
    error::{Code, Error, Result},
    http,
    journal::{FileDisk, JournalActor, NodeDisk, Records, end_process},
    sync::lock,
    transport::{
        self, Identity, Incoming, Links, Network, Presence, Roster, Tcp, acquaint,
        guest::{Places, Reception},
    },
};

/// How often roles and replicas look at the time: a fifth of a heartbeat, within reason.
pub(crate) fn tick_period(heartbeat: Duration) -> Duration {
    (heartbeat / 5).clamp(Duration::from_millis(2), Duration::from_millis(20))
}

/// Starts a node and returns once it listens.
pub(crate) fn launch(settings: Settings) -> Result<Node> {
    // Ports come first: what another process has is said before the disk is touched.
    let noted = Card::read(&settings.data)?.and_then(|card| card.listen?.parse().ok());
    let peer_port = settings.listen.or(noted).map(|address| bind(address, "peer")).transpose()?;
    let http_port = settings.http.map(|address| bind(address, "HTTP")).transpose()?;
    let http_address = http_port.as_ref().and_then(|port| port.local_addr().ok());

    let directory = Directory::open(&settings)?;
    let card = directory.card().clone();
    let config = journal_config(&settings);
    let files = FileDisk::new(directory.journal()).with_spare(config.segment_bytes() as u64);
    let disk: NodeDisk = Box::new(files);
    let opened = Journal::open(disk, JournalId(card.incarnation), config);
    let (journal, recovered) = opened.map_err(|error| journal_error(&error, &settings))?;
    if let Some(cut) = &recovered.cut {
        tracing::info!(
            node = %settings.id, file = %cut.file,
            "the journal ends with a commit that was never finished; it is cut, nothing answered \
             is lost"
        );
    }
    let shelves = shelves(directory.snapshots());
    let roster =
        Roster::new(card.node, !card.founders.is_empty(), card.roster(), Box::new(directory));
    let identity = Identity {
        cluster: settings.cluster.as_str().into(),
        node: card.node,
        incarnation: card.incarnation,
        address: card.address.as_deref().map(Arc::from),
        roster,
        presence: Presence::new(settings.get(&ELECTION_TIMEOUT)),
    };

    let (started, start) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let ports = Ports { peer: peer_port, http: http_port };
    let thread =
        std::thread::Builder::new().name("consensus-node".to_owned()).spawn(move || {
            let system = actix_rt::System::new();
            let disk_thread = Arbiter::new();
            let records = JournalActor::new(journal, Box::new(end_process)).launch(&disk_thread);
            let archive_thread = Arbiter::new();
            let workers: Workers = Arc::new(work);
            let archive = Archive::new(shelves, Arc::clone(&workers)).launch(&archive_thread);
            let parts = Parts {
                tick: tick_period(settings.get(&HEARTBEAT)),
                settings,
                founders: card.founders,
                join: card.join,
                identity,
                recovered,
                records,
                archive,
                workers,
                calendar: Arc::new(MachineCalendar),
                network: Arc::new(Tcp),
                links: Links::default(),
                draw: Box::new(|| getrandom::u64().map_err(io::Error::other)),
                http: http_address,
            };
            let written = system.block_on(run(parts, ports, started, stopped));
            archive_thread.stop();
            archive_thread.join().ok();
            disk_thread.stop();
            // A disk that stalls would hold up the end for as long as it likes.
            if written {
                disk_thread.join().ok();
            }
            end.send(()).ok();
        })?;
    let stopping = |_| Error::stopping(consensus_core::Outcome::NotApplied);
    let shared = match start.recv().map_err(stopping).flatten() {
        Ok(shared) => shared,
        Err(error) => {
            // Whoever is told may start it otherwise, in the same directory.
            thread.join().ok();
            return Err(error);
        }
    };
    *lock(&shared.stop) = Some(stop);
    *lock(&shared.thread) = Some(thread);
    *lock(&shared.ended) = Some(ended);
    Ok(Node { shared })
}

/// Returns what opens the snapshots of groups in `directory`.
fn shelves(directory: PathBuf) -> Shelves {
    Arc::new(move |group| {
        let path = directory.join(format!("{:016x}", group.0));
        create_durably(&path)?;
        Ok(Box::new(FileDisk::new(path)) as ShelfDisk)
    })
}

/// Has something done that takes long, on a thread of its own; here if there can be none.
pub(crate) fn work(job: Box<dyn FnOnce() + Send>) {
    let spawned = std::thread::Builder::new().name("consensus-snapshot".to_owned()).spawn(|| {
        let _guard = AbortOnPanic("snapshot");
        job();
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "there is no thread for a snapshot");
        std::process::abort();
    }
}

/// The ports of a node, bound.
struct Ports {
    peer: Option<TcpListener>,
    http: Option<TcpListener>,
}

/// What a node's actors are made of, and the world that they meet: time, the network, chance.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    /// The first members, with their addresses; none for a node that joins.
    pub(crate) founders: BTreeMap<NodeId, String>,
    /// Whom to ask for the cluster's nodes, until this one is a member.
    pub(crate) join: Vec<String>,
    pub(crate) identity: Identity,
    pub(crate) recovered: journal::Recovered,
    pub(crate) records: Records,
    pub(crate) archive: Addr<Archive>,
    pub(crate) workers: Workers,
    pub(crate) calendar: Arc<dyn Calendar>,
    pub(crate) tick: Duration,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) links: Links,
    pub(crate) draw: Draw,
    pub(crate) http: Option<SocketAddr>,
}

/// Starts a node's actors on this thread, and listens to its peers if they can come in; returns the
/// tasks that go on beside them.
pub(crate) fn assemble(
    parts: Parts,
    incoming: Option<impl Incoming + 'static>,
) -> Result<(Arc<Shared>, Vec<JoinHandle<()>>)> {
    let Parts { settings, founders, join, identity, recovered, records, .. } = parts;
    let Parts { archive, workers, calendar, tick, network, links, draw, http, .. } = parts;
    let (id, cluster) = (settings.id, Arc::clone(&identity.cluster));
    let inlets = identity.presence.inlets();
    links.sync(&network, &identity);
    let following = links.clone().follow(Arc::clone(&network), identity.clone());
    let acquainting = acquaint(Arc::clone(&network), identity.clone(), join);
    let mut tasks = vec![actix_rt::spawn(following), actix_rt::spawn(acquainting)];
    let clock = Clock::launch(tick);
    clock.do_send(clock::Register(Arc::new(identity.presence.clone())));
    let mut actor = NodeActor {
        settings: settings.clone(),
        founders,
        roster: identity.roster.clone(),
        recovered,
        records,
        archive,
        workers,
        clock,
        presence: identity.presence.clone(),
        time: NodeClock::start(calendar),
        draw,
        links,
        inlets: inlets.clone(),
        hosted: Vec::new(),
        desk: None,
    };
    let desk = actor.seat_decisions()?;
    let shared = Arc::new(Shared {
        id,
        cluster,
        identity: identity.clone(),
        doors: Arc::default(),
        network,
        http,
        guests: Places::default(),
        settings: Mutex::new(settings),
        groups: Mutex::new(BTreeMap::new()),
        sagas: Mutex::new(BTreeMap::new()),
        all_hosted: AtomicBool::new(false),
        started: Instant::now(),
        actor: actor.start(),
        desk,
        arbiter: Arbiter::try_current(),
        stop: Mutex::new(None),
        thread: Mutex::new(None),
        ended: Mutex::new(None),
    });
    let reception = Arc::clone(&shared) as Arc<dyn Reception>;
    let listen =
        |incoming| actix_rt::spawn(transport::listen(incoming, identity, inlets, reception));
    tasks.extend(incoming.map(listen));
    Ok((shared, tasks))
}

/// The life of the node's thread; tells whether the journal has written all that waited.
async fn run(
    parts: Parts,
    ports: Ports,
    started: std::sync::mpsc::Sender<Result<Arc<Shared>>>,
    stopped: oneshot::Receiver<Duration>,
) -> bool {
    let records = parts.records.clone();
    let incoming = match ports.peer.map(tokio::net::TcpListener::from_std).transpose() {
        Ok(incoming) => incoming,
        Err(error) => {
            started.send(Err(error.into())).ok();
            return true;
        }
    };
    let (shared, tasks) = match assemble(parts, incoming) {
        Ok(assembled) => assembled,
        Err(error) => {
            started.send(Err(error)).ok();
            return true;
        }
    };
    let server = match ports.http.map(|port| http::serve(port, Arc::clone(&shared))).transpose() {
        Ok(server) => server,
        Err(error) => {
            started.send(Err(error.into())).ok();
            return true;
        }
    };
    let serving = server.map(|server| (server.handle(), actix_rt::spawn(server)));
    tracing::info!(node = %shared.id, cluster = %shared.cluster, "started");
    started.send(Ok(Arc::clone(&shared))).ok();
    let grace = stopped.await.unwrap_or_default();
    let written = grace.is_zero() || ending::prepare(&shared, &records, grace).await;

    if let Some((handle, task)) = serving {
        handle.stop(false).await;
        task.await.ok();
    }
    tasks.iter().for_each(JoinHandle::abort);
    shared.actor.send(super::host::Shutdown).await.ok();
    written
}

fn bind(address: SocketAddr, what: &str) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another process listens there; stop it or take another port"
            }
            _ => "choose an address of this machine",
        };
        Error::new(
            Code::AddressInUse,
            format!("cannot listen on {what} address {address}: {error}; {hint}"),
        )
    })
}

fn journal_config(settings: &Settings) -> journal::Config {
    let segment = usize::try_from(settings.get(&JOURNAL_SEGMENT).0).unwrap_or(usize::MAX);
    let config = journal::Config::builder().segment_bytes(segment).build();
    config.expect("the setting's check is the journal's own")
}

fn journal_error(error: &JournalError, settings: &Settings) -> Error {
    let code = match error {
        JournalError::Full => Code::StorageFull,
        JournalError::Failed { .. } => Code::Disk,
        _ => Code::JournalCorrupt,
    };
    Error::new(code, format!("the journal in {}: {error}", settings.data.display()))
}
