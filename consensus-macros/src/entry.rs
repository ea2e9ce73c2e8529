//! `#[consensus_actors::main]` on a program's `async fn main`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{FnArg, ItemFn, ReturnType};

use crate::{error::Errors, facade, options::Entry};

/// Expands the attribute with `options` on `item`.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let krate = krate(options, &mut errors);
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            errors.push(error);
            let errors = errors.into_tokens();
            return quote!(#item #errors);
        }
    };
    check(&function, &mut errors);
    let ItemFn { attrs, vis, sig, block, .. } = &function;
    let (ident, inputs, output) = (&sig.ident, &sig.inputs, &sig.output);
    let private = facade::private(krate.as_ref());
    let body = match errors.count() {
        0 => quote! {
            #private::main(
                match ::core::option_env!("CARGO_BIN_NAME") {
                    ::core::option::Option::Some(name) => name,
                    ::core::option::Option::None => ::core::env!("CARGO_CRATE_NAME"),
                },
                ::core::env!("CARGO_PKG_VERSION"),
                __main,
            )
        },
        _ => quote!(::std::process::ExitCode::FAILURE),
    };
    let errors = errors.into_tokens();
    quote! {
        #(#attrs)*
        #vis fn #ident() -> ::std::process::ExitCode {
            #[allow(dead_code, clippy::unused_async)]
            async fn __main(#inputs) #output #block
            #body
        }
        #errors
    }
}

fn krate(options: TokenStream, errors: &mut Errors) -> Option<syn::Path> {
    let mut krate = None;
    for entry in Entry::parse_all(options, errors) {
        if entry.key == "crate" {
            krate = errors.take(entry.path());
        } else {
            errors.push(entry.unknown(&["crate"]));
        }
    }
    krate
}

const FORM: &str = "write `async fn main(node: Node) -> consensus_actors::Result`";

fn check(function: &ItemFn, errors: &mut Errors) {
    let signature = &function.sig;
    if signature.ident != "main" {
        errors.at(&signature.ident, "`#[consensus_actors::main]` goes on `main`");
    }
    if signature.asyncness.is_none() {
        errors.at_with_help(
            signature.fn_token,
            "`main` must be `async`: it waits for the node",
            FORM,
        );
    }
    let one_argument = signature.inputs.len() == 1
        && signature.inputs.iter().all(|input| matches!(input, FnArg::Typed(_)));
    if !one_argument {
        let problem = "`main` takes one argument, the node that the command line describes";
        errors.at_with_help(&signature.ident, problem, FORM);
    }
    if !signature.generics.params.is_empty() {
        errors.at(&signature.generics, "`main` has no type parameters");
    }
    if let ReturnType::Default = signature.output {
        let problem = "`main` returns `consensus_actors::Result`, so that `?` works in it";
        errors.at_with_help(&signature.ident, problem, FORM);
    }
}
