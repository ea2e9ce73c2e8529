//! An entry of the table of settings.

use std::marker::PhantomData;

use super::kind::{Kind, Typed, Value};

/// What a setting applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The tools that ask a node.
    Tool,
    /// A node.
    Node,
    /// A group; said of a node or of all, it is the default of all groups.
    Group,
}

/// A setting: its name, and everything that can be said of it without a value.
#[derive(Debug)]
pub(crate) struct Key {
    /// As in a file: in small letters, with a dot behind a section's name.
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    pub(crate) kind: Kind,
    /// Its value where nothing gives one, as a flag has it.
    pub(crate) default: Option<&'static str>,
    /// Its default for the nodes of `dev`.
    pub(crate) dev: Option<&'static str>,
    /// Whether nothing gives it in `serve` is an error.
    pub(crate) required: bool,
    /// Says what is wrong with a value of the right kind.
    pub(super) check: fn(&Value) -> Result<(), String>,
    doc: &'static str,
}

impl Key {
    /// Starts the entry of a setting that the tools take.
    pub(super) const fn tool(name: &'static str) -> Self {
        Self {
            name,
            scope: Scope::Tool,
            kind: Kind::Text,
            default: None,
            dev: None,
            required: false,
            check: |_| Ok(()),
            doc: "",
        }
    }

    /// Starts the entry of a setting that nodes have.
    pub(super) const fn node(name: &'static str) -> Self {
        Self { scope: Scope::Node, ..Self::tool(name) }
    }

    /// Starts the entry of a setting that groups have.
    pub(super) const fn group(name: &'static str) -> Self {
        Self { scope: Scope::Group, ..Self::tool(name) }
    }

    pub(super) const fn default(self, text: &'static str) -> Self {
        Self { default: Some(text), ..self }
    }

    pub(super) const fn dev(self, text: &'static str) -> Self {
        Self { dev: Some(text), ..self }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) const fn check(self, check: fn(&Value) -> Result<(), String>) -> Self {
        Self { check, ..self }
    }

    /// Finishes the entry with its doc comment.
    pub(super) const fn of<T: Typed>(self, doc: &'static str) -> Setting<T> {
        Setting { key: Self { kind: T::KIND, doc, ..self }, values: PhantomData }
    }

    /// Returns what it means, in the lines in which it was written.
    pub(crate) fn doc(&self) -> String {
        let lines: Vec<&str> = self.doc.lines().map(str::trim).collect();
        lines.join("\n").trim().to_owned()
    }

    /// Returns what it means in short: the first sentence.
    pub(crate) fn summary(&self) -> String {
        let doc = self.doc().replace('\n', " ");
        let end = doc.find(". ").unwrap_or(doc.len());
        doc[..end].trim_end_matches('.').to_owned()
    }

    /// Tells whether nodes have it, for themselves or their groups.
    pub(crate) fn is_of_nodes(&self) -> bool {
        self.scope != Scope::Tool
    }

    /// Returns its flag without the dashes.
    pub(crate) fn flag(&self) -> String {
        self.name.replace(['_', '.'], "-")
    }

    /// Returns its variable of the environment.
    pub(crate) fn variable(&self) -> String {
        super::environment::variable(&[self.name])
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Key {}

/// An entry together with the type of its values.
#[derive(Debug)]
pub(crate) struct Setting<T> {
    pub(crate) key: Key,
    values: PhantomData<fn() -> T>,
}
