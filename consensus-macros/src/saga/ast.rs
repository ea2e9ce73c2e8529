//! What an impl block says: a saga, its steps, and what each is given.

use proc_macro2::TokenStream;
use syn::{Ident, ImplItemFn, ReturnType, Type};

/// A block in which everything is well-formed.
pub(crate) struct Saga<'a> {
    /// The saga's type as the block names it.
    pub(crate) ty: &'a Type,
    /// The last part of that name.
    pub(crate) ident: &'a Ident,
    /// The steps, in order.
    pub(crate) steps: Vec<Step<'a>>,
}

/// A step.
pub(crate) struct Step<'a> {
    /// The method.
    pub(crate) function: &'a ImplItemFn,
    /// Its name in the graph.
    pub(crate) name: String,
    /// What is done about it when the saga cannot go on.
    pub(crate) class: Class<'a>,
    /// The places of the steps that it waits for, in order.
    pub(crate) after: Vec<usize>,
    /// How long an attempt may take.
    pub(crate) timeout_ms: u64,
    /// How often it is tried.
    pub(crate) retry: Retry,
    /// What the method is given, in order.
    pub(crate) inputs: Vec<Input<'a>>,
}

/// What is done about a step when the saga cannot go on.
pub(crate) enum Class<'a> {
    /// `no_effect`
    NoEffect,
    /// `undo = release`
    Compensatable {
        /// The method that undoes it.
        undo: &'a ImplItemFn,
        /// What that is given, in order.
        inputs: Vec<Input<'a>>,
    },
    /// `pivot`
    Pivot,
    /// `retriable`
    Retriable,
}

/// `retry(max = 5, backoff = "100ms..10s")`; what it does not say is the default.
#[derive(Default)]
pub(crate) struct Retry {
    /// How many attempts there are.
    pub(crate) max: Option<u32>,
    /// The first and the longest pause, in milliseconds.
    pub(crate) backoff_ms: Option<(u64, u64)>,
}

/// What a method is given besides the input of its saga.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    /// `cx: &SagaCx`
    Cx,
    /// `reserve: &Hold`; where `reserve` itself is undone `reserve: Option<&Hold>`.
    Output {
        /// The place of the step that brought it.
        step: usize,
        /// The parameter's type.
        ty: &'a Type,
    },
}

/// Returns what a method is declared to return, if it is declared to return something.
pub(crate) fn returned(function: &ImplItemFn) -> Option<&Type> {
    match &function.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(ty),
    }
}

/// Returns the `Hold` of `Outcome<Hold, StockError>`, if it is written like that.
pub(crate) fn brought(function: &ImplItemFn) -> Option<TokenStream> {
    let Type::Path(path) = returned(function)? else { return None };
    let last = path.path.segments.last()?;
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.first().map(quote::ToTokens::to_token_stream)
}
