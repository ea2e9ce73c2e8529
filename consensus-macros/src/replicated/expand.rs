//! The code of a block: itself, and a module with the messages, their traits and the client.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Ident, ItemImpl, Visibility};

use super::{
    ast::{Kind, Operation},
    client,
    context::{Context, located, role},
    interface, messages,
};
use crate::tokens;

/// Returns the block and all that follows from it.
pub(crate) fn expand(
    item: &ItemImpl,
    visibility: &Visibility,
    context: &Context<'_>,
) -> TokenStream {
    let Context { block, module, client, .. } = context;
    let doc = format!("The commands and queries of [`{}`] as messages.", block.ident);
    let guard = guard(context);
    let messages = messages::expand(context, visibility);
    let operations = block.operations.iter().map(|each| operation(each, context));
    let state = state_machine(context);
    let typed_client = client::expand(context);
    quote_spanned! {located(block.ident.span())=>
        #item

        // Lints are for what people write; what is generated has the shape it has.
        #[doc = #doc]
        #[allow(
            dead_code, deprecated, private_bounds, private_interfaces, unnameable_types,
            unreachable_patterns, unreachable_pub, unused_imports, unused_qualifications,
            unused_variables,
            clippy::all, clippy::nursery, clippy::pedantic, clippy::restriction
        )]
        #visibility mod #module {
            use super::*;

            #guard
            #messages
            #(#operations)*
            #state
            #typed_client
        }
        #[allow(unused_imports, unreachable_pub, clippy::pub_use)]
        pub use #module::#client;
    }
}

/// Makes a second block of the same type an error that says so.
fn guard(context: &Context<'_>) -> TokenStream {
    let Context { block, state, generics, .. } = context;
    let name = Ident::new("only_one_replicated_impl_block_per_type", block.ident.span());
    let (generics, _, clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #generics #state #clause {
            #[doc(hidden)]
            #[allow(non_upper_case_globals)]
            const #name: () = ();
        }
    }
}

/// Returns the traits of a message.
fn operation(operation: &Operation<'_>, context: &Context<'_>) -> TokenStream {
    let Context { private, state, .. } = context;
    let Operation { kind, message: variant, name, .. } = operation;
    let cfgs = operation.cfgs();
    let (plain, types, plain_clause) = context.generics.split_for_impl();
    let (generics, _, clause) = context.replicated.split_for_impl();
    let message = quote!(#variant #types);
    let reply = context.moved(&operation.reply);
    let call = context.call(operation);
    let role = role(*kind);
    let enumeration = context.enumeration(&role.to_string());
    let (handle, does) = match kind {
        Kind::Command => (
            quote!(command),
            quote! {
                impl #generics #private::Apply<#message> for #state #clause {
                    fn apply(&mut self, cx: &mut #private::Cx, message: #message) -> #reply {
                        #call
                    }
                }
            },
        ),
        Kind::Query => (
            quote!(query),
            quote! {
                impl #generics #private::Answer<#message> for #state #clause {
                    fn answer(&self, message: #message) -> #reply {
                        #call
                    }
                }
            },
        ),
    };
    let outcome = quote!(::core::result::Result<#reply, #private::Error>);
    quote_spanned! {located(operation.method().span())=>
        #(#cfgs)*
        #[automatically_derived]
        impl #generics #private::#role for #message #clause {
            type State = #state;
            type Reply = #reply;
            const NAME: &'static str = #name;
        }

        #(#cfgs)*
        #[automatically_derived]
        impl #plain ::core::convert::From<#message> for #enumeration #types #plain_clause {
            fn from(message: #message) -> Self {
                Self::#variant(message)
            }
        }

        #(#cfgs)*
        #[automatically_derived]
        #does

        #(#cfgs)*
        #[automatically_derived]
        impl #plain #private::actix::Message for #message #plain_clause {
            type Result = #outcome;
        }

        #(#cfgs)*
        #[automatically_derived]
        impl #generics #private::actix::Handler<#message> for #private::Replica<#state> #clause {
            type Result = #private::actix::ResponseFuture<#outcome>;

            fn handle(
                &mut self,
                message: #message,
                context: &mut #private::actix::Context<Self>,
            ) -> Self::Result {
                #private::#handle(self, message, context)
            }
        }
    }
}

/// Returns the traits of the state.
fn state_machine(context: &Context<'_>) -> TokenStream {
    let Context { block, private, state, client, .. } = context;
    let [command, reply, query, answer] =
        ["Command", "Reply", "Query", "Answer"].map(|of| context.enumeration(of));
    let interface = interface::expand(context);
    let apply = dispatch(context, Kind::Command, &command, &reply);
    let respond = dispatch(context, Kind::Query, &query, &answer);
    let (generics, types, clause) = context.generics.split_for_impl();
    let (declared_generics, _, declared_clause) = context.declared.split_for_impl();
    let declared = tokens::at(block.ident.span(), &quote!(<#state as #private::Declared>));
    let levels = levels(context);
    quote_spanned! {located(block.ident.span())=>
        #[automatically_derived]
        impl #generics #private::StateMachine for #state #clause {
            type Command = #command #types;
            type Reply = #reply #types;
            type Query = #query #types;
            type Answer = #answer #types;

            const INTERFACE: #private::Interface = #interface;

            fn apply(&mut self, cx: &mut #private::Cx, message: Self::Command) -> Self::Reply {
                #apply
            }

            fn answer(&self, message: Self::Query) -> Self::Answer {
                #respond
            }

            fn read_level(query: &str) -> #private::ReadLevel {
                #levels
            }
        }

        #[automatically_derived]
        impl #generics #private::Commands for #state #clause {
            type Client = #client #types;
        }

        #[automatically_derived]
        impl #declared_generics #private::Replicated for #state #declared_clause {
            type Client = #client #types;
            const NAME: &'static str = #declared::NAME;
            const PROTOCOL: #private::Protocol = #declared::PROTOCOL;
            const SETTINGS: &'static [(&'static str, &'static str)] = #declared::SETTINGS;
        }
    }
}

/// Returns the `match` that gives the level of a query by its name.
fn levels(context: &Context<'_>) -> TokenStream {
    let private = &context.private;
    let arms = context.block.of(Kind::Query).filter_map(|operation| {
        let (cfgs, name) = (operation.cfgs(), &operation.name);
        let level = operation.read?.expand(private);
        Some(quote!(#(#cfgs)* #name => #level,))
    });
    quote! {
        match query {
            #(#arms)*
            _ => #private::ReadLevel::Linearizable,
        }
    }
}

/// Returns the `match` that calls the method for a message.
///
/// It calls the method itself and not `Apply`, which demands that the state is replicated: of a
/// generic state that is not known here.
fn dispatch(context: &Context<'_>, kind: Kind, from: &Ident, to: &Ident) -> TokenStream {
    let arms = context.block.of(kind).map(|operation| {
        let (cfgs, message) = (operation.cfgs(), &operation.message);
        let call = context.call(operation);
        quote!(#(#cfgs)* #from::#message(message) => #to::#message(#call),)
    });
    quote!(match message { #(#arms)* })
}
