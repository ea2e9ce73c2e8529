//! The options of `#[replica(..)]`, on a type and on a field.

use syn::{Attribute, Error, Ident, LitStr, Meta, Path, ext::IdentExt};

use crate::{error::Errors, names, options::Entry, protocols};

/// The options on a type.
#[derive(Default)]
pub(crate) struct Options {
    /// The protocol, if it is not the usual one.
    pub(crate) protocol: Option<Ident>,
    /// The state's stable name, if it is not the type's.
    pub(crate) name: Option<LitStr>,
    /// Settings of its groups, by name.
    pub(crate) settings: Vec<(String, String)>,
    /// Whether floating point is allowed in fields.
    pub(crate) floats: bool,
    /// Where a test is asked for, if it is.
    pub(crate) simulate: Option<Ident>,
    /// Where the facade is.
    pub(crate) krate: Option<Path>,
}

/// One list for both derives: they may stand on one type, and share its options.
const KNOWN: [&str; 7] =
    ["protocol", "name", "snapshot", "settings", "floats", "simulate", "crate"];
const PLANNED: [&str; 8] =
    ["version", "upcast", "read", "keyed", "shards", "merge", "commands", "queries"];

impl Options {
    /// Parses the options among `attributes`.
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for entry in entries(attributes, errors) {
            match &*entry.key.unraw().to_string() {
                "floats" => options.floats = errors.take(entry.flag()).is_some(),
                "simulate" => {
                    options.simulate = errors.take(entry.flag()).map(|()| entry.key.clone());
                }
                "crate" => options.krate = errors.take(entry.path()),
                "protocol" => options.protocol = protocol(&entry, errors),
                "name" => options.name = errors.take(name(&entry)),
                "settings" => options.settings.extend(settings(&entry, errors)),
                "snapshot" => options.settings.extend(snapshot(&entry, errors)),
                "trust" => errors.at_with_help(
                    &entry,
                    "`trust` is about a field, not about the whole type",
                    "put `#[replica(trust = \"..\")]` on the field that needs it",
                ),
                key if PLANNED.contains(&key) => errors.push(entry.not_yet(&KNOWN)),
                _ => errors.push(entry.unknown(&KNOWN)),
            }
        }
        options
    }
}

fn protocol(entry: &Entry, errors: &mut Errors) -> Option<Ident> {
    let word = errors.take(entry.head())?;
    if protocols::check(&word, errors) { errors.take(entry.word()) } else { None }
}

fn name(entry: &Entry) -> syn::Result<LitStr> {
    let name = entry.string()?;
    match names::wire_problem(&name.value()) {
        Some(problem) => Err(Error::new(name.span(), problem)),
        None => Ok(name),
    }
}

/// Reads the settings; whether there are such is known where a group is hosted.
fn settings(entry: &Entry, errors: &mut Errors) -> Vec<(String, String)> {
    let Some(list) = errors.take(entry.list()) else { return Vec::new() };
    let entries = Entry::parse_all(list, errors);
    let setting = |entry: &Entry| Ok((entry.key.unraw().to_string(), entry.literal()?));
    entries.iter().filter_map(|entry| errors.take(setting(entry))).collect()
}

/// Reads when snapshots are taken and how many are kept: settings with names of their own.
fn snapshot(entry: &Entry, errors: &mut Errors) -> Vec<(String, String)> {
    const KNOWN: [&str; 3] = ["every", "bytes", "keep"];
    let Some(list) = errors.take(entry.list()) else { return Vec::new() };
    let mut settings = Vec::new();
    for entry in Entry::parse_all(list, errors) {
        let key = entry.key.unraw().to_string();
        let value = match &*key {
            "every" | "keep" => entry.number().map(|number| number.base10_digits().to_owned()),
            "bytes" => entry.string().map(|bytes| bytes.value()),
            _ => Err(entry.unknown(&KNOWN)),
        };
        settings.extend(errors.take(value).map(|value| (format!("snapshot.{key}"), value)));
    }
    settings
}

/// Returns whether a field's author vouches for its determinism.
pub(crate) fn is_trusted(attributes: &[Attribute], errors: &mut Errors) -> bool {
    const KNOWN: [&str; 1] = ["trust"];
    let mut trusted = false;
    for entry in entries(attributes, errors) {
        if entry.key == "trust" {
            trusted = true;
            errors.take(entry.reason());
        } else {
            errors.push(entry.unknown(&KNOWN));
        }
    }
    trusted
}

/// Reports `#[replica(..)]` on a variant, where it says nothing.
pub(crate) fn refuse(attributes: &[Attribute], errors: &mut Errors) {
    for attribute in ours(attributes) {
        errors.at(attribute, "`#[replica(..)]` goes on the type or on a field, not on a variant");
    }
}

fn entries(attributes: &[Attribute], errors: &mut Errors) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for attribute in ours(attributes) {
        let Meta::List(list) = &attribute.meta else {
            errors.at(attribute, "options go in parentheses: `#[replica(name = \"..\")]`");
            continue;
        };
        for entry in Entry::parse_all(list.tokens.clone(), errors) {
            if all.iter().any(|other| other.key == entry.key) {
                errors.push(entry.twice());
            } else {
                all.push(entry);
            }
        }
    }
    all
}

fn ours(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("replica"))
}
