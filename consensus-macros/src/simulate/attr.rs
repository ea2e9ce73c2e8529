//! The options of `#[simulate(..)]`.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Ident, LitInt, Path};

use crate::{
    error::Errors,
    options::{self, Entry},
    protocols,
};

/// The options on a test.
#[derive(Default)]
pub(crate) struct Options {
    /// Options that are numbers, by the name of what they set.
    pub(crate) numbers: Vec<(Ident, LitInt)>,
    /// The protocols, if they are not the state's.
    pub(crate) protocols: Vec<Ident>,
    /// The faults, if they are not all.
    pub(crate) faults: Option<Vec<Ident>>,
    /// A named set of faults.
    pub(crate) profile: Option<Ident>,
    /// Where the facade is.
    pub(crate) krate: Option<Path>,
}

const KNOWN: [&str; 9] =
    ["seeds", "nodes", "ops", "clients", "seconds", "protocols", "faults", "profile", "crate"];
const PROFILES: [&str; 6] = ["calm", "network", "crash", "disk", "clock", "all"];
/// `consensus-actors` says what they stand for.
const FAULTS: [&str; 25] = [
    "crash",
    "pause",
    "partition",
    "one_way",
    "bridge",
    "drop",
    "delay",
    "duplicate",
    "reorder",
    "clock_skew",
    "clock_jump",
    "torn_write",
    "disk_full",
    "bit_rot",
    "slow_disk",
    "io_error",
    "wiped_disk",
    "replacement",
    "transfer",
    "membership",
    "snapshot",
    "rest",
    "lease",
    "all",
    "none",
];

impl Options {
    /// Parses what stands in the attribute's parentheses.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for entry in Entry::parse_all(tokens, errors) {
            match &*entry.key.to_string() {
                "seeds" | "nodes" | "ops" | "clients" | "seconds" => {
                    let number = errors.take(entry.number());
                    options.numbers.extend(number.map(|number| (entry.key.clone(), number)));
                }
                "protocols" => options.protocols = protocols(&entry, errors),
                "faults" => options.faults = Some(faults(&entry, errors)),
                "profile" => options.profile = profile(&entry, errors),
                "crate" => options.krate = errors.take(entry.path()),
                _ => errors.push(entry.unknown(&KNOWN)),
            }
            if let (Some(_), Some(profile)) = (&options.faults, &options.profile) {
                let message = "`faults(..)` and `profile(..)` both say which faults there are";
                errors.at_with_help(profile, message, "keep one of them");
                options.profile = None;
            }
        }
        options
    }
}

/// Returns the words of a list such as `faults(crash, drop)`, each without anything behind it.
fn words(entry: &Entry, errors: &mut Errors) -> Vec<Entry> {
    let words = errors.take(entry.list()).into_iter();
    words.flat_map(|list| Entry::parse_all(list, errors)).collect()
}

fn protocols(entry: &Entry, errors: &mut Errors) -> Vec<Ident> {
    let mut named = Vec::new();
    for word in words(entry, errors) {
        if protocols::check(&word.key, errors) && errors.take(word.flag()).is_some() {
            named.push(word.key);
        }
    }
    named
}

fn faults(entry: &Entry, errors: &mut Errors) -> Vec<Ident> {
    let mut faults = Vec::new();
    for word in words(entry, errors) {
        let name = word.key.to_string();
        if !FAULTS.contains(&&*name) {
            errors.at(&word.key, options::unknown("fault", &word.key, &FAULTS));
        } else if word.flag().is_err() {
            let message = format!("`{name}` takes no amount: each run draws its own");
            errors.at_with_help(word.to_token_stream(), &message, &format!("write `{name}`"));
        } else {
            faults.push(word.key);
        }
    }
    faults
}

fn profile(entry: &Entry, errors: &mut Errors) -> Option<Ident> {
    let before = errors.count();
    let mut words = words(entry, errors).into_iter();
    let (word, more) = (words.next()?, words.next());
    if !PROFILES.iter().any(|known| word.key == known) {
        errors.at(&word.key, options::unknown("profile", &word.key, &PROFILES));
    } else if let Some(more) = more {
        errors.at_with_help(
            &more,
            "`profile(..)` takes one name",
            "list what may happen in `faults(..)`",
        );
    } else {
        errors.take(word.flag());
    }
    (errors.count() == before).then_some(word.key)
}
