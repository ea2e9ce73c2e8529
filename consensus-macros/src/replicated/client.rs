//! The typed client: a method for each command and query.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{FnArg, ImplItemFn, ReturnType, Type};

use super::{
    ast::{self, Kind, Operation},
    context::{Context, located},
    valid,
};
use crate::tokens;

/// Returns the client.
pub(crate) fn expand(context: &Context<'_>) -> TokenStream {
    let Context { block, private, state, client, .. } = context;
    let methods = block.operations.iter().map(|operation| method(operation, context));
    let stubs = block.broken.iter().filter_map(|function| stub(function, context));
    let doc = format!(
        "A client of a replicated [`{}`]: a method for each command and query.",
        block.ident
    );
    let (plain, types, plain_clause) = context.generics.split_for_impl();
    let (generics, _, clause) = context.replicated.split_for_impl();
    quote_spanned! {located(block.ident.span())=>
        #[doc = #doc]
        pub struct #client #plain (#private::Client<#state>) #plain_clause;

        #[automatically_derived]
        impl #plain ::core::clone::Clone for #client #types #plain_clause {
            fn clone(&self) -> Self {
                Self(::core::clone::Clone::clone(&self.0))
            }
        }

        #[automatically_derived]
        impl #plain ::core::convert::From<#private::Client<#state>> for #client #types
        #plain_clause
        {
            fn from(client: #private::Client<#state>) -> Self {
                Self(client)
            }
        }

        #[automatically_derived]
        impl #generics #client #types #clause {
            /// Finds the group `name` from a program that is no member, at any of `addresses`,
            /// which are peer ports of its nodes. `.await` what it returns.
            pub fn connect(
                addresses: impl ::core::iter::IntoIterator<
                    Item = impl ::core::convert::Into<::std::string::String>,
                >,
                name: impl ::core::convert::Into<::std::string::String>,
            ) -> #private::Connecting<#state> {
                <#private::Client<#state>>::connect(addresses, name)
            }

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
    let Operation { kind, message, name, arguments, .. } = operation;
    let private = &context.private;
    let docs = context.docs(operation, &format!("Sends the {} `{name}`.", kind.noun()));
    let (cfgs, method) = (operation.cfgs(), operation.method());
    let names: Vec<_> = arguments.iter().map(|argument| argument.ident).collect();
    let kinds = arguments.iter().map(|argument| context.moved(&argument.kind));
    let reply = context.moved(&operation.reply);
    let message = match context.marker() {
        Some(_) => {
            let (_, types, _) = context.generics.split_for_impl();
            let types = types.as_turbofish();
            quote!(#message #types::new(#(#names),*))
        }
        None => quote!(#message { #(#names),* }),
    };
    let (send, call) = match kind {
        Kind::Command => (quote!(command), quote!(#private::Call<#reply>)),
        Kind::Query => (quote!(query), quote!(#private::Call<#reply, #private::Reads>)),
    };
    quote_spanned! {located(method.span())=>
        #docs
        #(#cfgs)*
        pub fn #method(&self, #(#names: #kinds),*) -> #call {
            self.0.#send(#message)
        }
    }
}

/// Returns a method for an operation that is in error, so that its callers are not in error too.
fn stub(function: &ImplItemFn, context: &Context<'_>) -> Option<TokenStream> {
    let Context { private, state, .. } = context;
    let signature = &function.sig;
    if valid::TAKEN.iter().any(|taken| signature.ident == taken) {
        return None;
    }
    if let ReturnType::Type(_, ty) = &signature.output
        && matches!(ast::peel(ty), Type::ImplTrait(_))
    {
        return None;
    }
    let moved = |tokens: TokenStream| tokens::without_self(&context.moved(tokens), state);
    let inputs = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) if !ast::is_context(&argument.ty) => {
            let (pat, ty) = (&argument.pat, moved(argument.ty.to_token_stream()));
            Some(quote!(#pat: #ty))
        }
        FnArg::Typed(_) | FnArg::Receiver(_) => None,
    });
    let (ident, generics) = (&signature.ident, moved(signature.generics.to_token_stream()));
    let clause = moved(signature.generics.where_clause.to_token_stream());
    let reply = moved(ast::output(function));
    Some(quote! {
        /// Stands for an operation that is in error.
        pub fn #ident #generics (&self, #(#inputs),*) -> #private::Call<#reply> #clause {
            ::core::panic!("this operation is in error")
        }
    })
}
