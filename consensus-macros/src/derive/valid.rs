//! Which types can be replicated, as far as their syntax tells.

use syn::Type;

use super::{Derive, ast::Input};
use crate::{
    catalogue::{self, Place},
    error::Errors,
};

/// Checks a type and returns those of its fields' types whose determinism the compiler is to check.
///
/// Fields that have been complained about are left out: one error a mistake.
pub(crate) fn check<'a>(input: &Input<'a>, derive: Derive, errors: &mut Errors) -> Vec<&'a Type> {
    if derive == Derive::Replicated {
        for lifetime in input.item.generics.lifetimes() {
            errors.at_with_help(
                lifetime,
                "a replicated state owns its data, so it has no lifetimes",
                "use owned types, such as `String` for `&str`",
            );
        }
    }
    if let (Some(simulate), false) =
        (&input.options.simulate, input.item.generics.params.is_empty())
    {
        errors.at_with_help(
            simulate,
            "a generic state is many types, and a simulation is of one",
            "write a test for the type you use: `#[simulate] fn kv(sim: Sim<Kv<String, u64>>) {}`",
        );
    }
    let floats = input.options.floats;
    let mut unchecked = Vec::new();
    for field in input.fields.iter().filter(|field| !field.trusted) {
        let offences = catalogue::offences(field.kind, Place::Field { floats });
        if offences.is_empty() && !(floats && catalogue::mentions_float(field.kind)) {
            unchecked.push(field.kind);
        }
        for (kind, offence) in offences {
            let help = offence.help("the field `#[replica");
            errors.at_with_help(kind, &offence.problem, &help);
        }
    }
    unchecked
}
