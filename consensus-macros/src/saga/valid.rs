//! Which blocks are sagas; every complaint is pinned to what it is about.

use syn::{FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Type, ext::IdentExt};

use super::{
    ast::{Class, Saga, Step},
    attr::{self, Mark, Named},
    order, shape,
};
use crate::{error::Errors, names};

/// A method that is marked as a step.
pub(crate) struct Marked<'a> {
    /// The method.
    pub(crate) function: &'a ImplItemFn,
    /// Its mark.
    pub(crate) mark: Mark,
}

impl Marked<'_> {
    /// Returns the method's name as text, which is what others call the step by.
    pub(crate) fn method(&self) -> String {
        self.function.sig.ident.unraw().to_string()
    }

    /// Returns the step's name in the graph.
    pub(crate) fn name(&self) -> String {
        self.mark.name.clone().unwrap_or_else(|| self.method())
    }
}

/// Reads `item` as a saga; nothing if it can be none at all.
pub(crate) fn block<'a>(item: &'a ItemImpl, errors: &mut Errors) -> Option<Saga<'a>> {
    let ident = header(item, errors)?;
    let mut marked: Vec<Marked<'a>> = Vec::new();
    for function in functions(item) {
        let Some(mark) = Mark::of(function, errors) else { continue };
        // Of two methods of one name the compiler says so, and better.
        if !marked.iter().any(|other| other.function.sig.ident == function.sig.ident) {
            marked.push(Marked { function, mark });
        }
    }
    if marked.is_empty() {
        let help = "mark the methods that carry it out, in order: `#[step(undo = release)]`";
        errors.at_with_help(&item.self_ty, "this saga has no step", help);
    }
    order::classes(&marked, errors);
    order::names(&marked, errors);
    let mut steps: Vec<Step<'a>> = Vec::new();
    for at in 0..marked.len() {
        // All are looked at, so that every mistake is reported.
        steps.extend(step(item, &marked, at, &steps, errors));
    }
    Some(Saga { ty: &item.self_ty, ident, steps })
}

fn functions(item: &ItemImpl) -> impl Iterator<Item = &ImplItemFn> {
    item.items.iter().filter_map(|item| match item {
        ImplItem::Fn(function) => Some(function),
        _ => None,
    })
}

/// Checks what stands before the brace and returns the saga's name, if there can be code for it.
fn header<'a>(item: &'a ItemImpl, errors: &mut Errors) -> Option<&'a Ident> {
    if let Some((path, _)) = &item.trait_ {
        let help = "move the steps to a block `impl ..` of the type itself";
        errors.at_with_help(path, "`#[saga]` goes on the type's own block, not on a trait's", help);
        return None;
    }
    for cfg in item.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")) {
        let message =
            "put `#[cfg]` above `#[saga]`, so that it holds for all of the generated code";
        errors.at(cfg, message);
    }
    if !item.generics.params.is_empty() {
        let help = "write a saga for the type you use";
        let message = "a generic saga is many types, and its name stands for one";
        errors.at_with_help(&item.generics, message, help);
        return None;
    }
    let ident = match &*item.self_ty {
        Type::Path(path) if path.qself.is_none() => {
            path.path.segments.last().map(|last| &last.ident)
        }
        _ => None,
    };
    if ident.is_none() {
        let message = "`#[saga]` goes on the block of a struct or enum: `impl PlaceOrder { .. }`";
        errors.at(&item.self_ty, message);
    }
    ident
}

/// Reads the step at place `at`; nothing if it does not say what it is.
fn step<'a>(
    item: &'a ItemImpl,
    marked: &[Marked<'a>],
    at: usize,
    before: &[Step<'a>],
    errors: &mut Errors,
) -> Option<Step<'a>> {
    let Marked { function, mark } = marked.get(at)?;
    shape::step(function, errors);
    let mut after: Vec<usize> = Vec::new();
    for name in &mark.after {
        after.extend(order::earlier(marked, at, name, errors));
    }
    let inputs = shape::inputs(function, marked, at, errors);
    after.extend(shape::steps(&inputs));
    after.sort_unstable();
    after.dedup();
    let class = match mark.classes.first()?.1.clone() {
        Named::NoEffect => Class::NoEffect,
        Named::Pivot => Class::Pivot,
        Named::Retriable => Class::Retriable,
        Named::Undo(name) => {
            let undo = undo(item, marked, at, &name?, errors)?;
            let inputs = shape::undo(undo, marked, at, errors);
            order::reaches(undo, &inputs, (marked, at), (before, &after), errors);
            Class::Compensatable { undo, inputs }
        }
    };
    let retry = super::ast::Retry { ..mark.retry };
    let name = marked.get(at)?.name();
    Some(Step { function, name, class, after, timeout_ms: mark.timeout_ms, retry, inputs })
}

/// Returns the method that undoes a step.
fn undo<'a>(
    item: &'a ItemImpl,
    marked: &[Marked<'a>],
    at: usize,
    name: &Ident,
    errors: &mut Errors,
) -> Option<&'a ImplItemFn> {
    if marked.iter().any(|other| other.function.sig.ident == *name) {
        let help = "name the method that undoes it, which is not marked";
        errors.at_with_help(name, &format!("`{name}` is a step itself"), help);
        return None;
    }
    let form = marked.get(at).map(|step| shape::undo_form(name, step)).unwrap_or_default();
    named(item, name, &form, errors)
}

/// Checks that there is the method which says what the saga holds.
pub(crate) fn holds(item: &ItemImpl, name: &Ident, errors: &mut Errors) {
    let form = format!("write `fn {name}(&self) -> Holds {{ .. }}`");
    let Some(function) = named(item, name, &form, errors) else { return };
    let signature = &function.sig;
    let is_of_self = matches!(signature.inputs.first(), Some(FnArg::Receiver(_)));
    if signature.asyncness.is_some() || signature.inputs.len() != 1 || !is_of_self {
        errors.at_with_help(&signature.ident, "what a saga holds is said by its input", &form);
    }
}

/// Returns the method of this name, which is no step.
fn named<'a>(
    item: &'a ItemImpl,
    name: &Ident,
    form: &str,
    errors: &mut Errors,
) -> Option<&'a ImplItemFn> {
    let found = functions(item).find(|function| function.sig.ident == *name);
    if found.is_none() {
        let methods: Vec<String> = functions(item)
            .filter(|function| !function.attrs.iter().any(attr::is_mark))
            .map(|function| function.sig.ident.unraw().to_string())
            .collect();
        let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
        let meant = names::closest(&name.unraw().to_string(), &methods);
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        errors.at_with_help(name, &format!("this block has no method `{name}`{meant}"), form);
    }
    found
}
