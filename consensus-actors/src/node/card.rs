//! What a data directory says of itself, in `identity.json`.

use std::{collections::BTreeMap, fs, io, path::Path};

use consensus_core::NodeId;
use serde::{Deserialize, Serialize};

use crate::{
    config::Settings,
    error::{Code, Error, Result},
    transport::Peer,
};

/// The format that is written.
const FORMAT: u32 = 2;

/// The card of a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Card {
    format: u32,
    pub(super) cluster: String,
    pub(super) node: NodeId,
    /// Drawn when the directory was made; a wiped disk comes back as another incarnation.
    #[serde(with = "hex")]
    pub(super) incarnation: u128,
    /// The nodes that founded the cluster, this one included, with their addresses then; none if
    /// this node joined it.
    pub(super) founders: BTreeMap<NodeId, String>,
    /// Whom to ask for the cluster's nodes, until this one is a member.
    pub(super) join: Vec<String>,
    /// Where this node listens to its peers, if it does.
    pub(super) listen: Option<String>,
    /// Where its peers reach it.
    pub(super) address: Option<String>,
    pub(super) peers: BTreeMap<NodeId, Noted>,
}

/// A peer, as it stands on the card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Noted {
    address: String,
    configured: String,
    contact: String,
    incarnation: Option<String>,
    removed: bool,
}

/// The card as it was before members could change.
#[derive(Debug, Deserialize)]
struct Former {
    cluster: String,
    node: NodeId,
    #[serde(with = "hex")]
    incarnation: u128,
    members: Vec<NodeId>,
    peers: BTreeMap<NodeId, String>,
}

impl Card {
    /// Makes the card of a new directory.
    pub(super) fn new(cluster: &str, node: NodeId, incarnation: u128) -> Self {
        Self {
            format: FORMAT,
            cluster: cluster.to_owned(),
            node,
            incarnation,
            founders: BTreeMap::new(),
            join: Vec::new(),
            listen: None,
            address: None,
            peers: BTreeMap::new(),
        }
    }

    /// Reads the card of a directory, if it has one.
    ///
    /// # Errors
    /// [`Code::Disk`] when it cannot be read, is damaged, or is of another format.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>> {
        let file = directory.join("identity.json");
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            // Nothing is there; whether it can be made is not the question here.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => {
                let message = format!("cannot read {}: {error}", file.display());
                return Err(Error::new(Code::Disk, message));
            }
        };
        let damaged = |reason: &dyn std::fmt::Display| {
            let message = format!("{} is damaged: {reason}; restore it", file.display());
            Error::new(Code::Disk, message)
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(&bytes).map_err(|e| damaged(&e))?;
        let card = match format {
            1 => serde_json::from_slice::<Former>(&bytes).map(Self::from),
            FORMAT => serde_json::from_slice(&bytes),
            _ => {
                let message = format!(
                    "the data directory {} is of format {format}, and this build reads formats up \
                     to {FORMAT}; use the release that wrote it",
                    directory.display()
                );
                return Err(Error::new(Code::Disk, message));
            }
        };
        let card: Self = card.map_err(|error| damaged(&error))?;
        if let Some(text) = card.peers.values().find_map(Noted::wrong_incarnation) {
            return Err(damaged(&format!("{text:?} is no incarnation")));
        }
        Ok(Some(card))
    }

    /// Takes over what is configured anew, and leaves what is not as it stands here.
    pub(super) fn configure(&mut self, settings: &Settings) {
        if !settings.join.is_empty() {
            self.join.clone_from(&settings.join);
        }
        if let Some(listen) = settings.listen {
            self.listen = Some(listen.to_string());
        }
        if let Some(address) = &settings.address {
            self.address = Some(address.clone());
        }
        for (node, address) in settings.peers.iter().filter(|(node, _)| **node != settings.id) {
            self.peers.entry(*node).or_default().configure(address);
        }
    }

    /// Returns what is known of the peers.
    pub(super) fn roster(&self) -> BTreeMap<NodeId, Peer> {
        self.peers.iter().map(|(node, noted)| (*node, noted.clone().into())).collect()
    }
}

/// Tells whether a data directory is that of a node that joined its cluster.
pub(crate) fn has_joined(directory: &Path) -> bool {
    Card::read(directory).is_ok_and(|card| card.is_some_and(|card| card.founders.is_empty()))
}

impl Noted {
    /// Notes what the configuration calls the peer's address. What it has called it before is no
    /// news: the peer may have moved since.
    pub(super) fn configure(&mut self, address: &str) {
        if self.configured != address {
            (self.configured, self.address) = (address.to_owned(), address.to_owned());
        }
    }

    fn wrong_incarnation(&self) -> Option<&String> {
        self.incarnation.as_ref().filter(|text| u128::from_str_radix(text, 16).is_err())
    }
}

impl From<Noted> for Peer {
    fn from(noted: Noted) -> Self {
        let Noted { address, configured, contact, incarnation, removed } = noted;
        let incarnation = incarnation.and_then(|text| u128::from_str_radix(&text, 16).ok());
        Self { address, configured, contact, incarnation, removed }
    }
}

impl From<Peer> for Noted {
    fn from(peer: Peer) -> Self {
        let Peer { address, configured, contact, incarnation, removed } = peer;
        let incarnation = incarnation.map(|incarnation| format!("{incarnation:032x}"));
        Self { address, configured, contact, incarnation, removed }
    }
}

impl From<Former> for Card {
    /// The addresses were not on the former card; they come from `--peers`.
    fn from(former: Former) -> Self {
        let noted = |(node, incarnation): (NodeId, String)| {
            (node, Noted { incarnation: Some(incarnation), ..Noted::default() })
        };
        Self {
            founders: former.members.into_iter().map(|node| (node, String::new())).collect(),
            peers: former.peers.into_iter().map(noted).collect(),
            ..Self::new(&former.cluster, former.node, former.incarnation)
        }
    }
}

/// Incarnations as text.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        number: &u128,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16)
            .map_err(|_| D::Error::custom(format_args!("{text:?} is no incarnation")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a directory that an earlier release made is read, with its members as founders and the
    // incarnations that it knew.
    // Method: a card as that release wrote it.
    #[test]
    fn former_cards_are_read() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (own, peer) = (format!("{:032x}", 42), format!("{:032x}", 7));
        let text = format!(
            r#"{{"format": 1, "cluster": "c", "node": 2, "incarnation": "{own}",
            "members": [1, 2], "peers": {{"1": "{peer}"}}}}"#
        );
        fs::write(directory.path().join("identity.json"), text).expect("the card is written");
        let card = Card::read(directory.path()).expect("it is read").expect("there is one");
        let node = |number| NodeId::new(number).expect("tests use positive ids");
        assert_eq!((card.node, card.incarnation), (node(2), 42));
        let founders: Vec<NodeId> = card.founders.keys().copied().collect();
        assert_eq!(founders, [node(1), node(2)]);
        assert_eq!(card.roster()[&node(1)].incarnation, Some(7));
    }
}
