//! x
use proc_macro::TokenStream;
mod catalogue;
mod derive;
mod entry;
mod error;
mod facade;
mod names;
mod options;
mod replicated;
mod tokens;
/// x
#[proc_macro_derive(Replicated, attributes(replica))]
pub fn derive_replicated(item: TokenStream) -> TokenStream {
    derive::replicated(item.into()).into()
}
/// x
#[proc_macro_derive(Deterministic, attributes(replica))]
pub fn derive_deterministic(item: TokenStream) -> TokenStream {
    derive::deterministic(item.into()).into()
}
/// x
#[proc_macro_attribute]
pub fn replicated(options: TokenStream, item: TokenStream) -> TokenStream {
    replicated::expand(options.into(), item.into()).into()
}
/// x
#[proc_macro_attribute]
pub fn command(_: TokenStream, item: TokenStream) -> TokenStream {
    misplaced("command", item)
}
/// x
#[proc_macro_attribute]
pub fn query(_: TokenStream, item: TokenStream) -> TokenStream {
    misplaced("query", item)
}
/// x
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(options.into(), item.into()).into()
}

/// Returns `item` and the error that its attribute stands outside a replicated block.
fn misplaced(attribute: &str, item: TokenStream) -> TokenStream {
    let message = format!("`#[{attribute}]` is only valid inside a `#[replicated] impl` block");
    let error = syn::Error::new(proc_macro2::Span::call_site(), message).into_compile_error();
    let item = proc_macro2::TokenStream::from(item);
    quote::quote!(#error #item).into()
}
