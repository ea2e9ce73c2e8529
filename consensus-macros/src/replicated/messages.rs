//! The messages, and the hidden enums that carry them.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Ident, Path, Visibility};

use super::{
    ast::{Kind, Operation},
    context::{Context, located, role},
};

/// Returns the messages and the enums.
pub(crate) fn expand(context: &Context<'_>, visibility: &Visibility) -> TokenStream {
    let visibility = below(visibility);
    let messages = context.block.operations.iter().map(|each| message(each, &visibility, context));
    let commands = enums(context, Kind::Command, "Reply");
    let queries = enums(context, Kind::Query, "Answer");
    quote! {
        #(#messages)*
        #commands
        #queries
    }
}

/// Returns a message.
fn message(
    operation: &Operation<'_>,
    visibility: &TokenStream,
    context: &Context<'_>,
) -> TokenStream {
    let Operation { kind, message, name, arguments, .. } = operation;
    let private = &context.private;
    let docs = context.docs(operation, &format!("The {} `{name}`.", kind.noun()));
    let cfgs = operation.cfgs();
    let serde = serde(context, &quote!(deny_unknown_fields));
    let (generics, _, clause) = context.generics.split_for_impl();
    let fields = arguments.iter().map(|argument| {
        let (ident, kind) = (argument.ident, context.moved(&argument.kind));
        let doc = format!("The argument `{ident}`.");
        let default = argument.default.then(|| quote!(#[serde(default)]));
        quote_spanned!(located(ident.span())=> #[doc = #doc] #default pub #ident: #kind,)
    });
    let marker = context
        .marker()
        .map(|marker| quote!(#[doc(hidden)] #[serde(skip)] pub __phantom: #marker,));
    let constructor = constructor(operation, context);
    quote_spanned! {located(operation.method().span())=>
        #docs
        #(#cfgs)*
        #[derive(
            ::core::clone::Clone, #private::serde::Serialize, #private::serde::Deserialize
        )]
        #serde
        #visibility struct #message #generics #clause {
            #(#fields)*
            #marker
        }

        #constructor
    }
}

/// Returns how a message with a marker is made.
fn constructor(operation: &Operation<'_>, context: &Context<'_>) -> Option<TokenStream> {
    context.marker()?;
    let Operation { message, arguments, .. } = operation;
    let cfgs = operation.cfgs();
    let (generics, types, clause) = context.generics.split_for_impl();
    let names: Vec<&Ident> = arguments.iter().map(|argument| argument.ident).collect();
    let kinds = arguments.iter().map(|argument| context.moved(&argument.kind));
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

/// Returns the enum that carries the operations of a kind, and that of what they return.
fn enums(context: &Context<'_>, kind: Kind, response: &str) -> TokenStream {
    let Context { block, private, .. } = context;
    let (generics, types, clause) = context.generics.split_for_impl();
    let (request, response) =
        (context.enumeration(&role(kind).to_string()), context.enumeration(response));
    let requests = block.of(kind).map(|operation| {
        let Operation { message, name, .. } = operation;
        let (cfgs, span) = (operation.cfgs(), located(message.span()));
        quote_spanned!(span=> #(#cfgs)* #[serde(rename = #name)] #message(#message #types),)
    });
    let responses = block.of(kind).map(|operation| {
        let (message, reply) = (&operation.message, context.moved(&operation.reply));
        let (cfgs, span) = (operation.cfgs(), located(message.span()));
        quote_spanned!(span=> #(#cfgs)* #message(#reply),)
    });
    // It uses the type parameters, and there is no value of it.
    let marker = context
        .marker()
        .map(|marker| quote!(#[serde(skip)] __Phantom(::core::convert::Infallible, #marker),));
    let (tagged, untagged) = (serde(context, &quote!()), serde(context, &quote!(untagged)));
    quote_spanned! {located(block.ident.span())=>
        #[doc(hidden)]
        #[derive(#private::serde::Serialize, #private::serde::Deserialize)]
        #tagged
        pub enum #request #generics #clause {
            #(#requests)*
            #marker
        }

        #[doc(hidden)]
        #[derive(#private::serde::Serialize)]
        #untagged
        pub enum #response #generics #clause {
            #(#responses)*
            #marker
        }
    }
}

/// Returns the `serde` attribute of a type: the bounds of the block are all that it needs.
fn serde(context: &Context<'_>, more: &TokenStream) -> TokenStream {
    let private = &context.private;
    let path = quote!(#private::serde).to_string();
    quote!(#[serde(crate = #path, bound = "", #more)])
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
