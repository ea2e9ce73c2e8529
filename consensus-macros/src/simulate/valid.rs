//! Which functions can be simulations.

use syn::{Attribute, Block, FnArg, Ident, ItemFn, Pat, PathArguments, ReturnType, Type};

use crate::error::Errors;

/// A function that makes a simulation.
pub(crate) struct Test {
    /// Its attributes.
    pub(crate) attributes: Vec<Attribute>,
    /// Its name, which is the test's.
    pub(crate) name: Ident,
    /// What it calls the simulation.
    pub(crate) pattern: Pat,
    /// The type `Sim<..>`.
    pub(crate) simulation: Type,
    /// What it does with it.
    pub(crate) body: Block,
}

/// Checks a function; `None` if it is in error.
pub(crate) fn test(function: ItemFn, errors: &mut Errors) -> Option<Test> {
    let before = errors.count();
    let ItemFn { attrs: attributes, sig, block, .. } = function;
    let name = sig.ident.clone();
    let form = format!("write `fn {name}(sim: Sim<Counter>) {{}}`");
    if let Some(test) = attributes.iter().find(|attribute| attribute.path().is_ident("test")) {
        let message = "`#[simulate]` makes the function a test already";
        errors.at_with_help(test, message, "remove `#[test]`");
    }
    if let Some(asyncness) = &sig.asyncness {
        let message = "a simulation is not `async`: time is virtual in it, and nothing waits";
        errors.at_with_help(asyncness, message, &form);
    }
    if !sig.generics.params.is_empty() {
        let message = "a simulation is of one type: a test has no type parameters";
        errors.at_with_help(&sig.generics, message, &form);
    }
    if let ReturnType::Type(_, returned) = &sig.output {
        let message = "a simulation returns nothing: it is checked when the function has ended";
        errors.at_with_help(returned, message, &form);
    }
    let mut inputs = sig.inputs.into_iter();
    let (Some(FnArg::Typed(parameter)), None) = (inputs.next(), inputs.next()) else {
        let message = "`#[simulate]` gives the function one argument, the simulation";
        errors.at_with_help(&sig.ident, message, &form);
        return None;
    };
    let (pattern, written) = (*parameter.pat, *parameter.ty);
    let simulation = match written {
        Type::Reference(reference) => *reference.elem,
        other => other,
    };
    if !is_simulation(&simulation) {
        let message = "the argument is the simulation of a replicated state";
        errors.at_with_help(&simulation, message, &form);
    }
    let test = Test { attributes, name, pattern, simulation, body: *block };
    (errors.count() == before).then_some(test)
}

/// Returns whether `ty` is `Sim<..>` by its name.
fn is_simulation(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|last| {
        matches!(&last.arguments, PathArguments::AngleBracketed(of) if of.args.len() == 1)
            && last.ident == "Sim"
    })
}
