//! The tests that simulations become.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, ext::IdentExt};

use super::{attr::Options, valid::Test};
use crate::{facade, names};

/// Returns the test that a function becomes.
pub(crate) fn test(test: &Test, options: &Options) -> TokenStream {
    let Test { attributes, name, pattern, simulation, body } = test;
    let private = facade::private(options.krate.as_ref());
    let title = name.unraw().to_string();
    let options = calls(options, &private);
    // Without a body everything is made up from types, and nothing uses the argument.
    let unused = body.stmts.is_empty().then(|| quote!(#[allow(unused_variables)]));
    quote_spanned! {name.span()=>
        #(#attributes)*
        #[::core::prelude::v1::test]
        fn #name() {
            #unused
            fn __simulation(#pattern: &mut #simulation) #body
            let mut __sim = <#simulation>::new();
            __sim.name(#title)#options;
            __simulation(&mut __sim);
            __sim.check();
        }
    }
}

/// Returns what options do to a simulation.
fn calls(options: &Options, private: &TokenStream) -> TokenStream {
    let Options { numbers, protocols, faults, profile, krate: _ } = options;
    let numbers = numbers.iter().map(|(name, number)| quote!(.#name(#number)));
    let protocols = (!protocols.is_empty()).then(|| {
        let names = protocols.iter().map(Ident::to_string);
        quote!(.protocols([#(#private::protocol(#names)),*]))
    });
    let faults = faults.as_ref().map(|faults| {
        let words = faults.iter().map(Ident::to_string);
        quote!(.faults(&[#(#words),*]))
    });
    let profile = profile.as_ref().map(Ident::to_string).map(|name| quote!(.profile(#name)));
    quote!(#(#numbers)* #protocols #faults #profile)
}

/// Returns the test of a state that asks for one.
pub(crate) fn of_a_state(state: &Ident, private: &TokenStream) -> TokenStream {
    let snake = names::snake_case(&state.unraw().to_string());
    let module = format_ident!("{snake}_simulation");
    let name = format_ident!("{snake}_is_linearizable");
    let title = name.to_string();
    let doc = format!("The simulation of [`{state}`].");
    quote! {
        #[doc = #doc]
        #[cfg(test)]
        mod #module {
            #[allow(unused_imports)]
            use super::*;

            #[::core::prelude::v1::test]
            fn #name() {
                #private::Sim::<#state>::new().name(#title).check();
            }
        }
    }
}
