//! Errors that add up: a macro reports everything it found, not the first thing.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Error;

/// The errors found so far.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    /// Adds an error pinned to `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(Error::new_spanned(tokens, message));
    }

    /// Adds an error pinned to `tokens` with a way out on a line of its own.
    pub(crate) fn at_with_help(&mut self, tokens: impl ToTokens, message: &str, help: &str) {
        self.at(tokens, format_args!("{message}\nhelp: {help}"));
    }

    /// Adds an error.
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Adds the error of `result`, or returns its value.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// Returns how many errors there are.
    pub(crate) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |errors| errors.into_iter().count())
    }

    /// Returns the errors as code that does not compile; nothing if there are none.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.map(Error::into_compile_error).unwrap_or_default()
    }
}

/// Returns `item` with the error that its `attribute` stands outside a block marked `block`.
pub(crate) fn misplaced(attribute: &str, block: &str, item: TokenStream) -> TokenStream {
    let message = format!("`#[{attribute}]` is only valid inside a `#[{block}] impl` block");
    let error = Error::new(Span::call_site(), message).into_compile_error();
    quote!(#error #item)
}
