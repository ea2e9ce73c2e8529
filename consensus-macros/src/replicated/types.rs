//! Which types can be arguments and replies.

use syn::{
    Lifetime, Type, TypeImplTrait, TypeReference,
    visit::{self, Visit},
};

use super::ast;
use crate::{
    catalogue::{self, Place},
    error::Errors,
    tokens,
};

/// Checks the type of an argument.
pub(crate) fn argument(ty: &Type, errors: &mut Errors) {
    let owned = "an argument is owned: it is kept in the log and sent to other machines";
    Owned {
        sentence: owned,
        concrete: "an argument has a type with a name: it is a field of the message",
        errors,
    }
    .visit_type(ty);
}

/// Checks the type of a reply.
pub(crate) fn reply(ty: &Type, errors: &mut Errors) {
    let owned = "a reply is owned: it travels back to the caller";
    Owned {
        sentence: owned,
        concrete: "a reply has a type with a name: the caller decodes it",
        errors,
    }
    .visit_type(ty);
}

/// Checks that a command's argument or reply is the same on every replica.
pub(crate) fn signature(ty: &Type, errors: &mut Errors) {
    for (ty, offence) in catalogue::offences(ty, Place::Signature) {
        let help = offence.help("the command `#[command");
        errors.at_with_help(ty, &offence.problem, &help);
    }
}

struct Owned<'a> {
    sentence: &'a str,
    concrete: &'a str,
    errors: &'a mut Errors,
}

impl<'a> Visit<'a> for Owned<'_> {
    fn visit_type_reference(&mut self, reference: &'a TypeReference) {
        let written = tokens::text(reference);
        let owned = match ast::peel(&reference.elem) {
            Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
            Type::Path(path) if path.path.is_ident("Path") => "PathBuf".to_owned(),
            Type::Slice(slice) => format!("Vec<{}>", tokens::text(&slice.elem)),
            elem => tokens::text(elem),
        };
        self.errors.at_with_help(
            reference,
            self.sentence,
            &format!("use `{owned}` instead of `{written}`"),
        );
    }

    fn visit_type_impl_trait(&mut self, ty: &'a TypeImplTrait) {
        self.errors.at_with_help(ty, self.concrete, "name the type");
    }

    fn visit_lifetime(&mut self, lifetime: &'a Lifetime) {
        if lifetime.ident != "static" {
            self.errors.at_with_help(lifetime, self.sentence, "use an owned type, or `'static`");
        }
    }

    fn visit_type(&mut self, ty: &'a Type) {
        match ty {
            Type::Infer(_) => self.errors.at(ty, self.concrete),
            // The lifetimes of `for<'a> Fn(&'a T)` are its own, and it cannot be encoded anyway.
            Type::FnPtr(_) | Type::TraitObject(_) => {}
            _ => visit::visit_type(self, ty),
        }
    }
}
