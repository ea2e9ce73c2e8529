//! The options of `#[saga]` and `#[step]`.

use proc_macro2::TokenStream;
use syn::{Attribute, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Meta, Path};

use super::ast::Retry;
use crate::{duration, error::Errors, facade, names, options::Entry};

/// How long an attempt may take unless the step says so.
const TIMEOUT_MS: u64 = 5_000;

/// The options of `#[saga(..)]`.
pub(crate) struct Options {
    /// The saga's name, if it is not the type's.
    pub(crate) name: Option<String>,
    /// Which version of the saga it is.
    pub(crate) version: u32,
    /// Within which time the saga must be decided.
    pub(crate) deadline_ms: Option<u64>,
    /// The method that says what the saga holds.
    pub(crate) holds: Option<Ident>,
    /// The file that the steps are compared with.
    pub(crate) lock: Option<LitStr>,
    /// Where the facade is.
    pub(crate) krate: Option<Path>,
}

impl Options {
    const KNOWN: [&str; 6] = ["name", "version", "deadline", "holds", "lock", "crate"];

    /// Parses what stands in the attribute's parentheses.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self {
            name: None,
            version: 1,
            deadline_ms: None,
            holds: None,
            lock: None,
            krate: None,
        };
        for entry in Entry::parse_all(tokens, errors) {
            match &*entry.key.to_string() {
                "name" => options.name = name(&entry, errors),
                "version" => options.version = number(&entry, errors).unwrap_or(1),
                "deadline" => options.deadline_ms = milliseconds(&entry, errors),
                "holds" => options.holds = errors.take(entry.word()),
                "lock" => options.lock = errors.take(entry.string()),
                "crate" => options.krate = errors.take(entry.path()),
                _ => errors.push(entry.unknown(&Self::KNOWN)),
            }
        }
        options
    }
}

/// `#[step(..)]` on a method.
pub(crate) struct Mark {
    /// What it says becomes of the step, each with the word that says it.
    pub(crate) classes: Vec<(Ident, Named)>,
    /// Its name in the graph, if it is not the method's.
    pub(crate) name: Option<String>,
    /// The steps that it waits for.
    pub(crate) after: Vec<Ident>,
    /// How long an attempt may take.
    pub(crate) timeout_ms: u64,
    /// How often it is tried.
    pub(crate) retry: Retry,
}

/// What becomes of a step when the saga cannot go on, as its mark says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// `undo = release`; nothing if the name has been complained about.
    Undo(Option<Ident>),
    /// `no_effect`
    NoEffect,
    /// `pivot`
    Pivot,
    /// `retriable`
    Retriable,
}

impl Mark {
    const KNOWN: [&str; 8] =
        ["undo", "no_effect", "pivot", "retriable", "after", "timeout", "retry", "name"];

    /// Parses the mark of a method, if it has one.
    pub(crate) fn of(function: &ImplItemFn, errors: &mut Errors) -> Option<Self> {
        let mut marks = function.attrs.iter().filter(|attribute| is_mark(attribute));
        let attribute = marks.next()?;
        if let Some(second) = marks.next() {
            errors.at(second, "one `#[step]` is enough");
        }
        let (classes, after) = (Vec::new(), Vec::new());
        let retry = Retry::default();
        let mut mark = Self { classes, name: None, after, timeout_ms: TIMEOUT_MS, retry };
        match &attribute.meta {
            Meta::Path(_) => {}
            Meta::List(list) => mark.read(list.tokens.clone(), errors),
            Meta::NameValue(_) => {
                errors.at(attribute, "options go in parentheses: `#[step(undo = ..)]`");
            }
        }
        Some(mark)
    }

    fn read(&mut self, tokens: TokenStream, errors: &mut Errors) {
        for entry in Entry::parse_all(tokens, errors) {
            let flag = match &*entry.key.to_string() {
                "undo" => {
                    let undo = Named::Undo(errors.take(entry.word()));
                    self.classes.push((entry.key.clone(), undo));
                    continue;
                }
                "no_effect" => Named::NoEffect,
                "pivot" => Named::Pivot,
                "retriable" => Named::Retriable,
                "after" => {
                    self.after = after(&entry, errors);
                    continue;
                }
                "timeout" => {
                    self.timeout_ms = milliseconds(&entry, errors).unwrap_or(TIMEOUT_MS);
                    continue;
                }
                "retry" => {
                    self.retry = retry(&entry, errors);
                    continue;
                }
                "name" => {
                    self.name = name(&entry, errors);
                    continue;
                }
                _ => {
                    errors.push(entry.unknown(&Self::KNOWN));
                    continue;
                }
            };
            errors.take(entry.flag());
            self.classes.push((entry.key.clone(), flag));
        }
    }
}

pub(crate) fn is_mark(attribute: &Attribute) -> bool {
    facade::own_name(attribute).as_deref() == Some("step")
}

/// Returns the block without our attributes.
pub(crate) fn stripped(block: &ItemImpl) -> ItemImpl {
    let mut block = block.clone();
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item {
            function.attrs.retain(|attribute| !is_mark(attribute));
        }
    }
    block
}

/// Reads a name that stands in logs.
fn name(entry: &Entry, errors: &mut Errors) -> Option<String> {
    let name = errors.take(entry.string())?;
    if let Some(problem) = names::wire_problem(&name.value()) {
        errors.at(&name, problem);
        return None;
    }
    Some(name.value())
}

/// Reads a whole number, 1 or more.
fn number(entry: &Entry, errors: &mut Errors) -> Option<u32> {
    let number = errors.take(entry.number())?;
    errors.take(number.base10_parse())
}

/// Reads a time that is not zero.
fn milliseconds(entry: &Entry, errors: &mut Errors) -> Option<u64> {
    let text = errors.take(entry.string())?;
    let time = duration::milliseconds(&text.value());
    match time {
        None => errors.at(&text, duration::FORM),
        Some(0) => {
            let message = format!("with `{} = \"{}\"` there is no time", entry.key, text.value());
            errors.at_with_help(&text, &message, "write 1ms or more, or leave it out");
        }
        Some(_) => {}
    }
    time.filter(|time| *time > 0)
}

/// Reads the names of `after(reserve, charge)`.
fn after(entry: &Entry, errors: &mut Errors) -> Vec<Ident> {
    let list = errors.take(entry.list()).into_iter();
    let words: Vec<Entry> = list.flat_map(|list| Entry::parse_all(list, errors)).collect();
    let words = words.into_iter();
    words.filter_map(|word| errors.take(word.flag()).map(|()| word.key)).collect()
}

/// Reads `retry(max = 5, backoff = "100ms..10s")`.
fn retry(entry: &Entry, errors: &mut Errors) -> Retry {
    let mut retry = Retry::default();
    let Some(list) = errors.take(entry.list()) else { return retry };
    for entry in Entry::parse_all(list, errors) {
        match &*entry.key.to_string() {
            "max" => retry.max = number(&entry, errors),
            "backoff" => retry.backoff_ms = backoff(&entry, errors),
            _ => errors.push(entry.unknown(&["max", "backoff"])),
        }
    }
    retry
}

fn backoff(entry: &Entry, errors: &mut Errors) -> Option<(u64, u64)> {
    let text = errors.take(entry.string())?;
    let value = text.value();
    let pauses = value.split_once("..").and_then(|(first, longest)| {
        Some((duration::milliseconds(first)?, duration::milliseconds(longest)?))
    });
    let Some((first, longest)) = pauses else {
        let message = "`backoff` takes the first and the longest pause: \
            `backoff = \"100ms..10s\"`";
        errors.at(&text, message);
        return None;
    };
    if first > longest {
        errors.at(&text, "the first pause is longer than the longest; swap them");
        return None;
    }
    pauses
}
