//! Where the generated code finds what it uses: a hidden module of the crate that users depend on.

use proc_macro_crate::FoundCrate;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Ident, Path};

const FACADE: &str = "consensus-actors";

/// Returns the path of the facade's hidden module.
///
/// The facade is `chosen`, or has the name that the user's manifest gives it.
pub(crate) fn private(chosen: Option<&Path>) -> TokenStream {
    if let Some(path) = chosen {
        return quote!(#path::__private);
    }
    let name = name();
    quote!(::#name::__private)
}

/// Returns the name by which the user's crate knows the facade.
pub(crate) fn name() -> Ident {
    // Not found (no cargo, or a manifest of an unusual form): the usual name is the best guess.
    // Itself: the facade's own tests and examples call it by that name too.
    let name = match proc_macro_crate::crate_name(FACADE) {
        Ok(FoundCrate::Name(name)) => name,
        Ok(FoundCrate::Itself) | Err(_) => FACADE.replace('-', "_"),
    };
    syn::parse_str(&name).unwrap_or_else(|_| Ident::new("consensus_actors", Span::call_site()))
}

/// Returns the attribute's name without the facade's: that of `#[consensus_actors::command]` is
/// `command`.
pub(crate) fn own_name(attribute: &Attribute) -> Option<String> {
    let path = attribute.path();
    if let Some(ident) = path.get_ident() {
        return Some(ident.to_string());
    }
    let mut segments = path.segments.iter().rev().map(|segment| &segment.ident);
    let (own, parent) = (segments.next()?, segments.next()?);
    (*parent == "prelude" || *parent == "consensus_actors" || *parent == name())
        .then(|| own.to_string())
}
