//! The shape of a method: its modifiers, its receiver and its arguments.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    FnArg, GenericParam, Ident, ImplItemFn, Pat, PatType, Receiver, ReceiverKind, Safety, Type,
};

use super::{
    ast::{self, Argument, Kind},
    attr, types,
};
use crate::{error::Errors, tokens};

/// Checks what stands around the method's name.
pub(crate) fn modifiers(function: &ImplItemFn, kind: Kind, errors: &mut Errors) {
    let signature = &function.sig;
    if let Some(asyncness) = &signature.asyncness {
        match kind {
            Kind::Command => errors.at_with_help(
                asyncness,
                "a command must not be `async`: \
                    it runs on every replica, at a moment only the log decides",
                "do the waiting before the call; keep only the state change here",
            ),
            Kind::Query => errors.at_with_help(
                asyncness,
                "a query must not be `async`: \
                    it reads the state as it is at one position of the log",
                "return what you need, and wait after the call",
            ),
        }
    }
    let noun = kind.noun();
    if let Safety::Unsafe(unsafety) = &signature.safety {
        errors.at(
            unsafety,
            format_args!("a {noun} must not be `unsafe`: anybody may send its message"),
        );
    }
    if let Some(abi) = &signature.abi {
        errors.at(abi, format_args!("a {noun} is a plain Rust method, not `extern`"));
    }
    if let Some(variadic) = &signature.variadic {
        errors.at(variadic, format_args!("a {noun} has a fixed list of arguments"));
    }
    for parameter in &signature.generics.params {
        let (what, help) = match parameter {
            GenericParam::Lifetime(_) => {
                ("lifetimes", "use owned types, such as `String` for `&str`")
            }
            GenericParam::Type(_) | GenericParam::Const(_) => {
                ("type parameters", "put them on the `impl`, or name the type")
            }
        };
        let message =
            format!("a {noun} has no {what} of its own: its message is one type in the log");
        errors.at_with_help(parameter, &message, help);
    }
}

/// Checks how the method takes the state.
pub(crate) fn receiver(function: &ImplItemFn, kind: Kind, errors: &mut Errors) {
    let receiver = match function.sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) => receiver,
        Some(FnArg::Typed(_)) | None => {
            let wanted = if kind == Kind::Command { "&mut self" } else { "&self" };
            let message = format_args!("a {} takes `{wanted}` first", kind.noun());
            return errors.at(&function.sig.ident, message);
        }
    };
    match (kind, shape(receiver)) {
        (Kind::Command, Shape::Exclusive) | (Kind::Query, Shape::Shared) => {}
        (Kind::Command, Shape::Shared) => {
            errors.at(receiver, "a command takes `&mut self`; make it `#[query]` if it only reads");
        }
        (Kind::Command, Shape::Other) => {
            errors.at(receiver, "a command takes `&mut self`: the state stays where it is");
        }
        (Kind::Query, Shape::Exclusive) => errors.at_with_help(
            receiver,
            "a query takes `&self`; this one could change state without going through the log",
            "make it `#[command]`, or take `&self`",
        ),
        (Kind::Query, Shape::Other) => {
            errors.at(receiver, "a query takes `&self`: the state stays where it is");
        }
    }
}

/// How a method takes the state.
enum Shape {
    /// `&self`
    Shared,
    /// `&mut self`
    Exclusive,
    /// Anything else.
    Other,
}

fn shape(receiver: &Receiver) -> Shape {
    let mutable = match &receiver.kind {
        ReceiverKind::Reference(_, _, mutable) => mutable.is_some(),
        ReceiverKind::Typed(_, ty) => match ast::peel(ty) {
            Type::Reference(reference) if tokens::text(&reference.elem) == "Self" => {
                reference.mutability.is_some()
            }
            _ => return Shape::Other,
        },
        _ => return Shape::Other,
    };
    if mutable { Shape::Exclusive } else { Shape::Shared }
}

/// Reads the arguments and whether `cx` follows them.
pub(crate) fn arguments<'a>(
    function: &'a ImplItemFn,
    kind: Kind,
    state: &TokenStream,
    errors: &mut Errors,
) -> (Vec<Argument<'a>>, bool) {
    let typed = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    let typed: Vec<&PatType> = typed.collect();
    let mut arguments = Vec::new();
    let mut takes_cx = false;
    for (at, argument) in typed.iter().enumerate() {
        if ast::is_context(&argument.ty) {
            context(argument, kind, at + 1 == typed.len(), errors);
            takes_cx = true;
            continue;
        }
        let ident = plain_name(&argument.pat, errors);
        if ident.is_some_and(|ident| ident == "cx") {
            let help = "write `cx: &mut Cx`, or call the argument something else";
            errors.at_with_help(&argument.ty, "`cx` is the context of the command", help);
            continue;
        }
        types::argument(&argument.ty, errors);
        let default = attr::is_default(&argument.attrs, errors);
        if let Some(ident) = ident {
            let kind = tokens::without_self(&argument.ty.to_token_stream(), state);
            arguments.push(Argument { ident, written: &argument.ty, kind, default });
        }
    }
    (arguments, takes_cx)
}

fn context(argument: &PatType, kind: Kind, last: bool, errors: &mut Errors) {
    let by_mut = match ast::peel(&argument.ty) {
        Type::Reference(reference) => reference.mutability.is_some(),
        _ => false,
    };
    if kind == Kind::Query {
        let help = "pass the time or the random number as an argument, or make it `#[command]`";
        errors.at_with_help(argument, "a query has no `cx`: it has no entry in the log", help);
    } else if !by_mut {
        errors.at(&argument.ty, "the context is passed as `cx: &mut Cx`");
    } else if !last {
        errors
            .at(argument, "`cx: &mut Cx` is the last parameter: it is no argument of the message");
    }
}

/// Returns the name that a pattern binds, if it is nothing but a name.
fn plain_name<'a>(pat: &'a Pat, errors: &mut Errors) -> Option<&'a Ident> {
    match pat {
        Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => Some(&name.ident),
        Pat::Wild(wild) => {
            let help = "give it a name; start it with `_` if the method does not use it";
            errors.at_with_help(
                wild,
                "an argument needs a name: it is a field of the message",
                help,
            );
            None
        }
        _ => {
            let help = "give it a name and take it apart in the body";
            errors.at_with_help(
                pat,
                "an argument is a plain name: it is a field of the message",
                help,
            );
            None
        }
    }
}
