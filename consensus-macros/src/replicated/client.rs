//! The typed client: a method for each command and query.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{FnArg, ImplItemFn, ReturnType, Type};

use super::{
    ast::{self, Block, Kind, Operation},
    expand::{Context, located},
};
use crate::tokens;

/// Returns the client.
pub(crate) fn expand(context: &Context<'_>) -> TokenStream {
    let Context { block, private, client, quiet, .. } = context;
    let Block { state, ident, generics, .. } = block;
    let methods = block.operations.iter().map(|operation| method(operation, context));
    let stubs = block.broken.iter().filter_map(|function| stub(function, context));
    let doc = format!("A client of a replicated [`{ident}`]: a method for each command and query.");
    let (plain, types, plain_clause) = generics.split_for_impl();
    let (generics, _, clause) = context.replicated.split_for_impl();
    quote_spanned! {located(ident.span())=>
        #[doc = #doc]
        #quiet
        pub struct #client #plain (#private::Client<#state>) #plain_clause;

        #[automatically_derived]
        #quiet
        impl #plain ::core::clone::Clone for #client #types #plain_clause {
            fn clone(&self) -> Self {
                Self(::core::clone::Clone::clone(&self.0))
            }
        }

        #[automatically_derived]
        #quiet
        impl #plain ::core::convert::From<#private::Client<#state>> for #client #types #plain_clause {
            fn from(client: #private::Client<#state>) -> Self {
                Self(client)
            }
        }

        #[automatically_derived]
        #quiet
        impl #generics #client #types #clause {
            /// Returns the client without the typed methods.
            pub fn client(&self) -> &#private::Client<#state> {
                &self.0
            }

            /// Returns the address of the actor, which takes the messages themselves.
            pub fn addr(&self) -> #private::actix::Addr<#private::Replica<#state>> {
                self.0.addr()
            }

            #(#methods)*
            #(#stubs)*
        }
    }
}

fn method(operation: &Operation<'_>, context: &Context<'_>) -> TokenStream {
    let Context { block, private, module, .. } = context;
    let Operation { kind, message, name, arguments, reply, .. } = operation;
    let (cfgs, method, mut docs) = (operation.cfgs(), operation.method(), quote!());
    operation.docs().into_iter().for_each(|doc| doc.to_tokens(&mut docs));
    if docs.is_empty() {
        let doc = format!("Sends the {} `{name}`.", kind.noun());
        docs = quote!(#[doc = #doc]);
    }
    let names: Vec<_> = arguments.iter().map(|argument| argument.ident).collect();
    let kinds = arguments.iter().map(|argument| &argument.kind);
    let message = match block.has_type_parameters() {
        true => {
            let (_, types, _) = block.generics.split_for_impl();
            let types = types.as_turbofish();
            quote!(#module::#message #types::new(#(#names),*))
        }
        false => quote!(#module::#message { #(#names),* }),
    };
    let send = match kind {
        Kind::Command => quote!(command),
        Kind::Query => quote!(query),
    };
    quote_spanned! {located(method.span())=>
        #docs
        #(#cfgs)*
        pub fn #method(&self, #(#names: #kinds),*) -> #private::Call<#reply> {
            self.0.#send(#message)
        }
    }
}

/// Returns a method for an operation that is in error, so that its callers are not in error too.
fn stub(function: &ImplItemFn, context: &Context<'_>) -> Option<TokenStream> {
    let Context { block, private, .. } = context;
    let signature = &function.sig;
    if let ReturnType::Type(_, ty) = &signature.output
        && matches!(ast::peel(ty), Type::ImplTrait(_))
    {
        return None;
    }
    let state = block.state.to_token_stream();
    let inputs = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) if !ast::is_context(&argument.ty) => {
            Some(tokens::without_self(&argument.to_token_stream(), &state))
        }
        FnArg::Typed(_) | FnArg::Receiver(_) => None,
    });
    let (ident, generics) = (&signature.ident, &signature.generics);
    let clause = &generics.where_clause;
    let reply = tokens::without_self(&ast::output(function), &state);
    Some(quote! {
        /// Stands for an operation that is in error.
        pub fn #ident #generics (&self, #(#inputs),*) -> #private::Call<#reply> #clause {
            ::core::panic!("this operation is in error")
        }
    })
}
