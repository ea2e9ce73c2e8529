//! Settings that can work: what a node is started with.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
};

use consensus_core::NodeId;

use super::{
    key::Setting,
    kind::{Address, Addresses, Typed},
    layers::{At, Layers, Origin, Sourced},
    rules,
    table::{ADVERTISE, CLUSTER, DATA, HTTP, ID, JOIN, LISTEN, PEERS},
};
use crate::error::{Code, Error, Result};

/// The settings of a node. Those that exist can work.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) id: NodeId,
    /// Who founds the cluster, if that is given.
    pub(crate) peers: BTreeMap<NodeId, String>,
    /// Peer ports of a cluster to join.
    pub(crate) join: Vec<String>,
    /// Where to listen to peers, if that is given.
    pub(crate) listen: Option<SocketAddr>,
    /// Where peers reach this node, if that is given.
    pub(crate) address: Option<String>,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) data: PathBuf,
    pub(crate) cluster: String,
    layers: Arc<Layers>,
}

/// The settings of a group on a node.
#[derive(Clone, Debug)]
pub(crate) struct GroupSettings<'a> {
    node: &'a Settings,
    name: &'a str,
}

impl Settings {
    /// Checks what was given.
    ///
    /// # Errors
    /// [`Code::Config`] with the rule that values break, and [`Code::NotLoopback`].
    pub(crate) fn new(layers: Layers) -> Result<Self> {
        let number = take(&layers, &ID, At::default())?.value;
        let id = node_id(number)?;
        let at = At { node: Some(number), group: None };
        rules::check(&layers, at)?;
        for group in layers.groups() {
            rules::check(&layers, At { group: Some(&group), ..at })?;
        }
        let data: PathBuf = take(&layers, &DATA, at)?.value;
        let (peers, join) = (founders(&layers.peers())?, find(&layers, &JOIN, at));
        let is_founder = peers.contains_key(&id);
        if is_founder && join.is_some() {
            return Err(config(format!(
                "node {number} is among {}, which found a cluster, and is to join one; give it one \
                 of them",
                peers_origin(&layers)
            )));
        }
        // Who joined is not among the founders that all nodes may have in their file.
        if !peers.is_empty() && !is_founder && join.is_none() && !crate::node::has_joined(&data) {
            return Err(config(format!(
                "node {number} is not among {}; add {number}=HOST:PORT, or set --id to one of: {}",
                peers_origin(&layers),
                peers.keys().map(|id| id.number().to_string()).collect::<Vec<_>>().join(", ")
            )));
        }
        let (listen, address) = own_addresses(&layers, at, peers.get(&id))?;
        let join = addresses(join)?;
        if !join.is_empty() && listen.is_none() {
            return Err(config(
                "a node that joins a cluster is called by its members; set --listen HOST:PORT",
            ));
        }
        let http = find(&layers, &HTTP, at);
        let http = http.map(|http| resolve(&http.value.0, &http.origin, "HTTP")).transpose()?;
        if let Some(http) = http
            && listen == Some(http)
        {
            return Err(config(format!(
                "{http} is this node's peer address and its HTTP address; give each its own port"
            )));
        }
        check_loopback("peer", listen)?;
        check_loopback("HTTP", http)?;
        Ok(Self {
            id,
            peers,
            join,
            listen,
            address,
            http,
            data,
            cluster: take(&layers, &CLUSTER, at)?.value,
            layers: Arc::new(layers),
        })
    }

    /// Returns who founds a cluster, with addresses: this node alone if nobody else is named.
    pub(crate) fn founders(&self) -> BTreeMap<NodeId, String> {
        if self.peers.is_empty() {
            return BTreeMap::from([(self.id, self.address.clone().unwrap_or_default())]);
        }
        self.peers.clone()
    }

    /// Returns a value that has a default.
    pub(crate) fn get<T: Typed>(&self, setting: &'static Setting<T>) -> T {
        self.find(setting).expect("a setting without a default is asked for with `find`")
    }

    /// Returns a value, if anything gives one.
    pub(crate) fn find<T: Typed>(&self, setting: &'static Setting<T>) -> Option<T> {
        Some(find(&self.layers, setting, self.at(None))?.value)
    }

    /// Returns what counts, as [`Layers::json`] does.
    pub(crate) fn json(&self) -> serde_json::Value {
        self.layers.json()
    }

    /// Returns the groups that something is said of and that are none of these, each with the first
    /// place where it is named.
    pub(crate) fn other_groups(&self, known: &[&str]) -> Vec<(String, Origin)> {
        self.layers.other_groups(known)
    }

    /// Adds what code says of a group.
    ///
    /// # Errors
    /// [`Code::Config`] with the rule that values break.
    pub(crate) fn add(&mut self, group: &str, said: Layers) -> Result {
        let mut layers = Layers::clone(&self.layers);
        layers.extend(said);
        rules::check(&layers, self.at(Some(group)))?;
        self.layers = Arc::new(layers);
        Ok(())
    }

    /// Returns the settings of a group.
    pub(crate) fn group<'a>(&'a self, name: &'a str) -> GroupSettings<'a> {
        GroupSettings { node: self, name }
    }

    fn at<'a>(&self, group: Option<&'a str>) -> At<'a> {
        At { node: Some(self.id.number()), group }
    }
}

impl GroupSettings<'_> {
    /// Returns a value that has a default.
    pub(crate) fn get<T: Typed>(&self, setting: &'static Setting<T>) -> T {
        self.find(setting).expect("a setting without a default is asked for with `find`")
    }

    /// Returns a value, if anything gives one.
    pub(crate) fn find<T: Typed>(&self, setting: &'static Setting<T>) -> Option<T> {
        Some(find(&self.node.layers, setting, self.node.at(Some(self.name)))?.value)
    }
}

fn find<T: Typed>(layers: &Layers, setting: &'static Setting<T>, at: At<'_>) -> Option<Sourced<T>> {
    let Sourced { value, origin } = layers.find(&setting.key, at)?;
    let value = T::from_value(value).expect("a value is of its setting's kind");
    Some(Sourced { value, origin })
}

fn take<T: Typed>(layers: &Layers, setting: &'static Setting<T>, at: At<'_>) -> Result<Sourced<T>> {
    find(layers, setting, at).ok_or_else(|| super::missing(&[&setting.key], at.node))
}

/// Checks who founds the cluster. Names are resolved when they are called: a node may be up before
/// the others have theirs.
fn founders(given: &[(u64, Sourced<String>)]) -> Result<BTreeMap<NodeId, String>> {
    let (mut peers, mut by_address) = (BTreeMap::new(), BTreeMap::new());
    for (number, Sourced { value: text, origin }) in given {
        let named = named_peers(origin);
        check_address(text, origin, "peer")?;
        if peers.insert(node_id(*number)?, text.clone()).is_some() {
            return Err(config(format!("node {number} is named twice in {named}; name each once")));
        }
        if let Some(other) = by_address.insert(text, number) {
            return Err(config(format!(
                "nodes {other} and {number} have the same address {text} in {named}; give each its \
                 own"
            )));
        }
    }
    Ok(peers)
}

/// Returns where to listen to peers, and where they reach this node.
fn own_addresses(
    layers: &Layers,
    at: At<'_>,
    named: Option<&String>,
) -> Result<(Option<SocketAddr>, Option<String>)> {
    let (listen, advertise) = (find(layers, &LISTEN, at), find(layers, &ADVERTISE, at));
    if let Some(Sourced { value: Address(text), origin }) = &advertise {
        check_address(text, origin, "peer")?;
    }
    let own =
        || named.map(|text| Sourced { value: Address(text.clone()), origin: Origin::Default });
    let bound = listen.clone().or_else(own).or_else(|| advertise.clone());
    let bound = bound.map(|it| resolve(&it.value.0, &it.origin, "peer")).transpose()?;
    let address = advertise.map(|it| it.value.0).or_else(|| named.cloned());
    Ok((bound, address.or_else(|| listen.map(|it| it.value.0))))
}

fn addresses(given: Option<Sourced<Addresses>>) -> Result<Vec<String>> {
    let Some(Sourced { value: Addresses(addresses), origin }) = given else {
        return Ok(Vec::new());
    };
    addresses.iter().try_for_each(|text| check_address(text, &origin, "peer"))?;
    Ok(addresses)
}

/// Checks that a text can be an address, whether its name is known at the moment or not.
fn check_address(text: &str, origin: &Origin, what: &str) -> Result {
    let parts = text.rsplit_once(':');
    let parts = parts.map(|(host, port)| (host, port.parse::<u16>().is_ok_and(|port| port != 0)));
    if parts.is_some_and(|(host, has_port)| has_port && !host.is_empty()) {
        return Ok(());
    }
    Err(config(format!(
        "{text:?} ({origin}) is no {what} address; write HOST:PORT, as 127.0.0.1:4801"
    )))
}

/// Refuses to listen where others than this machine's programs could call.
fn check_loopback(what: &str, address: Option<SocketAddr>) -> Result {
    let Some(address) = address.filter(|address| !address.ip().is_loopback()) else {
        return Ok(());
    };
    let message = format!(
        "the {what} address {address} is beyond loopback, and there is no TLS yet: whoever reaches \
         it could read and write everything; use a 127.0.0.1 address"
    );
    Err(Error::new(Code::NotLoopback, message))
}

fn peers_origin(layers: &Layers) -> String {
    let peers = layers.peers();
    peers.first().map_or_else(String::new, |(_, peer)| named_peers(&peer.origin))
}

/// Names the place that peers are given in.
fn named_peers(origin: &Origin) -> String {
    match origin {
        Origin::File { path, .. } => format!("[{}] of {path}", PEERS.key.name),
        Origin::Flag(name) | Origin::Environment(name) => name.clone(),
        Origin::Code | Origin::Attribute | Origin::Default => format!("--{}", PEERS.key.flag()),
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::new(Code::Config, message)
}

fn node_id(number: u64) -> Result<NodeId> {
    NodeId::new(number).ok_or_else(|| config("0 is no node id; ids count from 1"))
}

fn resolve(text: &str, origin: &Origin, what: &str) -> Result<SocketAddr> {
    let mut addresses = text.to_socket_addrs().map_err(|error| {
        config(format!(
            "{text:?} ({origin}) is no {what} address ({error}); write HOST:PORT, as \
             127.0.0.1:4801"
        ))
    })?;
    addresses
        .next()
        .ok_or_else(|| config(format!("{text:?} ({origin}) resolves to nothing; write HOST:PORT")))
}
