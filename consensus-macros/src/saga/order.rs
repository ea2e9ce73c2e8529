//! Which steps make a saga, by what they say of themselves and by the order in which they stand.

use syn::{Ident, ImplItemFn, ext::IdentExt};

use super::{
    ast::{Input, Step},
    attr::Named,
    valid::Marked,
};
use crate::{error::Errors, names};

/// Checks that each step says one thing of itself, which can be said at its place.
pub(crate) fn classes(marked: &[Marked<'_>], errors: &mut Errors) {
    let mut pivot: Option<String> = None;
    for step in marked {
        let (method, ident) = (step.method(), &step.function.sig.ident);
        let (word, class) = match step.mark.classes.as_slice() {
            [] => {
                let message =
                    format!("step `{method}` does not say what becomes of it when the saga fails");
                let help = "write `#[step(undo = ..)]` with the method that undoes it, `no_effect` \
                    if it changes nothing, `pivot` if nothing is undone once it is done, \
                    `retriable` if it comes after the pivot";
                errors.at_with_help(ident, &message, help);
                continue;
            }
            [one] => one,
            [(first, a), (second, b), ..] => {
                let message = match (a, b) {
                    (Named::Undo(_), Named::Pivot) | (Named::Pivot, Named::Undo(_)) => {
                        "a pivot is never undone: once it is done the saga is carried to its end"
                            .to_owned()
                    }
                    _ => format!("a step is one of the two: `{first}` or `{second}`"),
                };
                errors.at_with_help(second, &message, &format!("remove `{first}` or `{second}`"));
                if [a, b].contains(&&Named::Pivot) {
                    pivot = pivot.or(Some(method));
                }
                continue;
            }
        };
        match (class, &pivot) {
            (Named::Pivot, None) => pivot = Some(method),
            (Named::Pivot, Some(first)) => {
                let message = format!("a saga has one pivot, and `{first}` is it");
                let help = "mark what comes after it `retriable`, and what comes before it \
                    `undo = ..` or `no_effect`";
                errors.at_with_help(word, &message, help);
            }
            (Named::Retriable, None) => {
                let message = format!("no pivot stands before the retriable step `{method}`");
                let help = "mark the step that decides `pivot`, or give this one an `undo`";
                errors.at_with_help(word, &message, help);
            }
            (Named::Undo(_) | Named::NoEffect, Some(pivot)) => {
                let message = format!(
                    "step `{method}` stands behind the pivot `{pivot}`, where nothing fails \
                        for good and nothing is undone"
                );
                let help = format!("mark it `retriable`, or move it before `{pivot}`");
                errors.at_with_help(word, &message, &help);
            }
            (Named::Retriable, Some(_)) | (Named::Undo(_) | Named::NoEffect, None) => {}
        }
    }
}

/// Checks that no two steps have one name.
pub(crate) fn names(marked: &[Marked<'_>], errors: &mut Errors) {
    for (at, step) in marked.iter().enumerate() {
        let name = step.name();
        if marked.iter().take(at).any(|other| other.name() == name) {
            let message =
                format!("two steps are called `{name}`: the log could not tell them apart");
            let help = "rename one, or give it a name of its own: `#[step(name = \"..\")]`";
            errors.at_with_help(&step.function.sig.ident, &message, help);
        }
    }
}

/// Returns the place of the step called `name`, which the one at `at` is to wait for.
pub(crate) fn earlier(
    marked: &[Marked<'_>],
    at: usize,
    name: &Ident,
    errors: &mut Errors,
) -> Option<usize> {
    let wanted = name.unraw().to_string();
    let waiting = marked.get(at).map(Marked::method).unwrap_or_default();
    match marked.iter().position(|step| step.method() == wanted) {
        Some(place) if place < at => return Some(place),
        Some(place) if place == at => {
            errors.at(name, format_args!("step `{waiting}` cannot wait for itself"));
        }
        Some(_) => {
            let message = format!("step `{wanted}` stands behind `{waiting}`, which waits for it");
            let help =
                format!("move `{wanted}` up: steps stand in an order in which they could run");
            errors.at_with_help(name, &message, &help);
        }
        None => errors.at(name, absent(marked, at, &wanted)),
    }
    None
}

/// Returns what to say of a name that is no step's.
fn absent(marked: &[Marked<'_>], at: usize, wanted: &str) -> String {
    let steps: Vec<String> = marked.iter().take(at).map(Marked::method).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let meant = names::closest(wanted, &steps);
    let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    let waiting = marked.get(at).map(Marked::method).unwrap_or_default();
    let there = match steps.is_empty() {
        true => "it is the first".to_owned(),
        false => format!("steps before it: {}", steps.join(", ")),
    };
    format!(
        "no step `{wanted}` stands before `{waiting}`{meant}   ({there})\n\
         help: a parameter is named like the step whose output it is; the input is `self`"
    )
}

/// Checks that the step at a place waits for all steps whose outputs its compensation is given.
pub(crate) fn reaches(
    undo: &ImplItemFn,
    inputs: &[Input<'_>],
    (marked, at): (&[Marked<'_>], usize),
    (before, after): (&[Step<'_>], &[usize]),
    errors: &mut Errors,
) {
    // What cannot be told because a step before is in error has been complained about.
    if before.len() != at {
        return;
    }
    let mut reached: Vec<usize> = after.to_vec();
    let mut open = reached.clone();
    while let Some(place) = open.pop() {
        for next in before.get(place).into_iter().flat_map(|step| &step.after) {
            if !reached.contains(next) {
                reached.push(*next);
                open.push(*next);
            }
        }
    }
    let name = |place: usize| marked.get(place).map(Marked::method).unwrap_or_default();
    for input in inputs {
        let Input::Output { step, ty, .. } = input else { continue };
        if *step != at && !reached.contains(step) {
            let (step, undone, undo) = (name(*step), name(at), &undo.sig.ident);
            let message = format!(
                "`{undo}` undoes `{undone}`, which does not wait for `{step}`: nobody knows \
                    whether that has an output by then"
            );
            let help = format!("have `{undone}` wait for it: `after({step})`");
            errors.at_with_help(ty, &message, &help);
        }
    }
}
