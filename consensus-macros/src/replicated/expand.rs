//! The code of a block: the traits of each message and of the state.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Generics, Ident, ItemImpl, Visibility, ext::IdentExt, parse_quote};

use super::{
    ast::{Block, Kind, Operation},
    attr::Options,
    client, interface, messages,
};
use crate::{facade, names};

/// What the parts of the generated code share.
pub(crate) struct Context<'a> {
    /// The block.
    pub(crate) block: &'a Block<'a>,
    /// The facade's hidden module.
    pub(crate) private: TokenStream,
    /// Who else may name the messages.
    pub(crate) visibility: &'a Visibility,
    /// The name of the messages' module.
    pub(crate) module: Ident,
    /// The name of the client.
    pub(crate) client: Ident,
    /// The block's generics with a promise that the state is replicated, where that depends on them.
    pub(crate) replicated: Generics,
    /// Quiets lints: what is generated has the shape it has.
    pub(crate) quiet: TokenStream,
}

impl<'a> Context<'a> {
    /// Gathers it.
    pub(crate) fn new(block: &'a Block<'a>, options: &'a Options) -> Self {
        let name = block.ident.unraw();
        let mut context = Self {
            block,
            private: facade::private(options.krate.as_ref()),
            visibility: &options.visibility,
            module: options.messages.clone().unwrap_or_else(|| module(block.ident)),
            client: format_ident!("{name}Client", span = block.ident.span()),
            replicated: block.generics.clone(),
            quiet: quote! {
                #[allow(
                    dead_code, deprecated, private_bounds, private_interfaces, unnameable_types,
                    unreachable_patterns, unreachable_pub, unused_imports, unused_qualifications,
                    unused_variables,
                    clippy::all, clippy::nursery, clippy::pedantic, clippy::restriction
                )]
            },
        };
        if !block.generics.params.is_empty() {
            context.promise_replicated();
        }
        context
    }

    /// Adds the promise to the generics.
    ///
    /// It names the state machine's types too: the compiler takes them from the promise, not from the implementation.
    fn promise_replicated(&mut self) {
        let Self { block, private, module, .. } = &*self;
        let [command, query] = ["Command", "Query"].map(|of| self.enumeration(of));
        let (_, types, _) = block.generics.split_for_impl();
        let state = block.state;
        let promise = parse_quote! {
            #state: #private::Replicated<
                Command = #module::#command #types,
                Query = #module::#query #types,
            >
        };
        self.replicated.make_where_clause().predicates.push(promise);
    }

    /// Returns the name of a hidden enum.
    pub(crate) fn enumeration(&self, of: &str) -> Ident {
        Ident::new(&format!("{}{of}", self.block.ident.unraw()), self.block.ident.span())
    }
}

/// Returns the default name of the messages' module.
fn module(state: &Ident) -> Ident {
    let name = names::snake_case(&state.unraw().to_string());
    names::identifier(&name, state).unwrap_or_else(|| Ident::new(&format!("{name}_"), state.span()))
}

/// Returns the block and all that follows from it.
pub(crate) fn expand(item: &ItemImpl, context: &Context<'_>) -> TokenStream {
    let guard = guard(context);
    let messages = messages::expand(context);
    let operations = context.block.operations.iter().map(|each| operation(each, context));
    let state = state_machine(context);
    let client = client::expand(context);
    quote! {
        #item
        #guard
        #messages
        #(#operations)*
        #state
        #client
    }
}

/// Makes a second block of the same type an error that says so.
fn guard(context: &Context<'_>) -> TokenStream {
    let Context { block, quiet, .. } = context;
    let Block { state, ident, generics, .. } = block;
    let name = Ident::new("only_one_replicated_impl_block_per_type", ident.span());
    let (generics, _, clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        #quiet
        impl #generics #state #clause {
            #[doc(hidden)]
            #[allow(non_upper_case_globals)]
            const #name: () = ();
        }
    }
}

/// Returns the traits of a message.
fn operation(operation: &Operation<'_>, context: &Context<'_>) -> TokenStream {
    let Context { block, private, module, quiet, .. } = context;
    let Operation { kind, message, name, reply, .. } = operation;
    let state = block.state;
    let cfgs = operation.cfgs();
    let (plain, types, plain_clause) = block.generics.split_for_impl();
    let (generics, _, clause) = context.replicated.split_for_impl();
    let message = quote!(#module::#message #types);
    let variant = &operation.message;
    let call = call(operation, block);
    let (role, handle, does) = match kind {
        Kind::Command => (
            "Command",
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
            "Query",
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
    let enumeration = context.enumeration(role);
    let role = Ident::new(role, Span::call_site());
    let outcome = quote!(::core::result::Result<#reply, #private::Error>);
    quote_spanned! {located(operation.method().span())=>
        #(#cfgs)*
        #[automatically_derived]
        #quiet
        impl #generics #private::#role for #message #clause {
            type State = #state;
            type Reply = #reply;
            const NAME: &'static str = #name;
        }

        #(#cfgs)*
        #[automatically_derived]
        #quiet
        impl #plain ::core::convert::From<#message> for #module::#enumeration #types
        #plain_clause
        {
            fn from(message: #message) -> Self {
                Self::#variant(message)
            }
        }

        #(#cfgs)*
        #[automatically_derived]
        #quiet
        #does

        #(#cfgs)*
        #[automatically_derived]
        #quiet
        impl #plain #private::actix::Message for #message #plain_clause {
            type Result = #outcome;
        }

        #(#cfgs)*
        #[automatically_derived]
        #quiet
        impl #generics #private::actix::Handler<#message>
            for #private::Replica<#state> #clause
        {
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

/// Returns the state machine over the hidden enums.
fn state_machine(context: &Context<'_>) -> TokenStream {
    let Context { block, private, module, client, quiet, .. } = context;
    let Block { state, ident, generics, .. } = block;
    let [command, reply, query, answer] =
        ["Command", "Reply", "Query", "Answer"].map(|of| context.enumeration(of));
    let interface = interface::expand(context);
    let apply = dispatch(context, Kind::Command, &command, &reply);
    let respond = dispatch(context, Kind::Query, &query, &answer);
    let (generics, types, clause) = generics.split_for_impl();
    quote_spanned! {located(ident.span())=>
        #[automatically_derived]
        #quiet
        impl #generics #private::StateMachine for #state #clause {
            type Command = #module::#command #types;
            type Reply = #module::#reply #types;
            type Query = #module::#query #types;
            type Answer = #module::#answer #types;

            const INTERFACE: #private::Interface = #interface;

            fn apply(&mut self, cx: &mut #private::Cx, message: Self::Command) -> Self::Reply {
                #apply
            }

            fn answer(&self, message: Self::Query) -> Self::Answer {
                #respond
            }
        }

        #[automatically_derived]
        #quiet
        impl #generics #private::Commands for #state #clause {
            type Client = #client #types;
        }
    }
}

/// Returns the `match` that calls the method for a message.
///
/// It calls the method itself and not `Apply`, which demands that the state is replicated: of a generic state that is
/// not known here.
fn dispatch(context: &Context<'_>, kind: Kind, from: &Ident, to: &Ident) -> TokenStream {
    let Context { block, module, .. } = context;
    let arms = block.of(kind).map(|operation| {
        let (cfgs, message) = (operation.cfgs(), &operation.message);
        let call = call(operation, block);
        quote! {
            #(#cfgs)*
            #module::#from::#message(message) => #module::#to::#message(#call),
        }
    });
    quote!(match message { #(#arms)* })
}

/// Returns the call of an operation's method with the fields of `message`.
fn call(operation: &Operation<'_>, block: &Block<'_>) -> TokenStream {
    let (state, method) = (block.state, operation.method());
    let fields = operation.arguments.iter().map(|argument| argument.ident);
    let cx = operation.takes_cx.then(|| quote!(cx));
    quote!(<#state>::#method(self, #(message.#fields,)* #cx))
}

/// Returns the place of `span` with the hygiene of the macro's own names.
pub(crate) fn located(span: Span) -> Span {
    Span::call_site().located_at(span)
}
