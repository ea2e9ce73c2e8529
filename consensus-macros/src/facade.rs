//! Where the generated code finds what it uses: a hidden module of the crate that users depend on.

use proc_macro_crate::FoundCrate;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Ident, Path};

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
