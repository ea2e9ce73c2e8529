//! The shape of a method: its modifiers, its receiver, its parameters, and what it returns.

use proc_macro2::Span;
use syn::{
    FnArg, GenericArgument, GenericParam, Ident, ImplItemFn, Pat, PatType, PathArguments, Receiver,
    ReceiverKind, Type, ext::IdentExt,
};

use super::{
    ast::{self, Input},
    order,
    valid::Marked,
};
use crate::{error::Errors, tokens};

/// Checks all of a step's signature but its parameters.
pub(crate) fn step(function: &ImplItemFn, errors: &mut Errors) {
    modifiers(function, "step", errors);
    match ast::returned(function) {
        None => {
            let help =
                "write `-> Outcome<T, E>`, with `Outcome<(), E>` for a step that brings nothing";
            errors.at_with_help(&function.sig.ident, "a step returns what came of it", help);
        }
        Some(ty) if is_result(ty) => {
            let message = "a `Result` does not say whether an error means that nothing was changed";
            let help = "return `Outcome<T, E>`; `Outcome::from(result)` takes errors for refusals";
            errors.at_with_help(ty, message, help);
        }
        Some(_) => {}
    }
    for cfg in function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")) {
        let help = "put the condition into its body";
        let message = "a step cannot be conditional: all nodes must know the same steps";
        errors.at_with_help(cfg, message, help);
    }
}

fn is_result(ty: &Type) -> bool {
    matches!(ty, Type::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident == "Result"))
}

fn modifiers(function: &ImplItemFn, what: &str, errors: &mut Errors) {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        let help = format!("write `async fn {}`", signature.ident);
        errors.at_with_help(signature.fn_token, &format!("a {what} is `async`"), &help);
    }
    for parameter in &signature.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(_)) {
            let message = format!("a {what} has no type parameters: nobody could choose them");
            errors.at_with_help(parameter, &message, "name the type");
        }
    }
    match signature.inputs.first() {
        Some(FnArg::Receiver(Receiver { kind: ReceiverKind::Reference(_, _, None), .. })) => {}
        Some(FnArg::Receiver(receiver)) => {
            let message = "the input of a saga does not change, and others need it too";
            errors.at_with_help(receiver, message, "take `&self`");
        }
        Some(FnArg::Typed(_)) | None => {
            let message = format!("a {what} takes `&self`, the input of its saga");
            errors.at(&signature.ident, message);
        }
    }
}

/// Reads the parameters of the step at place `at`.
pub(crate) fn inputs<'a>(
    function: &'a ImplItemFn,
    marked: &[Marked<'_>],
    at: usize,
    errors: &mut Errors,
) -> Vec<Input<'a>> {
    let mut inputs = Vec::new();
    for parameter in typed(function) {
        if is_context(&parameter.ty) {
            inputs.extend(context(parameter, errors));
            continue;
        }
        let Some(name) = name(parameter, errors) else { continue };
        let Some(step) = order::earlier(marked, at, &name, errors) else { continue };
        inputs.extend(output(parameter, step, errors));
    }
    inputs
}

/// Checks the signature of the method that undoes the step at place `at`, and reads its parameters.
pub(crate) fn undo<'a>(
    function: &'a ImplItemFn,
    marked: &[Marked<'_>],
    at: usize,
    errors: &mut Errors,
) -> Vec<Input<'a>> {
    modifiers(function, "compensation", errors);
    if ast::returned(function).is_none() {
        let message = "a compensation returns what came of it";
        errors.at_with_help(&function.sig.ident, message, "write `-> Undo`");
    }
    let mut inputs = Vec::new();
    for parameter in typed(function) {
        if is_context(&parameter.ty) {
            inputs.extend(context(parameter, errors));
            continue;
        }
        let Some(name) = name(parameter, errors) else { continue };
        let own = marked.get(at).map(Marked::method).unwrap_or_default();
        if name.unraw() != own {
            let Some(step) = order::earlier(marked, at, &name, errors) else { continue };
            inputs.extend(output(parameter, step, errors));
            continue;
        }
        inputs.extend(own_output(parameter, at, &own, errors));
    }
    inputs
}

/// Returns the places of the steps whose outputs these are.
pub(crate) fn steps(inputs: &[Input<'_>]) -> impl Iterator<Item = usize> {
    inputs.iter().filter_map(|input| match input {
        Input::Cx => None,
        Input::Output { step, .. } => Some(*step),
    })
}

/// Returns how to write the method that undoes a step.
pub(crate) fn undo_form(name: &Ident, step: &Marked<'_>) -> String {
    let method = step.method();
    let output = ast::brought(step.function).map_or_else(|| "..".to_owned(), tokens::text);
    format!("write `async fn {name}(&self, cx: &SagaCx, {method}: Option<&{output}>) -> Undo`")
}

fn typed(function: &ImplItemFn) -> impl Iterator<Item = &PatType> {
    function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(parameter),
        FnArg::Receiver(_) => None,
    })
}

/// Returns whether `ty` is what a step knows of its saga, however it is passed.
fn is_context(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => is_context(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "SagaCx"),
        _ => false,
    }
}

fn context<'a>(parameter: &'a PatType, errors: &mut Errors) -> Option<Input<'a>> {
    if is_shared(&parameter.ty) {
        return Some(Input::Cx);
    }
    errors.at(&parameter.ty, "what a step knows of its saga comes by reference: `cx: &SagaCx`");
    None
}

fn is_shared(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if reference.mutability.is_none())
}

fn name(parameter: &PatType, errors: &mut Errors) -> Option<Ident> {
    match &*parameter.pat {
        Pat::Ident(pattern) if pattern.subpat.is_none() => Some(pattern.ident.clone()),
        pattern => {
            let message = "a parameter is named like the step whose output it is";
            errors.at_with_help(pattern, message, "write the step's name, as in `reserve: &Hold`");
            None
        }
    }
}

/// Reads a parameter that is what the step at place `step` brought, which is done by then.
fn output<'a>(parameter: &'a PatType, step: usize, errors: &mut Errors) -> Option<Input<'a>> {
    let ty = &*parameter.ty;
    if is_shared(ty) {
        return Some(Input::Output { step, ty });
    }
    let of = tokens::text(bare(ty));
    let message = match inner(ty) {
        Some(_) => "the step that brings it is done by then, so it is there",
        None => "what a step brought comes by reference: others are given it too",
    };
    errors.at_with_help(ty, message, &format!("write `&{of}`"));
    None
}

/// Reads a parameter that is what the step brought that is to be undone.
fn own_output<'a>(
    parameter: &'a PatType,
    step: usize,
    name: &str,
    errors: &mut Errors,
) -> Option<Input<'a>> {
    let ty = &*parameter.ty;
    if inner(ty).is_some_and(is_shared) {
        return Some(Input::Output { step, ty });
    }
    let message = match inner(ty) {
        Some(_) => "what a step brought comes by reference: others are given it too".to_owned(),
        None => {
            format!("nobody may know what `{name}` brought, nor whether it was carried out at all")
        }
    };
    let help = format!("write `{name}: Option<&{}>`", tokens::text(bare(ty)));
    errors.at_with_help(ty, &message, &help);
    None
}

/// Returns the `T` of `T`, `&T`, `Option<T>` and `Option<&T>`.
fn bare(ty: &Type) -> &Type {
    match inner(ty).unwrap_or(ty) {
        Type::Reference(reference) => &reference.elem,
        ty => ty,
    }
}

/// Returns the `T` of `Option<T>`.
fn inner(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

/// Returns the place of `span` with the hygiene of the macro's own names.
pub(crate) fn located(span: Span) -> Span {
    Span::call_site().located_at(span)
}
