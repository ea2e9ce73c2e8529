//! The code of a saga: its definition, and the test that compares it with a file.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Type, ext::IdentExt, spanned::Spanned};

use super::{
    ast::{self, Class, Input, Saga, Step},
    attr::Options,
    shape::located,
};
use crate::{facade, names, tokens};

/// Returns what makes the type a saga.
pub(crate) fn saga(saga: &Saga<'_>, options: &Options) -> TokenStream {
    let private = facade::private(options.krate.as_ref());
    let graph = graph(saga, options, &private);
    let output = saga.steps.last().map_or_else(|| quote!(()), |step| output(step, &private));
    let actions = saga.steps.iter().enumerate().map(|(at, step)| action(saga, at, step, &private));
    let undos = saga.steps.iter().enumerate().map(|(at, step)| undo(saga, at, step, &private));
    let name = saga.ident.unraw().to_string();
    let lock = options.lock.as_ref().map(|file| {
        let ty = saga.ty;
        let test = format_ident!("{}_keeps_its_steps", names::snake_case(&name));
        quote! {
            #[cfg(test)]
            #[::core::prelude::v1::test]
            fn #test() {
                let graph = <#ty as #private::saga::SagaDefinition>::graph();
                #private::steps::check_lock(&graph, ::core::env!("CARGO_MANIFEST_DIR"), #file);
            }
        }
    });
    let definition = definition(
        saga,
        &private,
        &output,
        [
            graph,
            quote! { match __step.0 { #(#actions)* _ => #private::steps::none(__step) } },
            quote! { match __step.0 { #(#undos)* _ => #private::steps::none(__step) } },
        ],
        options.holds.as_ref().map(|method| holds(saga, method, &private)),
    );
    quote!(#definition #lock)
}

/// Returns what stands in for the definition of a saga that is in error, so that where it is used
/// only its own errors are seen.
pub(crate) fn stand_in(saga: &Saga<'_>, options: &Options) -> TokenStream {
    let private = facade::private(options.krate.as_ref());
    let output = saga.steps.last().and_then(|step| ast::brought(step.function));
    let output = output.unwrap_or_else(|| quote!(()));
    let body = || quote!(::core::unreachable!());
    definition(saga, &private, &output, [body(), body(), body()], None)
}

fn definition(
    saga: &Saga<'_>,
    private: &TokenStream,
    output: &TokenStream,
    [graph, act, undo]: [TokenStream; 3],
    holds: Option<TokenStream>,
) -> TokenStream {
    let ty = saga.ty;
    quote_spanned! {located(saga.ident.span())=>
        #[automatically_derived]
        #[allow(
            deprecated, unused_variables, clippy::all, clippy::nursery, clippy::pedantic,
            clippy::restriction
        )]
        impl #private::saga::SagaDefinition for #ty {
            type Output = #output;

            fn graph() -> #private::saga::Graph {
                #graph
            }

            #holds

            fn act<'a>(
                &'a self,
                __step: #private::saga::StepId,
                __cx: &'a #private::saga::SagaCx,
            ) -> #private::saga::BoxFuture<
                'a,
                #private::saga::Outcome<#private::saga::Bytes>,
            > {
                #act
            }

            fn undo<'a>(
                &'a self,
                __step: #private::saga::StepId,
                __cx: &'a #private::saga::SagaCx,
                __output: ::core::option::Option<#private::saga::Bytes>,
            ) -> #private::saga::BoxFuture<'a, #private::saga::Undo> {
                #undo
            }
        }
    }
}

/// Returns the method that says what the saga holds.
fn holds(saga: &Saga<'_>, method: &Ident, private: &TokenStream) -> TokenStream {
    let ty = saga.ty;
    quote_spanned! {located(method.span())=>
        fn holds(&self) -> #private::saga::Holds {
            <#ty>::#method(self)
        }
    }
}

/// Returns the type of what a step brings.
fn output(step: &Step<'_>, private: &TokenStream) -> TokenStream {
    let Some(returned) = ast::returned(step.function) else { return quote!(()) };
    let span = located(returned.span());
    quote_spanned!(span=> <#returned as #private::steps::Brings>::Output)
}

fn graph(saga: &Saga<'_>, options: &Options, private: &TokenStream) -> TokenStream {
    let name = options.name.clone();
    let name = name.unwrap_or_else(|| names::kebab_case(&saga.ident.unraw().to_string()));
    let Options { version, deadline_ms, .. } = options;
    let deadline = match deadline_ms {
        None => quote!(::core::option::Option::None),
        Some(ms) => {
            quote!(::core::option::Option::Some(::core::time::Duration::from_millis(#ms)))
        }
    };
    let steps = saga.steps.iter().map(|step| {
        let Step { name, class, after, timeout_ms, retry, .. } = step;
        let class = match class {
            Class::NoEffect => quote!(NoEffect),
            Class::Compensatable { .. } => quote!(Compensatable),
            Class::Pivot => quote!(Pivot),
            Class::Retriable => quote!(Retriable),
        };
        let after = after.iter().map(|at| id(*at, private));
        let max = retry.max.map(|max| quote!(attempts_max: #max,));
        let pauses = retry.backoff_ms.map(|(first, longest)| {
            quote! {
                base: ::core::time::Duration::from_millis(#first),
                cap: ::core::time::Duration::from_millis(#longest),
            }
        });
        quote! {
            #private::saga::Step {
                name: ::std::string::String::from(#name),
                class: #private::saga::Class::#class,
                after: ::std::vec::Vec::from([#(#after),*]),
                timeout: ::core::time::Duration::from_millis(#timeout_ms),
                retry: #private::saga::Retry {
                    #max
                    #pauses
                    ..::core::default::Default::default()
                },
            }
        }
    });
    let steps = quote!(::std::vec::Vec::from([#(#steps),*]));
    quote!(#private::steps::graph((#name, #version), #deadline, #steps))
}

fn id(at: usize, private: &TokenStream) -> TokenStream {
    let at = at as u16;
    quote!(#private::saga::StepId(#at))
}

/// Returns the arm that carries a step out.
fn action(saga: &Saga<'_>, at: usize, step: &Step<'_>, private: &TokenStream) -> TokenStream {
    let method = &step.function.sig.ident;
    let (ty, place) = (saga.ty, at as u16);
    let lacking = quote!(#private::steps::Lacking::outcome);
    let (outputs, arguments) = inputs(saga, at, &step.inputs, &lacking, private);
    let returned = ast::returned(step.function);
    let call = spanned_call(ty, method, &arguments);
    let span = located(returned.map_or_else(Span::call_site, Spanned::span));
    let brought = format_ident!("__brought", span = span);
    let encoded = quote_spanned!(span=> #private::steps::Brings::encoded(#brought));
    quote_spanned! {located(method.span())=>
        #place => ::std::boxed::Box::pin(async move {
            #outputs
            let #brought = #call;
            #encoded
        }),
    }
}

/// Returns the arm that undoes a step, if it can be.
fn undo(saga: &Saga<'_>, at: usize, step: &Step<'_>, private: &TokenStream) -> Option<TokenStream> {
    let Class::Compensatable { undo, inputs: wanted } = &step.class else { return None };
    let method = &undo.sig.ident;
    let (ty, place) = (saga.ty, at as u16);
    let lacking = quote!(#private::steps::Lacking::undo);
    let (outputs, arguments) = inputs(saga, at, wanted, &lacking, private);
    let call = spanned_call(ty, method, &arguments);
    let span = located(ast::returned(undo).map_or_else(Span::call_site, Spanned::span));
    let undone = format_ident!("__undone", span = span);
    let converted =
        quote_spanned!(span=> ::core::convert::Into::<#private::saga::Undo>::into(#undone));
    Some(quote_spanned! {located(method.span())=>
        #place => ::std::boxed::Box::pin(async move {
            #outputs
            let #undone = #call;
            #converted
        }),
    })
}

fn spanned_call(ty: &Type, method: &Ident, arguments: &[TokenStream]) -> TokenStream {
    quote_spanned!(located(method.span())=> <#ty>::#method(self #(, #arguments)*).await)
}

/// Returns how the outputs are read that a method is given, and all that it is given.
fn inputs(
    saga: &Saga<'_>,
    at: usize,
    inputs: &[Input<'_>],
    lacking: &TokenStream,
    private: &TokenStream,
) -> (TokenStream, Vec<TokenStream>) {
    let (mut outputs, mut arguments) = (TokenStream::new(), Vec::new());
    for input in inputs {
        let Input::Output { step, ty: written } = *input else {
            arguments.push(quote!(__cx));
            continue;
        };
        let Some(from) = saga.steps.get(step) else { continue };
        let (name, id, kind) = (&from.name, id(step, private), output(from, private));
        let own = step == at;
        let reading = match own {
            true => quote!(#private::steps::own::<#kind>(&__output, #name)),
            false => quote!(#private::steps::needed::<#kind>(__cx, #id, #name)),
        };
        let variable = format_ident!("__output_{step}");
        outputs.extend(quote! {
            let #variable = match #reading {
                ::core::result::Result::Ok(output) => output,
                ::core::result::Result::Err(lacking) => return #lacking(lacking, __cx),
            };
        });
        arguments.push(argument(&variable, written, own));
    }
    (outputs, arguments)
}

/// Returns an output as an argument, at the place of the parameter's type: if the types differ,
/// that is where the mistake is.
fn argument(variable: &Ident, written: &Type, own: bool) -> TokenStream {
    let first = located(written.span());
    let last = located(tokens::end(written));
    let at = |span: Span| Ident::new(&variable.to_string(), span);
    if !own {
        let (reference, variable) = (quote_spanned!(first=> &), at(last));
        return quote!(#reference #variable);
    }
    let mut nothing = Group::new(Delimiter::Parenthesis, TokenStream::new());
    nothing.set_span(last);
    let nothing = TokenTree::from(nothing).into_token_stream();
    let variable = at(first);
    quote_spanned!(first=> #variable.as_ref #nothing)
}
