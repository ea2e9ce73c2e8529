//! `#[saga]` on an impl block.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, Item, ItemImpl};

use crate::error::Errors;

mod ast;
mod attr;
mod expand;
mod order;
mod shape;
mod valid;

/// Expands the attribute with `options` on `item`.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = attr::Options::parse(options, &mut errors);
    let item: ItemImpl = match syn::parse2(item.clone()) {
        Ok(block) => block,
        Err(error) => return no_block(item, error),
    };
    let saga = valid::block(&item, &mut errors);
    if let Some(method) = &options.holds {
        valid::holds(&item, method, &mut errors);
    }
    let stripped = attr::stripped(&item);
    let code = match saga {
        Some(saga) if errors.count() == 0 => expand::saga(&saga, &options),
        Some(saga) => expand::stand_in(&saga, &options),
        None => TokenStream::new(),
    };
    // Nothing calls the methods of a saga that is in error; that is no second mistake.
    let allowed = (errors.count() > 0).then(|| quote!(#[allow(dead_code)]));
    let errors = errors.into_tokens();
    quote!(#allowed #stripped #code #errors)
}

/// Returns what was not even an impl block, unchanged, and the error.
fn no_block(tokens: TokenStream, error: Error) -> TokenStream {
    let message = match syn::parse2::<Item>(tokens.clone()) {
        Ok(_) => "`#[saga]` goes on the impl block with the steps: `impl PlaceOrder { .. }`",
        Err(_) => {
            let error = error.into_compile_error();
            return quote!(#tokens #error);
        }
    };
    let error = Error::new(Span::call_site(), message).into_compile_error();
    quote!(#tokens #error)
}
