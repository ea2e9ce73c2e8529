//! Starting a node: its directory, its ports, its thread, its first actors.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use actix::Actor;
use consensus_core::journal::{self, Journal, JournalError, JournalId};
use tokio::sync::oneshot;

use super::{Node, Shared, builder::Settings, directory::Directory, host::NodeActor};
use crate::{
    clock::{Clock, NodeClock},
    error::{Code, Error, Result},
    http,
    journal::{FileDisk, JournalActor},
    sync::lock,
    transport::{self, Identity, Inlets, Link, Links},
};

/// How often roles and replicas look at the time: a fifth of a heartbeat, within reason.
fn tick_period(heartbeat: Duration) -> Duration {
    (heartbeat / 5).clamp(Duration::from_millis(2), Duration::from_millis(20))
}

/// Starts a node and returns once it listens.
pub(super) fn launch(settings: Settings) -> Result<Node> {
    let peer_port = settings.peers.get(&settings.id).map(|address| bind(*address, "peer"));
    let peer_port = peer_port.transpose()?;
    let http_port = settings.http.map(|address| bind(address, "HTTP")).transpose()?;
    let http_address = http_port.as_ref().and_then(|port| port.local_addr().ok());

    let members = settings.members();
    let directory = Directory::open(&settings.data, &settings.cluster, settings.id, &members)?;
    let incarnation = directory.incarnation()?;
    let disk = FileDisk::new(directory.journal());
    let opened = Journal::open(disk, JournalId(incarnation), journal::Config::default());
    let (journal, recovered) = opened.map_err(|error| journal_error(&error, &settings))?;
    if let Some(cut) = &recovered.cut {
        tracing::info!(
            node = %settings.id, file = %cut.file,
            "the journal ends with a commit that was never finished; it is cut, nothing answered \
             is lost"
        );
    }
    let seen = directory.peers()?;
    let others = settings.peers.keys().filter(|peer| **peer != settings.id);
    let identity = Identity::new(
        settings.cluster.as_str().into(),
        settings.id,
        incarnation,
        others.map(|peer| (*peer, seen.get(peer).copied())).collect(),
        Box::new(directory),
    );

    let (started, start) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let parts = Parts { settings, identity, journal, recovered, peer_port, http_port };
    let thread =
        std::thread::Builder::new().name("consensus-node".to_owned()).spawn(move || {
            let system = actix_rt::System::new();
            system.block_on(run(parts, http_address, started, stopped));
        })?;
    let shared =
        start.recv().map_err(|_| Error::stopping(consensus_core::Outcome::NotApplied))??;
    *lock(&shared.stop) = Some(stop);
    *lock(&shared.thread) = Some(thread);
    Ok(Node { shared })
}

struct Parts {
    settings: Settings,
    identity: Identity,
    journal: Journal<FileDisk>,
    recovered: journal::Recovered,
    peer_port: Option<TcpListener>,
    http_port: Option<TcpListener>,
}

/// The life of the node's thread.
async fn run(
    parts: Parts,
    http_address: Option<SocketAddr>,
    started: std::sync::mpsc::Sender<Result<Arc<Shared>>>,
    stopped: oneshot::Receiver<()>,
) {
    let Parts { settings, identity, journal, recovered, peer_port, http_port } = parts;
    let (node, cluster) = (settings.id, Arc::clone(&identity.cluster));
    let members = settings.members();

    let disk_thread = actix_rt::Arbiter::new();
    let journal = JournalActor::launch(journal, &disk_thread);
    let clock = Clock::launch(tick_period(settings.heartbeat));
    let inlets = Inlets::default();
    let mut links = BTreeMap::new();
    for (peer, address) in settings.peers.iter().filter(|(peer, _)| **peer != node) {
        links.insert(*peer, Link::launch(identity.clone(), *peer, *address));
    }
    let actor = NodeActor {
        settings,
        recovered,
        journal,
        clock,
        time: NodeClock::start(),
        links: Links::new(links),
        inlets: inlets.clone(),
        hosted: Vec::new(),
    };
    let shared = Arc::new(Shared {
        id: node,
        cluster,
        members,
        http: http_address,
        groups: Mutex::new(BTreeMap::new()),
        all_hosted: AtomicBool::new(false),
        started: Instant::now(),
        actor: actor.start(),
        stop: Mutex::new(None),
        thread: Mutex::new(None),
    });

    let listener = peer_port.map(tokio::net::TcpListener::from_std).transpose();
    let server = http_port.map(|port| http::serve(port, Arc::clone(&shared))).transpose();
    let (listener, server) = match (listener, server) {
        (Ok(listener), Ok(server)) => (listener, server),
        (Err(error), _) | (_, Err(error)) => {
            started.send(Err(error.into())).ok();
            return;
        }
    };
    let listening = listener.map(|port| actix_rt::spawn(transport::listen(port, identity, inlets)));
    let serving = server.map(|server| (server.handle(), actix_rt::spawn(server)));
    tracing::info!(%node, cluster = %shared.cluster, "started");
    started.send(Ok(Arc::clone(&shared))).ok();
    stopped.await.ok();

    if let Some((handle, task)) = serving {
        handle.stop(false).await;
        task.await.ok();
    }
    if let Some(task) = listening {
        task.abort();
    }
    shared.actor.send(super::host::Shutdown).await.ok();
    disk_thread.stop();
    disk_thread.join().ok();
}

fn bind(address: SocketAddr, what: &str) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
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

fn journal_error(error: &JournalError, settings: &Settings) -> Error {
    let code = match error {
        JournalError::Full => Code::StorageFull,
        JournalError::Failed { .. } => Code::Disk,
        _ => Code::JournalCorrupt,
    };
    Error::new(code, format!("the journal in {}: {error}", settings.data.display()))
}
