//! What an impl block says: its state, its commands and queries.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, Expr, ExprLit, Generics, Ident, ImplItemFn, Lit, Meta, Type};

use super::read::Level;

/// A checked block.
pub(crate) struct Block<'a> {
    /// The state's type as the block names it.
    pub(crate) state: &'a Type,
    /// The last part of that name.
    pub(crate) ident: &'a Ident,
    /// The block's generics.
    pub(crate) generics: &'a Generics,
    /// The commands and queries that are well-formed, in order.
    pub(crate) operations: Vec<Operation<'a>>,
    /// Those that are not, for which an error has been reported.
    pub(crate) broken: Vec<&'a ImplItemFn>,
}

impl Block<'_> {
    /// Returns the operations of one kind.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Operation<'_>> {
        self.operations.iter().filter(move |operation| operation.kind == kind)
    }
}

/// Whether a method changes the state or reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `#[command]`
    Command,
    /// `#[query]`
    Query,
}

impl Kind {
    /// Returns the attribute's name, which is also the noun.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Query => "query",
        }
    }
}

/// A well-formed command or query.
pub(crate) struct Operation<'a> {
    /// Which of the two.
    pub(crate) kind: Kind,
    /// The method.
    pub(crate) function: &'a ImplItemFn,
    /// The name of its message.
    pub(crate) message: Ident,
    /// Its name on the wire.
    pub(crate) name: String,
    /// Its arguments without `cx`.
    pub(crate) arguments: Vec<Argument<'a>>,
    /// Whether `cx: &mut Cx` follows them.
    pub(crate) takes_cx: bool,
    /// The type of its reply, free of `Self`.
    pub(crate) reply: TokenStream,
    /// At what level a query is read, if it says so.
    pub(crate) read: Option<Level>,
}

impl Operation<'_> {
    /// Returns the method's name.
    pub(crate) fn method(&self) -> &Ident {
        &self.function.sig.ident
    }

    /// Returns the method's documentation attributes.
    pub(crate) fn docs(&self) -> Vec<&Attribute> {
        attributes(self.function, "doc")
    }

    /// Returns the conditions under which the method exists.
    pub(crate) fn cfgs(&self) -> Vec<&Attribute> {
        cfgs(self.function)
    }

    /// Returns the text of the method's doc comment.
    pub(crate) fn doc_text(&self) -> String {
        let lines = self.docs().into_iter().filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(meta) => match &meta.value {
                Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value()),
                _ => None,
            },
            Meta::Path(_) | Meta::List(_) => None,
        });
        let lines: Vec<String> =
            lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect();
        lines.join("\n").trim().to_owned()
    }
}

/// Returns the conditions under which a method exists.
pub(crate) fn cfgs(function: &ImplItemFn) -> Vec<&Attribute> {
    attributes(function, "cfg")
}

fn attributes<'a>(function: &'a ImplItemFn, name: &str) -> Vec<&'a Attribute> {
    function.attrs.iter().filter(|attribute| attribute.path().is_ident(name)).collect()
}

/// An argument of a command or query.
pub(crate) struct Argument<'a> {
    /// Its name.
    pub(crate) ident: &'a Ident,
    /// Its type as written.
    pub(crate) written: &'a Type,
    /// Its type, free of `Self`.
    pub(crate) kind: TokenStream,
    /// Whether it may be missing in what was encoded before it existed.
    pub(crate) default: bool,
}

/// Returns the type that `ty` is, without invisible delimiters and parentheses.
pub(crate) fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        _ => ty,
    }
}

/// Returns whether `ty` is the context of a command, however it is passed.
pub(crate) fn is_context(ty: &Type) -> bool {
    match peel(ty) {
        Type::Reference(reference) => is_context(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Cx"),
        _ => false,
    }
}

/// Returns the tokens of a method's return type, `()` if it has none.
pub(crate) fn output(function: &ImplItemFn) -> TokenStream {
    match &function.sig.output {
        syn::ReturnType::Default => quote::quote!(()),
        syn::ReturnType::Type(_, ty) => ty.to_token_stream(),
    }
}
