//! The table of commands and queries, for people and tools.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;

use super::{ast::Kind, context::Context};
use crate::tokens;

/// Returns the table as a constant expression, which no type parameter takes part in.
pub(crate) fn expand(context: &Context<'_>) -> TokenStream {
    let private = &context.private;
    let commands = operations(context, Kind::Command);
    let queries = operations(context, Kind::Query);
    quote!(#private::Interface { commands: #commands, queries: #queries })
}

fn operations(context: &Context<'_>, kind: Kind) -> TokenStream {
    let private = &context.private;
    let operations = context.block.of(kind).map(|operation| {
        let (cfgs, name, doc) = (operation.cfgs(), &operation.name, operation.doc_text());
        let arguments = operation.arguments.iter().map(|argument| {
            let name = argument.ident.unraw().to_string();
            let kind = tokens::text(argument.written);
            quote!(#private::Argument { name: #name, kind: #kind })
        });
        quote! {
            #(#cfgs)*
            #private::Operation { name: #name, arguments: &[#(#arguments),*], doc: #doc }
        }
    });
    quote!(&[#(#operations),*])
}
