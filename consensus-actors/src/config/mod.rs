//! What a node is told: settings from code, flags, the environment and a file, each value with its
//! origin.
//!
//! [`table`] has one entry a setting. From it come the flag of `serve`, the variable of the
//! environment, the key of `consensus.toml`, what they say of themselves, what `config show` prints
//! and the list in `docs/configuration.md`. The first layer that has a value gives it: code, flag,
//! environment, file, attribute, default; within a layer, what is said of a group goes before what
//! is said of a node, and that before what is said of all.
//!
//! # Adding a setting
//!
//! 1. Write its entry into [`table`]: the doc comment is what users read, the type says how it is
//!    written, `Key::node` or `Key::group` where it applies; `default`, `dev`, `check` as needed.
//! 2. Read it where it is needed: `settings.get(&HEARTBEAT)` or `settings.group(name).get(&KEY)`,
//!    `find` where there is no default. What is read exists and has passed its check.
//! 3. Values that only work together get a rule in [`rules`].
//! 4. For code, a method of `NodeBuilder` calls `self.set(&KEY, value)`.
//! 5. `UPDATE_GOLDENFILES=1 cargo test -p consensus-actors config` writes it into the docs.
//!
//! What is secret is no value of a setting: a setting names the file that it stands in.

#[cfg(test)]
mod document;
mod effective;
mod environment;
mod file;
mod key;
mod kind;
mod layers;
mod place;
mod rules;
mod settings;
mod source;
pub(crate) mod table;
#[cfg(test)]
mod tests;

pub(crate) use key::{Key, Setting};
#[cfg(test)]
pub(crate) use kind::Size;
pub(crate) use kind::{Address, Addresses, Typed, toml_string};
pub(crate) use layers::{At, Layers, Origin};
pub(crate) use settings::Settings;
pub(crate) use source::{Flag, Sources};

use crate::error::{Code, Error};

/// Says that settings without a default are given by nothing, to this node if it is known.
pub(crate) fn missing(keys: &[&Key], node: Option<u64>) -> Error {
    let list = |name: fn(&Key) -> String| {
        enumerated(&keys.iter().map(|key| name(key)).collect::<Vec<_>>())
    };
    let message = format!(
        "nothing says {}{}; set {}, or write {} into consensus.toml",
        list(|key| format!("the {}", key.name)),
        node.map(|id| format!(" of node {id}")).unwrap_or_default(),
        list(|key| format!("--{}", key.flag())),
        if keys.len() == 1 { "it" } else { "them" },
    );
    Error::new(Code::Config, message)
}

/// Lists names in a sentence: a, b and c.
pub(crate) fn enumerated(names: &[String]) -> String {
    match names {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        names => names.concat(),
    }
}

/// Returns the first of several problems, and says how to see the others.
pub(crate) fn first(problems: Vec<Error>) -> Error {
    let more = problems.len().saturating_sub(1);
    let first = problems.into_iter().next().expect("there is a problem");
    if more == 0 {
        return first;
    }
    let message = format!("{} (and {more} more; `config check` lists all)", first.message());
    Error::new(first.code(), message)
}
