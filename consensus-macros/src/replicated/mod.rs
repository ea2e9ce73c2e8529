//! `#[replicated]` on an impl block.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemImpl, parse_quote};

use crate::error::Errors;

mod ast;
mod attr;
mod client;
mod context;
mod expand;
mod fallback;
mod interface;
mod messages;
mod read;
mod scan;
mod shape;
mod types;
mod valid;

/// Expands the attribute with `options` on `item`.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = attr::Options::parse(options, &mut errors);
    let item: ItemImpl = match syn::parse2(item.clone()) {
        Ok(block) => block,
        Err(error) => return fallback::no_block(item, error),
    };
    let code = match valid::block(&item, &mut errors) {
        Some(block) => {
            let mut stripped = attr::stripped(&item);
            if !block.broken.is_empty() {
                // Nothing calls a method that is in error; that is no second mistake.
                stripped.attrs.push(parse_quote!(#[allow(dead_code)]));
            }
            let context = context::Context::new(&block, &options);
            expand::expand(&stripped, &options.visibility, &context)
        }
        None => fallback::block(&item),
    };
    let errors = errors.into_tokens();
    quote!(#code #errors)
}
