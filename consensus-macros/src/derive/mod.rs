//! `#[derive(Replicated)]` and `#[derive(Deterministic)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use self::ast::Input;
use crate::error::Errors;

mod ast;
mod attr;
mod expand;
mod valid;

/// Which of the derive macros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Derive {
    /// `#[derive(Replicated)]`
    Replicated,
    /// `#[derive(Deterministic)]`
    Deterministic,
}

/// Derives `Replicated`.
pub(crate) fn replicated(item: TokenStream) -> TokenStream {
    derive(item, Derive::Replicated)
}

/// Derives `Deterministic`.
pub(crate) fn deterministic(item: TokenStream) -> TokenStream {
    derive(item, Derive::Deterministic)
}

fn derive(item: TokenStream, derive: Derive) -> TokenStream {
    let item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let code = Input::read(&item, &mut errors).map(|input| {
        let checked = valid::check(&input, derive, &mut errors);
        // The code stands even beside errors, so that whoever uses the type sees only those.
        match derive {
            Derive::Replicated => expand::replicated(&input, &checked),
            Derive::Deterministic => expand::deterministic(&input, &checked),
        }
    });
    let errors = errors.into_tokens();
    quote!(#code #errors)
}
