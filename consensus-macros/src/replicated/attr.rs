//! The options of `#[replicated]`, `#[command]`, `#[query]` and `#[arg]`.

use proc_macro2::TokenStream;
use syn::{
    Attribute, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Meta, Path, Visibility,
};

use super::{ast::Kind, read::Level};
use crate::{error::Errors, facade, names, options::Entry};

/// The options of `#[replicated(..)]`.
pub(crate) struct Options {
    /// The name of the messages' module.
    pub(crate) messages: Option<Ident>,
    /// Who else may name the messages.
    pub(crate) visibility: Visibility,
    /// Where the facade is.
    pub(crate) krate: Option<Path>,
}

impl Options {
    const KNOWN: [&str; 3] = ["messages", "pub", "crate"];

    /// Parses what stands in the attribute's parentheses.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self { messages: None, visibility: Visibility::Inherited, krate: None };
        for entry in Entry::parse_all(tokens, errors) {
            match &*entry.key.to_string() {
                "messages" => {
                    options.messages = errors.take(entry.string()).and_then(|name| {
                        let module = syn::parse_str(&name.value());
                        errors.take(module.map_err(|_| {
                            syn::Error::new(
                                name.span(),
                                "this is not a module's name: write `messages = \"ops\"`",
                            )
                        }))
                    })
                }
                "pub" => {
                    let visibility = syn::parse2(quote::ToTokens::to_token_stream(&entry));
                    options.visibility = errors.take(visibility).unwrap_or(Visibility::Inherited);
                }
                "crate" => options.krate = errors.take(entry.path()),
                "vis" => errors.at(&entry.key, "write the visibility itself: `#[replicated(pub)]`"),
                _ => errors.push(entry.unknown(&Self::KNOWN)),
            }
        }
        options
    }
}

/// `#[command]` or `#[query]` on a method.
pub(crate) struct Mark<'a> {
    /// Which of the two.
    pub(crate) kind: Kind,
    /// The attribute.
    pub(crate) attribute: &'a Attribute,
    /// Its name on the wire, if it is not the method's.
    pub(crate) name: Option<LitStr>,
    /// Whether the author vouches for the method's determinism.
    pub(crate) trusted: bool,
    /// At what level a query is read, if it says so.
    pub(crate) read: Option<Level>,
}

impl<'a> Mark<'a> {
    /// Parses the marks of a method.
    pub(crate) fn all(function: &'a ImplItemFn, errors: &mut Errors) -> Vec<Self> {
        let marks =
            function.attrs.iter().filter_map(|attribute| Some((attribute, kind(attribute)?)));
        marks.map(|(attribute, kind)| Self::parse(attribute, kind, errors)).collect()
    }

    fn parse(attribute: &'a Attribute, kind: Kind, errors: &mut Errors) -> Self {
        let mut mark = Self { kind, attribute, name: None, trusted: false, read: None };
        let tokens = match &attribute.meta {
            Meta::Path(_) => return mark,
            Meta::List(list) => list.tokens.clone(),
            Meta::NameValue(_) => {
                let noun = kind.noun();
                errors.at(
                    attribute,
                    format_args!("options go in parentheses: `#[{noun}(name = \"..\")]`"),
                );
                return mark;
            }
        };
        let known: &[&str] = match kind {
            Kind::Command => &["name", "trust"],
            Kind::Query => &["name", "read"],
        };
        for entry in Entry::parse_all(tokens, errors) {
            match (&*entry.key.to_string(), kind) {
                ("name", _) => mark.name = errors.take(entry.string()),
                ("trust", Kind::Command) => {
                    mark.trusted = true;
                    errors.take(entry.reason());
                }
                ("read", Kind::Query) => mark.read = Level::parse(&entry, errors),
                ("key" | "since" | "tx" | "retired", Kind::Command)
                | ("since" | "retired", Kind::Query) => {
                    errors.push(entry.not_yet(known));
                }
                _ => errors.push(entry.unknown(known)),
            }
        }
        if let Some(name) = &mark.name
            && let Some(problem) = names::wire_problem(&name.value())
        {
            errors.at(name, problem);
            mark.name = None;
        }
        mark
    }
}

/// Returns what an attribute makes of a method.
fn kind(attribute: &Attribute) -> Option<Kind> {
    match facade::own_name(attribute)?.as_str() {
        "command" => Some(Kind::Command),
        "query" => Some(Kind::Query),
        _ => None,
    }
}

/// Returns whether `argument` may be missing in old encodings, by its `#[arg(default)]`.
pub(crate) fn is_default(attributes: &[Attribute], errors: &mut Errors) -> bool {
    const KNOWN: [&str; 1] = ["default"];
    let mut default = false;
    for attribute in attributes {
        if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
            let help = "write two methods, each with its own `#[cfg]`";
            errors.at_with_help(
                attribute,
                "an argument cannot be conditional: it is part of a message",
                help,
            );
        }
        if facade::own_name(attribute).as_deref() != Some("arg") {
            continue;
        }
        let Some(list) = errors.take(attribute.meta.require_list()) else { continue };
        for entry in Entry::parse_all(list.tokens.clone(), errors) {
            if entry.key == "default" {
                default |= errors.take(entry.flag()).is_some();
            } else {
                errors.push(entry.unknown(&KNOWN));
            }
        }
    }
    default
}

/// Returns the block without our attributes.
pub(crate) fn stripped(block: &ItemImpl) -> ItemImpl {
    let mut block = block.clone();
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else { continue };
        function.attrs.retain(|attribute| kind(attribute).is_none());
        for input in &mut function.sig.inputs {
            if let FnArg::Typed(argument) = input {
                argument
                    .attrs
                    .retain(|attribute| facade::own_name(attribute).as_deref() != Some("arg"));
            }
        }
    }
    block
}
