//! The data directory: whose it is, and that only one process uses it.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use consensus_core::NodeId;

use super::card::Card;
use crate::{
    config::Settings,
    error::{Code, Error, Result},
    journal::sync_directory,
    transport::{Peer, Store},
};

/// A data directory that this process holds.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    card: Card,
    /// Locked as long as the process lives.
    _lock: File,
}

impl Directory {
    /// Opens the directory that the settings name, or makes it.
    ///
    /// # Errors
    /// [`Code::DirectoryInUse`], [`Code::OtherCluster`], [`Code::OtherNode`], [`Code::Disk`], and
    /// [`Code::Config`] for other founders than it was made for.
    pub(super) fn open(settings: &Settings) -> Result<Self> {
        let path = &settings.data;
        let failed = |error: io::Error| {
            let message = format!("cannot use the data directory {}: {error}", path.display());
            Error::new(Code::Disk, message)
        };
        create_durably(&path.join("journal")).map_err(failed)?;
        create_durably(&path.join("snapshots")).map_err(failed)?;
        let lock = File::create(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!(
                    "the data directory {} is in use by another process; stop it, or give this \
                     node a directory of its own with --data",
                    path.display()
                );
                return Err(Error::new(Code::DirectoryInUse, message));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }

        let found = Card::read(path)?;
        let mut card = match &found {
            Some(card) => {
                check(path, card, settings)?;
                card.clone()
            }
            None => {
                let incarnation = draw_incarnation().map_err(failed)?;
                refuse_orphaned_journal(path)?;
                let mut card = Card::new(&settings.cluster, settings.id, incarnation);
                if settings.join.is_empty() {
                    card.founders = settings.founders();
                }
                card
            }
        };
        card.configure(settings);
        if found.as_ref() != Some(&card) {
            store(path, &card).map_err(failed)?;
        }
        Ok(Self { path: path.clone(), card, _lock: lock })
    }

    /// Returns what the directory says of itself.
    pub(super) fn card(&self) -> &Card {
        &self.card
    }

    /// Returns where snapshots lie, in a directory for each group.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// Returns where the journal lies.
    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }
}

impl Store for Directory {
    fn store(&mut self, peers: &BTreeMap<NodeId, Peer>) -> io::Result<()> {
        let mut card = self.card.clone();
        card.peers = peers.iter().map(|(node, peer)| (*node, peer.clone().into())).collect();
        store(&self.path, &card)?;
        self.card = card;
        Ok(())
    }
}

/// Checks that a directory is that of the node that is to use it.
fn check(path: &Path, card: &Card, settings: &Settings) -> Result {
    let (cluster, node, path) = (&settings.cluster, settings.id, path.display());
    if card.cluster != *cluster {
        let message = format!(
            "the data directory {path} belongs to cluster {:?}, but this node is configured for \
             {cluster:?}; set --cluster {} or give it another --data",
            card.cluster, card.cluster
        );
        return Err(Error::new(Code::OtherCluster, message));
    }
    if card.node != node {
        let message = format!(
            "the data directory {path} belongs to node {}, but this is node {}; set --id {} or \
             give it another --data",
            card.node.number(),
            node.number(),
            card.node.number()
        );
        return Err(Error::new(Code::OtherNode, message));
    }
    let list = |members: &mut dyn Iterator<Item = &NodeId>| {
        members.map(|member| member.number().to_string()).collect::<Vec<_>>().join(", ")
    };
    let founders = list(&mut card.founders.keys());
    if !settings.join.is_empty() && !card.founders.is_empty() {
        let message = format!(
            "the data directory {path} is that of a node that founded a cluster (of the nodes \
             {founders}); --join is for a node that enters one: give it another --data, or leave \
             --join out"
        );
        return Err(Error::new(Code::Config, message));
    }
    let is_outsider = card.founders.is_empty() && !settings.peers.contains_key(&node);
    let is_same = settings.peers.keys().eq(card.founders.keys());
    if settings.peers.is_empty() || is_outsider || is_same {
        return Ok(());
    }
    let configured = list(&mut settings.peers.keys());
    let message = if card.founders.is_empty() {
        format!(
            "the data directory {path} is that of a node that joined its cluster, but this node is \
             configured to found one of the nodes {configured}; leave --peers out, or give it \
             another --data"
        )
    } else {
        // Two sets of founders have majorities that do not meet: one would lose what the other has
        // acknowledged.
        format!(
            "the data directory {path} belongs to a cluster of the nodes {founders}, but this node \
             is configured for {configured}: --peers says who founded the cluster, and `add`, \
             `remove` and `replace` change who belongs to it; leave --peers out, or give the node \
             another --data"
        )
    };
    Err(Error::new(Code::Config, message))
}

/// Makes a directory and those above it that are missing, each durable in the one above.
pub(super) fn create_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    create_durably(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => sync_directory(parent),
    }
}

/// A journal whose card is gone must not be given a new identity: its votes are somebody else's.
fn refuse_orphaned_journal(path: &Path) -> Result {
    let mut entries = fs::read_dir(path.join("journal"))?;
    if entries.next().is_some() {
        let message = format!(
            "{} holds a journal but no identity.json; restore that file, or give the node an empty \
             --data",
            path.display()
        );
        return Err(Error::new(Code::Disk, message));
    }
    Ok(())
}

/// Replaces the card in one: a crash leaves the old one or the new one.
fn store(path: &Path, card: &Card) -> io::Result<()> {
    let (draft, file) = (path.join("identity.json.new"), path.join("identity.json"));
    let mut written = File::create(&draft)?;
    written.write_all(&serde_json::to_vec_pretty(card)?)?;
    written.sync_all()?;
    fs::rename(&draft, &file)?;
    sync_directory(path)
}

fn draw_incarnation() -> io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u128::from_le_bytes(bytes))
}
