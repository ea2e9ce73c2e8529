//! What the parts of the generated code share.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{Generics, Ident, ext::IdentExt, parse_quote};

use super::{
    ast::{Block, Kind, Operation},
    attr::Options,
};
use crate::{facade, names, tokens::Relocation};

/// A block on its way into the module of its messages.
pub(crate) struct Context<'a> {
    /// The block.
    pub(crate) block: &'a Block<'a>,
    /// The name of the module.
    pub(crate) module: Ident,
    /// The name of the client.
    pub(crate) client: Ident,
    /// The path of the facade's hidden module, as the module must write it.
    pub(crate) private: TokenStream,
    /// The state's type, as the module must write it.
    pub(crate) state: TokenStream,
    /// The block's generics, as the module must write them.
    pub(crate) generics: Generics,
    /// The same with a promise that the state is replicated, where that depends on them.
    pub(crate) replicated: Generics,
    /// The same with a promise that the state is declared, where that depends on them.
    pub(crate) declared: Generics,
    relocation: Relocation,
}

impl<'a> Context<'a> {
    /// Gathers it.
    pub(crate) fn new(block: &'a Block<'a>, options: &Options) -> Self {
        let relocation = Relocation { hidden: hidden(block) };
        let private = relocation.apply(facade::private(options.krate.as_ref()));
        let state = relocation.apply(block.state);
        let generics = relocated(block.generics, &relocation);
        let (mut replicated, mut declared) = (generics.clone(), generics.clone());
        if !generics.params.is_empty() {
            // It names the state machine's types too: the compiler takes them from the promise,
            // and no longer from the implementation.
            let [command, query] = ["Command", "Query"].map(|of| enumeration(block, of));
            let (_, types, _) = generics.split_for_impl();
            replicated.make_where_clause().predicates.push(parse_quote! {
                #state: #private::Replicated<Command = #command #types, Query = #query #types>
            });
            declared.make_where_clause().predicates.push(parse_quote!(#state: #private::Declared));
        }
        Self {
            block,
            module: options.messages.clone().unwrap_or_else(|| module(block.ident)),
            client: format_ident!("{}Client", block.ident.unraw(), span = block.ident.span()),
            private,
            state,
            generics,
            replicated,
            declared,
            relocation,
        }
    }

    /// Returns the name of the enum of all commands, replies, queries or answers.
    pub(crate) fn enumeration(&self, of: &str) -> Ident {
        enumeration(self.block, of)
    }

    /// Returns a type as the module must write it.
    pub(crate) fn moved(&self, kind: impl ToTokens) -> TokenStream {
        self.relocation.apply(kind)
    }

    /// Returns the attributes of an operation's documentation; `otherwise` if it has none.
    pub(crate) fn docs(&self, operation: &Operation<'_>, otherwise: &str) -> TokenStream {
        let docs = operation.docs();
        match docs.is_empty() {
            true => quote!(#[doc = #otherwise]),
            false => quote!(#(#docs)*),
        }
    }

    /// Returns the call of an operation's method with the fields of `message`.
    pub(crate) fn call(&self, operation: &Operation<'_>) -> TokenStream {
        let (state, method) = (&self.state, operation.method());
        let fields = operation.arguments.iter().map(|argument| argument.ident);
        let cx = operation.takes_cx.then(|| quote!(cx));
        quote!(<#state>::#method(self, #(message.#fields,)* #cx))
    }

    /// Returns the type of a marker that uses the type parameters, if there are any.
    pub(crate) fn marker(&self) -> Option<TokenStream> {
        let parameters: Vec<&Ident> =
            self.generics.type_params().map(|parameter| &parameter.ident).collect();
        (!parameters.is_empty())
            .then(|| quote!(::core::marker::PhantomData<fn() -> (#(#parameters,)*)>))
    }
}

/// Returns the place of `span` with the hygiene of the macro's own names.
pub(crate) fn located(span: Span) -> Span {
    Span::call_site().located_at(span)
}

/// Returns the name of the trait of an operation's message, which also ends the name of its enum.
pub(crate) fn role(kind: Kind) -> Ident {
    let role = match kind {
        Kind::Command => "Command",
        Kind::Query => "Query",
    };
    Ident::new(role, Span::call_site())
}

fn enumeration(block: &Block<'_>, of: &str) -> Ident {
    format_ident!("{}{of}", block.ident.unraw(), span = block.ident.span())
}

/// Returns the default name of the module.
fn module(state: &Ident) -> Ident {
    let name = names::snake_case(&state.unraw().to_string());
    names::identifier(&name, state).unwrap_or_else(|| format_ident!("{name}_", span = state.span()))
}

/// Returns the names that the module defines, which its types may mean of the parent.
fn hidden(block: &Block<'_>) -> Vec<Ident> {
    let messages = block.operations.iter().map(|operation| operation.message.clone());
    let others = ["Command", "Reply", "Query", "Answer", "Client"].map(|of| enumeration(block, of));
    let is_parameter = |name: &Ident| {
        block.generics.type_params().any(|parameter| parameter.ident == *name)
            || block.generics.const_params().any(|parameter| parameter.ident == *name)
    };
    messages.chain(others).filter(|name| !is_parameter(name)).collect()
}

fn relocated(generics: &Generics, relocation: &Relocation) -> Generics {
    let clause = relocation.apply(&generics.where_clause);
    let mut moved: Generics = syn::parse2(relocation.apply(generics)).unwrap_or_default();
    moved.where_clause = syn::parse2(clause).unwrap_or_default();
    moved
}
