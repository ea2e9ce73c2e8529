//! Values by layer: which one counts, and where it comes from.

use std::{fmt, sync::Arc};

use super::{
    key::{Key, Setting},
    kind::{Kind, Typed, Value, toml_string},
    place::{Of, Place, Spelling},
    table::{ID, PEERS, TABLE},
};
use crate::error::{Code, Error, Result};

/// Where a value comes from, in the order in which layers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The program sets it.
    Code,
    /// A flag, with its dashes.
    Flag(String),
    /// A variable of the environment.
    Environment(String),
    /// A line of a file, from 1 on.
    File {
        /// As it was named.
        path: Arc<str>,
        /// From 1 on.
        line: usize,
    },
    /// The type of a group's state says it: `#[replica(settings(..))]`.
    Attribute,
    /// Nothing gives it.
    Default,
}

impl Origin {
    fn rank(&self) -> u8 {
        match self {
            Self::Code => 0,
            Self::Flag(_) => 1,
            Self::Environment(_) => 2,
            Self::File { .. } => 3,
            Self::Attribute => 4,
            Self::Default => 5,
        }
    }

    /// Returns the name of the layer.
    pub(crate) fn layer(&self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Flag(_) => "flag",
            Self::Environment(_) => "environment",
            Self::File { .. } => "file",
            Self::Attribute => "attribute",
            Self::Default => "default",
        }
    }

    /// Says what to change for another value of a setting: what it comes from, or its flag.
    pub(super) fn lever(&self, key: &Key) -> String {
        match self {
            Self::Flag(name) => name.clone(),
            Self::Environment(name) => name.clone(),
            Self::File { .. } | Self::Attribute | Self::Code => key.name.to_owned(),
            Self::Default => format!("--{}", key.flag()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Environment(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Code | Self::Attribute | Self::Default => f.write_str(self.layer()),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sourced<T = Value> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// What settings are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At<'a> {
    /// This node.
    pub(crate) node: Option<u64>,
    /// One of its groups; `None` for what is said of all groups.
    pub(crate) group: Option<&'a str>,
}

/// All values of all layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    given: Vec<Given>,
    /// The file that was read.
    file: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Given {
    place: Place,
    value: Value,
    origin: Origin,
}

impl Layers {
    /// Reads a text as the value of a setting.
    pub(super) fn read(&mut self, place: &Place, text: &str, origin: &Origin) -> Result {
        if place.key.kind == Kind::Peers && place.peer.is_none() {
            return self.read_peers(text, origin);
        }
        let kind = if place.peer.is_some() { Kind::Address } else { place.key.kind };
        match kind.read(text) {
            Some(value) => self.give(place.clone(), value, origin.clone()),
            None => Err(refuse(
                origin,
                &shown_name(place, origin),
                &format!("{text:?}"),
                kind.refusal(),
            )),
        }
    }

    /// Reads peers as a flag or a variable has them: 1=HOST:PORT,2=HOST:PORT.
    fn read_peers(&mut self, text: &str, origin: &Origin) -> Result {
        for peer in text.split(',') {
            let parsed = peer
                .split_once('=')
                .and_then(|(id, address)| Some((id.trim().parse().ok()?, address.trim())));
            let Some((id, address)) = parsed else {
                let shown = format!("{peer:?}");
                return Err(refuse(origin, PEERS.key.name, &shown, Kind::Peers.refusal()));
            };
            if id == 0 {
                let reason = "has a node 0: 0 is no node id; ids count from 1";
                return Err(refuse(origin, PEERS.key.name, &format!("{text:?}"), reason));
            }
            self.give_peer(id, address.to_owned(), origin.clone());
        }
        Ok(())
    }

    /// Adds a value, which must pass its setting's check.
    pub(super) fn give(&mut self, place: Place, value: Value, origin: Origin) -> Result {
        (place.key.check)(&value).map_err(|reason| {
            let shown =
                if value.is_bare() { value.to_string() } else { toml_string(&value.to_string()) };
            refuse(&origin, &shown_name(&place, &origin), &shown, &format!("cannot be: {reason}"))
        })?;
        self.given.push(Given { place, value, origin });
        Ok(())
    }

    /// Sets a value in code.
    pub(crate) fn set<T: Typed>(&mut self, setting: &'static Setting<T>, value: T) -> Result {
        let place = Place { key: &setting.key, of: Of::All, peer: None };
        // The last word of the program counts.
        self.given.retain(|given| given.origin != Origin::Code || given.place != place);
        self.give(place, value.into_value(), Origin::Code)
    }

    /// Sets a value of a group in code.
    pub(crate) fn set_of_group<T: Typed>(
        &mut self,
        group: &str,
        setting: &'static Setting<T>,
        value: T,
    ) -> Result {
        let place = Place { key: &setting.key, of: Of::Group(group.to_owned()), peer: None };
        self.given.retain(|given| given.origin != Origin::Code || given.place != place);
        self.give(place, value.into_value(), Origin::Code)
    }

    /// Takes what the type of a group's state says, by name.
    pub(crate) fn set_of_type(&mut self, group: &str, said: &[(&str, &str)]) -> Result {
        for (name, text) in said {
            let parts = ["group", group, *name];
            let place = Place::parse(&parts, Spelling::File).map_err(|reason| {
                Error::new(Code::Config, format!("#[replica(settings({name} = ..))]: {reason}"))
            })?;
            self.read(&place, text, &Origin::Attribute)?;
        }
        Ok(())
    }

    /// Adds what others have.
    pub(crate) fn extend(&mut self, others: Self) {
        self.given.extend(others.given);
    }

    /// Adds a member's address; an id that is given twice is refused when settings are made of it.
    pub(crate) fn give_peer(&mut self, id: u64, address: String, origin: Origin) {
        let place = Place { key: &PEERS.key, of: Of::All, peer: Some(id) };
        self.given.push(Given { place, value: Value::Text(address), origin });
    }

    /// Replaces the default of a setting.
    pub(crate) fn set_default<T: Typed>(&mut self, setting: &'static Setting<T>, value: T) {
        let place = Place { key: &setting.key, of: Of::All, peer: None };
        self.given.push(Given { place, value: value.into_value(), origin: Origin::Default });
    }

    /// Replaces the defaults with those of `dev`.
    pub(crate) fn set_defaults_of_dev(&mut self) {
        for key in TABLE {
            if let Some(value) = key.dev.and_then(|text| key.kind.read(text)) {
                let place = Place { key, of: Of::All, peer: None };
                self.given.push(Given { place, value, origin: Origin::Default });
            }
        }
    }

    /// Notes the file that was read.
    pub(super) fn set_file(&mut self, path: Arc<str>) {
        self.file = Some(path);
    }

    /// Returns the file that was read, if any.
    pub(crate) fn file(&self) -> Option<&Arc<str>> {
        self.file.as_ref()
    }

    /// Returns the value that counts: of the first layer that has one, the closest.
    pub(crate) fn find(&self, key: &Key, at: At<'_>) -> Option<Sourced> {
        let said = self.given.iter().filter(|given| given.place.key == key);
        let said = said.filter_map(|given| {
            let closeness = given.place.of.closeness(at.node, at.group)?;
            Some((given.origin.rank(), u8::MAX - closeness, given))
        });
        let first = said.min_by_key(|(rank, distance, _)| (*rank, *distance));
        if let Some((_, _, given)) = first {
            return Some(Sourced { value: given.value.clone(), origin: given.origin.clone() });
        }
        let value = key.kind.read(key.default?).expect("defaults of the table can be read");
        Some(Sourced { value, origin: Origin::Default })
    }

    /// Returns the settings that `serve` needs and that nothing gives.
    pub(crate) fn missing(&self) -> Vec<&'static Key> {
        let at = At { node: self.id(), group: None };
        let required = TABLE.iter().filter(|key| key.required);
        required.filter(|key| self.find(key, at).is_none()).copied().collect()
    }

    /// Returns the id of this node, if anything gives it.
    pub(crate) fn id(&self) -> Option<u64> {
        match self.find(&ID.key, At::default())?.value {
            Value::Count(id) => Some(id),
            _ => None,
        }
    }

    /// Returns the members with their addresses, in the order in which the layer that counts names
    /// them.
    pub(crate) fn peers(&self) -> Vec<(u64, Sourced<String>)> {
        let named = || self.given.iter().filter(|given| given.place.key == &PEERS.key);
        let Some(rank) = named().map(|given| given.origin.rank()).min() else {
            return Vec::new();
        };
        named()
            .filter(|given| given.origin.rank() == rank)
            .filter_map(|given| {
                let (id, origin) = (given.place.peer?, given.origin.clone());
                Some((id, Sourced { value: given.value.to_string(), origin }))
            })
            .collect()
    }

    /// Returns the groups that something is said of, by name. A variable does not tell capitals:
    /// a group that only variables name has small ones.
    pub(crate) fn groups(&self) -> Vec<String> {
        let mut groups: Vec<String> = Vec::new();
        for given in &self.given {
            if let Of::Group(name) = &given.place.of {
                groups.push(name.clone());
            }
        }
        for given in &self.given {
            if let Of::GroupLike(_) = given.place.of
                && !groups.iter().any(|name| given.place.of.closeness(None, Some(name)).is_some())
            {
                groups.push(given.place.of.name().to_ascii_lowercase());
            }
        }
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// Returns the groups that something is said of and that are none of these, each with the first
    /// place where it is named.
    pub(crate) fn other_groups(&self, known: &[&str]) -> Vec<(String, Origin)> {
        let mut others: Vec<(String, Origin)> = Vec::new();
        for Given { place, origin, .. } in &self.given {
            let is_known = known.iter().any(|name| place.of.closeness(None, Some(name)).is_some());
            let name = place.of.name();
            if !name.is_empty() && !is_known && others.iter().all(|(other, _)| other != name) {
                others.push((name.to_owned(), origin.clone()));
            }
        }
        others
    }

    /// Returns the nodes that something is said of, by id.
    pub(crate) fn nodes(&self) -> Vec<u64> {
        let mut nodes: Vec<u64> = self
            .given
            .iter()
            .filter_map(|given| match given.place.of {
                Of::Node(id) => Some(id),
                Of::All | Of::Group(_) | Of::GroupLike(_) => None,
            })
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

/// Names a setting as its layer does: an attribute stands at one type.
fn shown_name(place: &Place, origin: &Origin) -> String {
    if *origin == Origin::Attribute { place.key.name.to_owned() } else { place.name() }
}

/// Refuses a value with its origin: `--heartbeat "x" is no duration`, `consensus.toml:3: heartbeat
/// = "x" is ..`.
pub(super) fn refuse(origin: &Origin, name: &str, shown: &str, reason: &str) -> Error {
    let message = match origin {
        Origin::Flag(flag) if flag == "--set" => format!("--set {name}={shown} {reason}"),
        Origin::Flag(flag) => format!("{flag} {shown} {reason}"),
        Origin::Environment(variable) => format!("{variable}={shown} {reason}"),
        Origin::File { .. } => format!("{origin}: {name} = {shown} {reason}"),
        Origin::Attribute => format!("#[replica(settings({name} = {shown}))] {reason}"),
        Origin::Code | Origin::Default => format!("{name} = {shown} {reason}"),
    };
    Error::new(Code::Config, message)
}
