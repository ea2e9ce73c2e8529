//! The code of the derive macros.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Generics, Ident, Type, ext::IdentExt, parse_quote, spanned::Spanned};

use super::ast::Input;
use crate::{facade, names, simulate, tokens};

/// Returns what the type says of itself; `#[replicated]` makes `Replicated` of it.
///
/// So each of the two macros reports the absence of the other, once.
pub(crate) fn replicated(input: &Input<'_>, checked: &[&Type]) -> TokenStream {
    let private = facade::private(input.options.krate.as_ref());
    let ident = &input.item.ident;
    let name = match &input.options.name {
        Some(name) => name.value(),
        None => names::snake_case(&ident.unraw().to_string()),
    };
    let (_, types, _) = input.item.generics.split_for_impl();
    let state = quote!(#ident #types);
    // At the type's name: this is where a missing block is reported. Of a generic type the block
    // may know more, so there it is reported where the type is used.
    let has_commands = input
        .item
        .generics
        .params
        .is_empty()
        .then(|| tokens::at(ident.span(), &quote!(#state: #private::Commands)));
    let named = input.options.protocol.as_ref().map(Ident::to_string);
    let protocol = match named.as_deref() {
        Some("multi_paxos") => quote!(MultiPaxos),
        Some(_) | None => quote!(Raft),
    };
    let settings = input.options.settings.iter().map(|(name, text)| quote!((#name, #text)));
    let checks = checks(input, checked, has_commands, &private);
    let generics = bounded(input, checked, &private);
    let (generics, _, clause) = generics.split_for_impl();
    let is_simulated = input.options.simulate.is_some() && input.item.generics.params.is_empty();
    let simulation = is_simulated.then(|| simulate::of_a_state(ident, &private));
    quote! {
        #[automatically_derived]
        impl #generics #private::Declared for #state #clause {
            const NAME: &'static str = #name;
            const PROTOCOL: #private::Protocol = #private::Protocol::#protocol;
            const SETTINGS: &'static [(&'static str, &'static str)] = &[#(#settings),*];
        }
        #checks
        #simulation
    }
}

/// Returns the implementation of `Deterministic`.
pub(crate) fn deterministic(input: &Input<'_>, checked: &[&Type]) -> TokenStream {
    let private = facade::private(input.options.krate.as_ref());
    let ident = &input.item.ident;
    let checks = checks(input, checked, None, &private);
    let generics = bounded(input, checked, &private);
    let (_, types, _) = input.item.generics.split_for_impl();
    let (generics, _, clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #generics #private::Deterministic for #ident #types #clause {}
        #checks
    }
}

/// Returns the generics with `Deterministic` demanded of the parameters in checked fields.
fn bounded(input: &Input<'_>, checked: &[&Type], private: &TokenStream) -> Generics {
    let mut generics = input.item.generics.clone();
    for parameter in generics.type_params_mut() {
        if checked.iter().any(|kind| input.parameters_of(kind).contains(&&parameter.ident)) {
            parameter.bounds.push(parse_quote!(#private::Deterministic));
        }
    }
    generics
}

/// Returns code that compiles if every checked field is deterministic, with errors at the fields.
///
/// A bound on an implementation that nobody asks for is reported where it stands and nowhere else.
/// A bound with a parameter in it is only checked by a function that needs it.
fn checks(
    input: &Input<'_>,
    checked: &[&Type],
    more: Option<TokenStream>,
    private: &TokenStream,
) -> TokenStream {
    let (generic, plain): (Vec<&Type>, Vec<&Type>) =
        checked.iter().copied().partition(|kind| input.is_generic(kind));
    let plain = (!plain.is_empty() || more.is_some()).then(|| {
        let bounds = plain.iter().map(|kind| {
            let deterministic = tokens::at(tokens::end(kind), &quote!(: #private::Deterministic));
            quote!(#kind #deterministic)
        });
        let bounds = bounds.chain(more);
        quote! {
            trait EveryField {}
            impl EveryField for () where #(#bounds),* {}
        }
    });
    let generic = (!generic.is_empty()).then(|| {
        let calls =
            generic.iter().map(|kind| quote_spanned!(kind.span()=> every_field::<#kind>();));
        let generics = bounded(input, checked, private);
        let (generics, _, clause) = generics.split_for_impl();
        quote! {
            fn every_field<T: #private::Deterministic + ?Sized>() {}
            fn fields #generics () #clause {
                #(#calls)*
            }
        }
    });
    if plain.is_none() && generic.is_none() {
        return TokenStream::new();
    }
    quote! {
        #[allow(dead_code, trivial_bounds)]
        const _: () = {
            #plain
            #generic
        };
    }
}
