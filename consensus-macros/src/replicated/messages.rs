//! The module of the messages and of the hidden enums that carry them.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Ident, Path, Visibility};

use super::{
    ast::{Block, Kind, Operation},
    expand::{Context, located},
};
use crate::tokens::Relocation;

/// Returns the module.
pub(crate) fn expand(context: &Context<'_>) -> TokenStream {
    let Context { block, module, visibility, quiet, .. } = context;
    let hidden = hidden(context);
    let parts = Parts { context, relocation: Relocation { hidden: &hidden } };
    let messages = block.operations.iter().map(|operation| parts.message(operation));
    let commands = parts.enums(Kind::Command, "Command", "Reply");
    let queries = parts.enums(Kind::Query, "Query", "Answer");
    let doc = format!("The commands and queries of [`{}`] as messages.", block.ident);
    quote_spanned! {located(block.ident.span())=>
        #[doc = #doc]
        #quiet
        #visibility mod #module {
            use super::*;

            #(#messages)*
            #commands
            #queries
        }
    }
}

/// Returns the names that the module defines and that its types may mean of the parent.
fn hidden(context: &Context<'_>) -> Vec<Ident> {
    let Block { operations, generics, .. } = context.block;
    let messages = operations.iter().map(|operation| operation.message.clone());
    let enums = ["Command", "Reply", "Query", "Answer"].map(|of| context.enumeration(of));
    let is_parameter = |name: &Ident| {
        generics.type_params().any(|parameter| parameter.ident == *name)
            || generics.const_params().any(|parameter| parameter.ident == *name)
    };
    messages.chain(enums).filter(|name| !is_parameter(name)).collect()
}

/// What the items of the module share.
struct Parts<'a> {
    context: &'a Context<'a>,
    relocation: Relocation<'a>,
}

impl Parts<'_> {
    /// Returns a message.
    fn message(&self, operation: &Operation<'_>) -> TokenStream {
        let Operation { kind, message, name, arguments, .. } = operation;
        let serde = self.private(&quote!(serde));
        let attribute = self.serde(&quote!(deny_unknown_fields));
        let (cfgs, mut docs) = (operation.cfgs(), quote!());
        operation.docs().into_iter().for_each(|doc| doc.to_tokens(&mut docs));
        if docs.is_empty() {
            let doc = format!("The {} `{name}`.", kind.noun());
            docs = quote!(#[doc = #doc]);
        }
        let visibility = below(self.context.visibility);
        let (generics, clause) = self.generics();
        let fields = arguments.iter().map(|argument| {
            let (ident, kind) = (argument.ident, self.relocation.apply(&argument.kind));
            let doc = format!("The argument `{ident}`.");
            let default = argument.default.then(|| quote!(#[serde(default)]));
            quote!(#[doc = #doc] #default pub #ident: #kind,)
        });
        let marker = self
            .marker()
            .map(|marker| quote!(#[doc(hidden)] #[serde(skip)] pub __phantom: #marker,));
        let constructor = self.constructor(operation);
        quote_spanned! {located(operation.method().span())=>
            #docs
            #(#cfgs)*
            #[derive(::core::clone::Clone, #serde::Serialize, #serde::Deserialize)]
            #attribute
            #visibility struct #message #generics #clause {
                #(#fields)*
                #marker
            }

            #constructor
        }
    }

    /// Returns how a message with a marker is made.
    fn constructor(&self, operation: &Operation<'_>) -> Option<TokenStream> {
        self.marker()?;
        let Operation { message, arguments, .. } = operation;
        let cfgs = operation.cfgs();
        let (generics, clause) = self.generics();
        let (_, types, _) = self.context.block.generics.split_for_impl();
        let names: Vec<&Ident> = arguments.iter().map(|argument| argument.ident).collect();
        let kinds = arguments.iter().map(|argument| self.relocation.apply(&argument.kind));
        Some(quote! {
            #(#cfgs)*
            #[automatically_derived]
            impl #generics #message #types #clause {
                /// Makes the message.
                pub fn new(#(#names: #kinds),*) -> Self {
                    Self { #(#names,)* __phantom: ::core::marker::PhantomData }
                }
            }
        })
    }

    /// Returns the enum that carries the operations of a kind, and the one that carries what they return.
    fn enums(&self, kind: Kind, request: &str, response: &str) -> TokenStream {
        let Context { block, .. } = self.context;
        let serde = self.private(&quote!(serde));
        let (generics, clause) = self.generics();
        let (_, types, _) = block.generics.split_for_impl();
        let [request, response] = [request, response].map(|of| self.context.enumeration(of));
        let (request_attribute, response_attribute) =
            (self.serde(&quote!()), self.serde(&quote!(untagged)));
        let requests = block.of(kind).map(|operation| {
            let Operation { message, name, .. } = operation;
            let cfgs = operation.cfgs();
            quote!(#(#cfgs)* #[serde(rename = #name)] #message(#message #types),)
        });
        let responses = block.of(kind).map(|operation| {
            let (message, reply) = (&operation.message, self.relocation.apply(&operation.reply));
            let cfgs = operation.cfgs();
            quote!(#(#cfgs)* #message(#reply),)
        });
        // It uses the type parameters, and there is no value of it.
        let marker = self
            .marker()
            .map(|marker| quote!(#[serde(skip)] __Phantom(::core::convert::Infallible, #marker),));
        quote_spanned! {located(block.ident.span())=>
            #[doc(hidden)]
            #[derive(#serde::Serialize, #serde::Deserialize)]
            #request_attribute
            pub enum #request #generics #clause {
                #(#requests)*
                #marker
            }

            #[doc(hidden)]
            #[derive(#serde::Serialize)]
            #response_attribute
            pub enum #response #generics #clause {
                #(#responses)*
                #marker
            }
        }
    }

    /// Returns the block's generics with their bounds, as they must be written in the module.
    fn generics(&self) -> (TokenStream, Option<TokenStream>) {
        let (generics, _, clause) = self.context.block.generics.split_for_impl();
        (self.relocation.apply(generics), clause.map(|clause| self.relocation.apply(clause)))
    }

    /// Returns the type of a marker that uses the type parameters, if there are any.
    fn marker(&self) -> Option<TokenStream> {
        let block = self.context.block;
        let parameters = block.generics.type_params().map(|parameter| &parameter.ident);
        block
            .has_type_parameters()
            .then(|| quote!(::core::marker::PhantomData<fn() -> (#(#parameters,)*)>))
    }

    /// Returns the path of `item` of the facade's hidden module.
    fn private(&self, item: &TokenStream) -> TokenStream {
        let private = self.relocation.apply(&self.context.private);
        quote!(#private::#item)
    }

    /// Returns the `serde` attribute of a type of the module.
    fn serde(&self, more: &TokenStream) -> TokenStream {
        let path = self.private(&quote!(serde)).to_string();
        quote!(#[serde(crate = #path, bound = "", #more)])
    }
}

/// Returns a visibility that means in a child module what `visibility` means here.
fn below(visibility: &Visibility) -> TokenStream {
    let path: &Path = match visibility {
        Visibility::Public(public) => return public.to_token_stream(),
        Visibility::Inherited => return quote!(pub(super)),
        Visibility::Restricted(restricted) => &restricted.path,
    };
    let mut segments = path.segments.iter();
    match segments.next() {
        Some(first) if first.ident == "super" => quote!(pub(in super::#path)),
        Some(first) if first.ident == "self" => quote!(pub(in super #(::#segments)*)),
        _ => visibility.to_token_stream(),
    }
}
