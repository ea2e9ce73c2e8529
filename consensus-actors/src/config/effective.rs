//! The values that count, as they are shown: in the order and the sections of a file.

use super::{
    key::{Key, Scope},
    kind::{Kind, Value},
    layers::{At, Layers, Sourced},
    table::{PEERS, TABLE},
};

use serde_json::{Value as Json, json};

/// A setting as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    /// The section's parts, as `["group", "hits"]`; none at the top.
    section: Vec<String>,
    name: String,
    /// The value that counts, if anything gives one.
    found: Option<Sourced>,
}

impl Row {
    /// Returns the setting for programs.
    fn json(&self) -> Json {
        let Self { section, name, found } = self;
        let key = [&section[..], std::slice::from_ref(name)].concat().join(".");
        let value = found.as_ref().map(|found| match &found.value {
            Value::Count(count) => json!(count),
            Value::Switch(on) => json!(on),
            Value::Duration(_) | Value::Size(_) | Value::Text(_) => json!(found.value.to_string()),
        });
        let origin = found.as_ref().map(|found| found.origin.to_string());
        let layer = found.as_ref().map(|found| found.origin.layer());
        json!({
            "key": key, "section": section, "name": name, "value": value, "layer": layer,
            "origin": origin,
        })
    }
}

impl Layers {
    /// Returns what counts, for programs: `{"file": .., "settings": [{"key": .., ..}, ..]}`.
    pub(crate) fn json(&self) -> Json {
        let settings: Vec<Json> = self.effective().iter().map(Row::json).collect();
        json!({ "file": self.file().map(|file| &**file), "settings": settings })
    }

    /// Returns what counts for all, then for nodes and groups where it differs. If it is known
    /// which node this is, what is said of that one counts for all, and other nodes are left out.
    fn effective(&self) -> Vec<Row> {
        let node = self.id();
        let here = At { node, group: None };
        let (top, below): (Vec<&Key>, Vec<&Key>) =
            TABLE.iter().copied().partition(|key| !key.name.contains('.'));
        let plain = |key: &&Key| key.kind != Kind::Peers;
        let row = |key: &Key| self.row(&[], key, here);
        let mut rows: Vec<Row> = top.into_iter().filter(plain).map(row).collect();
        rows.extend(self.peers().into_iter().map(|(id, peer)| Row {
            section: vec![PEERS.key.name.to_owned()],
            name: id.to_string(),
            found: Some(Sourced { value: Value::Text(peer.value), origin: peer.origin }),
        }));
        rows.extend(below.into_iter().map(row));
        let others = if node.is_some() { Vec::new() } else { self.nodes() };
        for id in others {
            let at = At { node: Some(id), group: None };
            self.differences(&["node", &id.to_string()], here, at, &mut rows);
        }
        for name in self.groups() {
            let at = At { node, group: Some(&name) };
            self.differences(&["group", &name], here, at, &mut rows);
        }
        rows
    }

    fn differences(&self, section: &[&str], here: At<'_>, there: At<'_>, rows: &mut Vec<Row>) {
        let may_differ = |key: &&&Key| match key.scope {
            Scope::Tool => false,
            Scope::Node => there.group.is_none(),
            Scope::Group => true,
        };
        let differs = |key: &&&Key| self.find(key, here) != self.find(key, there);
        let differing = TABLE.iter().filter(may_differ).filter(differs);
        rows.extend(differing.map(|key| self.row(section, key, there)));
    }

    fn row(&self, section: &[&str], key: &Key, at: At<'_>) -> Row {
        let mut section: Vec<String> = section.iter().map(|part| (*part).to_owned()).collect();
        let name = match key.name.split_once('.') {
            Some((below, name)) => {
                section.push(below.to_owned());
                name
            }
            None => key.name,
        };
        Row { section, name: name.to_owned(), found: self.find(key, at) }
    }
}
