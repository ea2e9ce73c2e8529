//! What stands in for the code of a block that is in error, so that only its own errors are seen.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, Item, ItemImpl};

use super::attr;

/// Returns what was not even an impl block, unchanged, and the error.
pub(crate) fn no_block(tokens: TokenStream, error: Error) -> TokenStream {
    let error = match syn::parse2::<Item>(tokens.clone()) {
        Ok(Item::Struct(_) | Item::Enum(_)) => Error::new_spanned(
            proc_macro2::Ident::new("replicated", proc_macro2::Span::call_site()),
            "`#[replicated]` goes on the impl block with the commands\n\
             help: the type itself takes `#[derive(Replicated)]`",
        ),
        Ok(_) => Error::new(
            proc_macro2::Span::call_site(),
            "`#[replicated]` goes on an impl block: `impl Counter { .. }`",
        ),
        Err(_) => error,
    };
    let error = error.into_compile_error();
    quote!(#tokens #error)
}

/// Returns the block alone, without our attributes.
pub(crate) fn block(item: &ItemImpl) -> TokenStream {
    attr::stripped(item).into_token_stream()
}
