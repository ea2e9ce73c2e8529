//! Where a value stands: which setting, and of what it is said.

use super::{
    environment,
    key::{Key, Scope},
    kind::Kind,
    table::{ID, PEERS, TABLE},
};
use crate::suggest;

/// A setting, and what it is said of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) key: &'static Key,
    pub(super) of: Of,
    /// Which node's address, for a peer.
    pub(super) peer: Option<u64>,
}

/// What a value is said of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Every node, and every group on it.
    All,
    /// The node of this id.
    Node(u64),
    /// The group of this name.
    Group(String),
    /// The groups whose names look so in a variable of the environment.
    GroupLike(String),
}

/// How a layer spells names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `group.hits.snapshot_every`
    File,
    /// `CONSENSUS_GROUP__HITS__SNAPSHOT_EVERY`
    Environment,
}

impl Place {
    /// Reads the parts of a name, as `["group", "hits", "deadline"]`; the name of a group may have
    /// several.
    ///
    /// # Errors
    /// What is wrong with it, and what was meant.
    pub(super) fn parse(parts: &[&str], spelling: Spelling) -> Result<Self, String> {
        match parts {
            ["peers", id] => {
                let peer = Some(node_id(id)?);
                Ok(Self { key: &PEERS.key, of: Of::All, peer })
            }
            ["node", id, rest @ ..] if !rest.is_empty() => {
                let of = Of::Node(node_id(id)?);
                let key = known(rest, spelling, |key| key.scope != Scope::Tool)?;
                if *key == ID.key || *key == PEERS.key {
                    return Err(format!("{:?} is not said of a single node", key.name));
                }
                Ok(Self { key, of, peer: None })
            }
            ["group", first, rest @ ..] if !rest.is_empty() => {
                let split = (0..rest.len()).find(|at| lookup(&rest[*at..]).is_some());
                let split = split.unwrap_or(rest.len() - 1);
                let (more, rest) = rest.split_at(split);
                let key = known(rest, spelling, |key| key.scope == Scope::Group)?;
                let parts = [&[*first], more].concat();
                let of = match spelling {
                    Spelling::File => Of::Group(parts.join(".")),
                    Spelling::Environment => Of::GroupLike(environment::spelled(&parts.join("."))),
                };
                Ok(Self { key, of, peer: None })
            }
            ["node", ..] => {
                Err("what is said of a node stands below its id: node.1.http".to_owned())
            }
            ["group", ..] => {
                Err("what is said of a group stands below its name: group.hits.deadline".to_owned())
            }
            parts => {
                let key = known(parts, spelling, |_| true)?;
                Ok(Self { key, of: Of::All, peer: None })
            }
        }
    }

    /// Returns the name as a file spells it, with its section.
    pub(super) fn name(&self) -> String {
        let of = match &self.of {
            Of::All => String::new(),
            Of::Node(id) => format!("node.{id}."),
            Of::Group(name) | Of::GroupLike(name) => format!("group.{name}."),
        };
        let peer = self.peer.map(|id| format!(".{id}")).unwrap_or_default();
        format!("{of}{}{peer}", self.key.name)
    }
}

impl Of {
    /// Returns the name of the group that this is said of, or nothing.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::All | Self::Node(_) => "",
            Self::Group(name) | Self::GroupLike(name) => name,
        }
    }

    /// Tells how closely this is said of a node and a group; `None` if it is not.
    pub(super) fn closeness(&self, node: Option<u64>, group: Option<&str>) -> Option<u8> {
        match self {
            Self::All => Some(0),
            Self::Node(id) => (Some(*id) == node).then_some(1),
            Self::Group(name) => (Some(&**name) == group).then_some(2),
            Self::GroupLike(alike) => {
                group.is_some_and(|name| environment::spelled(name) == *alike).then_some(2)
            }
        }
    }
}

/// Tells whether more names stand below this one in a file.
pub(super) fn is_section(parts: &[&str]) -> bool {
    match parts {
        ["peers" | "node" | "group"] | ["node" | "group", _] => true,
        ["node" | "group", _, rest @ ..] | rest => {
            let section = format!("{}.", rest.join("."));
            TABLE.iter().any(|key| key.name.starts_with(&section))
        }
    }
}

fn node_id(text: &str) -> Result<u64, String> {
    let id = text.parse().ok().filter(|id| *id > 0);
    id.ok_or_else(|| format!("{text:?} is no node id; ids count from 1"))
}

fn lookup(parts: &[&str]) -> Option<&'static Key> {
    let name = parts.join(".");
    TABLE.iter().find(|key| key.name == name).copied()
}

/// Finds a setting that may stand here.
fn known(
    parts: &[&str],
    spelling: Spelling,
    here: impl Fn(&Key) -> bool,
) -> Result<&'static Key, String> {
    let name = parts.join(".");
    let spelled = |name: &str| match spelling {
        Spelling::File => format!("{name:?}"),
        Spelling::Environment => environment::spelled(name),
    };
    match lookup(parts) {
        // Peers of a file are a section; elsewhere they are one value.
        Some(key) if key.kind == Kind::Peers && spelling == Spelling::File => {
            Err("the peers are a section, [peers], with a line a node: 1 = \"HOST:PORT\""
                .to_owned())
        }
        Some(key) if here(key) => Ok(key),
        Some(key) => {
            let of = match key.scope {
                Scope::Tool => "the tools'",
                Scope::Node => "a node's",
                Scope::Group => "a group's",
            };
            Err(format!("{} is {of}, and cannot stand here", spelled(key.name)))
        }
        None => {
            let names = TABLE.iter().filter(|key| here(key)).map(|key| key.name);
            let sections = ["peers", "node", "group"];
            let nearest = suggest::nearest(&name, names.chain(sections));
            let meant = nearest.map(|name| format!("; did you mean {}?", spelled(name)));
            let meant =
                meant.unwrap_or_else(|| "; `config show` lists those that there are".to_owned());
            Err(format!("there is no setting {}{meant}", spelled(&name)))
        }
    }
}
