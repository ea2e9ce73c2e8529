//! The data directory: whose it is, and that only one process uses it.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use consensus_core::NodeId;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Code, Error, Result},
    journal::sync_directory,
    transport::Incarnations,
};

/// What a data directory says of itself, in `identity.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Card {
    format: u32,
    cluster: String,
    node: NodeId,
    /// Drawn when the directory was made; a wiped disk comes back as another incarnation.
    incarnation: String,
    /// The members of the cluster, this node included.
    members: Vec<NodeId>,
    /// The incarnation that each peer was first seen under.
    peers: BTreeMap<u64, String>,
}

const FORMAT: u32 = 1;

/// A data directory that this process holds.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    card: Card,
    /// Locked as long as the process lives.
    _lock: File,
}

impl Directory {
    /// Opens the directory of `node` in a cluster of `members`, or makes it.
    ///
    /// # Errors
    /// [`Code::DirectoryInUse`], [`Code::OtherCluster`], [`Code::OtherNode`], [`Code::Disk`], and [`Code::Config`] for
    /// other members than it was made for.
    pub(super) fn open(
        path: &Path,
        cluster: &str,
        node: NodeId,
        members: &[NodeId],
    ) -> Result<Self> {
        let failed = |error: io::Error| {
            let message = format!("cannot use the data directory {}: {error}", path.display());
            Error::new(Code::Disk, message)
        };
        create_durably(&path.join("journal")).map_err(failed)?;
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

        let file = path.join("identity.json");
        let card = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!("{} is damaged: {error}; restore it", file.display());
                Error::new(Code::Disk, message)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let card = Card {
                    format: FORMAT,
                    cluster: cluster.to_owned(),
                    node,
                    incarnation: format!("{:032x}", draw_incarnation().map_err(failed)?),
                    members: members.to_owned(),
                    peers: BTreeMap::new(),
                };
                refuse_orphaned_journal(path)?;
                store(path, &card).map_err(failed)?;
                card
            }
            Err(error) => return Err(failed(error)),
        };
        let directory = Self { path: path.to_owned(), card, _lock: lock };
        directory.check(cluster, node)?;
        directory.check_members(members)?;
        Ok(directory)
    }

    fn check(&self, cluster: &str, node: NodeId) -> Result {
        let path = self.path.display();
        if self.card.format != FORMAT {
            let message = format!(
                "the data directory {path} is of format {}, and this build reads format {FORMAT}; \
                 use the release that wrote it",
                self.card.format
            );
            return Err(Error::new(Code::Disk, message));
        }
        if self.card.cluster != cluster {
            let message = format!(
                "the data directory {path} belongs to cluster {:?}, but this node is configured \
                 for {cluster:?}; set --cluster {} or give it another --data",
                self.card.cluster, self.card.cluster
            );
            return Err(Error::new(Code::OtherCluster, message));
        }
        if self.card.node != node {
            let message = format!(
                "the data directory {path} belongs to node {}, but this is node {}; set --id {} or \
                 give it another --data",
                self.card.node.number(),
                node.number(),
                self.card.node.number()
            );
            return Err(Error::new(Code::OtherNode, message));
        }
        Ok(())
    }

    /// Two sets of members have majorities that do not meet: one would lose what the other has acknowledged.
    fn check_members(&self, members: &[NodeId]) -> Result {
        if self.card.members == members {
            return Ok(());
        }
        let list = |members: &[NodeId]| {
            let numbers = members.iter().map(|member| member.number().to_string());
            numbers.collect::<Vec<_>>().join(", ")
        };
        let message = format!(
            "the data directory {} belongs to a cluster of the nodes {}, but this node is configured for {}: members \
             cannot be changed yet; name the former with --peers, or give it another --data",
            self.path.display(),
            list(&self.card.members),
            list(members)
        );
        Err(Error::new(Code::Config, message))
    }

    /// Returns the node's incarnation.
    pub(super) fn incarnation(&self) -> Result<u128> {
        parse_incarnation(&self.path, &self.card.incarnation)
    }

    /// Returns the incarnations under which peers were first seen.
    pub(super) fn peers(&self) -> Result<BTreeMap<NodeId, u128>> {
        let peers = self
            .card
            .peers
            .iter()
            .filter_map(|(node, text)| Some(NodeId::new(*node).zip(Some(text))).flatten());
        peers.map(|(node, text)| Ok((node, parse_incarnation(&self.path, text)?))).collect()
    }

    /// Returns where the journal lies.
    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }
}

impl Incarnations for Directory {
    fn remember(&mut self, node: NodeId, incarnation: u128) -> io::Result<()> {
        let mut card = self.card.clone();
        card.peers.insert(node.number(), format!("{incarnation:032x}"));
        store(&self.path, &card)?;
        self.card = card;
        Ok(())
    }
}

fn parse_incarnation(path: &Path, text: &str) -> Result<u128> {
    u128::from_str_radix(text, 16).map_err(|_| {
        let message =
            format!("{}/identity.json is damaged: {text:?} is no incarnation", path.display());
        Error::new(Code::Disk, message)
    })
}

/// Makes a directory and those above it that are missing, each durable in the one above.
fn create_durably(path: &Path) -> io::Result<()> {
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
