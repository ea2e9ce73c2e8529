//! `#[simulate]` on a test.

use proc_macro2::TokenStream;
use syn::ItemFn;

use crate::error::Errors;

mod attr;
mod expand;
mod valid;

pub(crate) use expand::of_a_state;

/// Expands the attribute with `options` on `item`.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = attr::Options::parse(options, &mut errors);
    let test = match syn::parse2::<ItemFn>(item) {
        Ok(function) => valid::test(function, &mut errors),
        Err(error) => {
            let help = "write `#[simulate] fn counter_is_linearizable(sim: Sim<Counter>) {}`";
            let message = "`#[simulate]` goes on a function, which becomes a test";
            errors.push(syn::Error::new(error.span(), format_args!("{message}\nhelp: {help}")));
            None
        }
    };
    // A test that is in error is no test, and nothing else depends on it.
    match test {
        Some(test) if errors.count() == 0 => expand::test(&test, &options),
        Some(_) | None => errors.into_tokens(),
    }
}
