//! Which methods can be commands and queries; every complaint is pinned to what it is about.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, ReturnType, Type, ext::IdentExt};

use super::{
    ast::{self, Block, Kind, Operation},
    attr::Mark,
    scan, shape, types,
};
use crate::{error::Errors, names, tokens};

/// Methods that every client has.
pub(crate) const TAKEN: [&str; 4] = ["addr", "client", "clone", "connect"];

/// Reads `item` as a block; nothing if it can be none at all.
pub(crate) fn block<'a>(item: &'a ItemImpl, errors: &mut Errors) -> Option<Block<'a>> {
    let ident = header(item, errors)?;
    let mut block = Block {
        state: &item.self_ty,
        ident,
        generics: &item.generics,
        operations: Vec::new(),
        broken: Vec::new(),
    };
    let state = item.self_ty.to_token_stream();
    // Of a trait's block nothing is used; the rest goes on as if it were the type's.
    let in_place = item.trait_.is_none();
    let mut marked = false;
    for item in &item.items {
        let ImplItem::Fn(function) = item else { continue };
        let marks = Mark::all(function, errors);
        let Some(mark) = marks.first() else { continue };
        marked = true;
        let name = &function.sig.ident;
        let is_same =
            |other: &Operation<'_>| other.method() == name && !exclude_one_another(function, other);
        if block.operations.iter().any(is_same) {
            // The compiler says so, and better.
            continue;
        }
        let before = errors.count();
        if let Some(second) = marks.get(1) {
            let message = match mark.kind == second.kind {
                true => format!("one `#[{}]` is enough", mark.kind.noun()),
                false => "a method is a command or a query, not both".to_owned(),
            };
            errors.at(second.attribute, message);
        }
        let operation = operation(function, mark, &state, errors);
        let operation =
            operation.filter(|operation| is_unique(operation, &block.operations, errors));
        match operation {
            Some(operation) if errors.count() == before && in_place => {
                block.operations.push(operation);
            }
            _ => block.broken.push(function),
        }
        if mark.kind == Kind::Command && !mark.trusted {
            scan::command(function, errors);
        }
    }
    if !marked {
        let help = "mark a method `#[command]` if it changes the state, `#[query]` if it reads it";
        errors.at_with_help(&item.self_ty, "this block has no command and no query", help);
    }
    Some(block)
}

/// Checks what stands before the brace and returns the state's name, if there can be code for it.
fn header<'a>(item: &'a ItemImpl, errors: &mut Errors) -> Option<&'a Ident> {
    if let Some((path, _)) = &item.trait_ {
        let help = "move the commands and queries to a block `impl ..` of the type itself";
        errors.at_with_help(
            path,
            "`#[replicated]` goes on the type's own block, not on a trait's",
            help,
        );
    }
    if let Some(unsafety) = &item.unsafety {
        errors.at(unsafety, "a replicated block must not be `unsafe`");
    }
    for cfg in item.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")) {
        errors.at(
            cfg,
            "put `#[cfg]` above `#[replicated]`, so that it holds for all of the generated code",
        );
    }
    for parameter in item.generics.lifetimes() {
        let help = "use owned types, such as `String` for `&str`";
        errors.at_with_help(
            parameter,
            "a replicated state owns its data, so it has no lifetimes",
            help,
        );
    }
    let ident = match ast::peel(&item.self_ty) {
        Type::Path(path) if path.qself.is_none() => {
            path.path.segments.last().map(|last| &last.ident)
        }
        _ => None,
    };
    if ident.is_none() {
        errors.at(
            &item.self_ty,
            "`#[replicated]` goes on the block of a struct or enum: `impl Counter { .. }`",
        );
    }
    ident.filter(|_| item.generics.lifetimes().next().is_none())
}

/// Reads a method as a command or query.
fn operation<'a>(
    function: &'a ImplItemFn,
    mark: &Mark<'a>,
    state: &TokenStream,
    errors: &mut Errors,
) -> Option<Operation<'a>> {
    let kind = mark.kind;
    shape::modifiers(function, kind, errors);
    shape::receiver(function, kind, errors);
    let (arguments, takes_cx) = shape::arguments(function, kind, state, errors);
    let scanned = kind == Kind::Command && !mark.trusted;
    if scanned {
        arguments.iter().for_each(|argument| types::signature(argument.written, errors));
    }
    if let ReturnType::Type(_, ty) = &function.sig.output {
        types::reply(ty, errors);
        if scanned {
            types::signature(ty, errors);
        }
    }
    let (message, name) = names(function, mark, errors)?;
    let reply = tokens::without_self(&ast::output(function), state);
    let read = mark.read;
    Some(Operation { kind, function, message, name, arguments, takes_cx, reply, read })
}

/// Returns the names of the message, in the source and on the wire.
fn names(function: &ImplItemFn, mark: &Mark<'_>, errors: &mut Errors) -> Option<(Ident, String)> {
    let method = &function.sig.ident;
    let plain = method.unraw().to_string();
    if TAKEN.contains(&&*plain) {
        let attribute = format!("`#[{}(name = \"{plain}\")]`", mark.kind.noun());
        let help = format!("rename the method; {attribute} keeps the name on the wire");
        errors.at_with_help(method, &format!("every client has a method `{plain}` already"), &help);
        return None;
    }
    let name = mark.name.as_ref().map_or_else(|| plain.clone(), LitStr::value);
    let message = names::identifier(&names::camel_case(&plain), method);
    if message.is_none() || names::wire_problem(&name).is_some() {
        let help = "name it with a letter of the English alphabet first";
        errors.at_with_help(method, &format!("`{plain}` does not make a name for a message"), help);
        return None;
    }
    Some((message?, name))
}

/// Checks that no other operation has the name of this one.
fn is_unique(operation: &Operation<'_>, others: &[Operation<'_>], errors: &mut Errors) -> bool {
    let before = errors.count();
    let method = operation.method();
    for other in others.iter().filter(|other| !exclude_one_another(operation.function, other)) {
        if other.name == operation.name {
            let name = &operation.name;
            let problem =
                format!("two operations are called `{name}`: the log could not tell them apart");
            let attribute = operation.kind.noun();
            let help = format!(
                "rename one, or give it a name of its own: `#[{attribute}(name = \"..\")]`"
            );
            errors.at_with_help(method, &problem, &help);
        } else if other.message == operation.message {
            let message = &operation.message;
            let other = other.method();
            let problem =
                format!("`{other}` and `{method}` would both have the message `{message}`");
            errors.at_with_help(method, &problem, "rename one of them");
        }
    }
    errors.count() == before
}

/// Returns whether the two may share a name, as only one of them is ever compiled.
fn exclude_one_another(function: &ImplItemFn, other: &Operation<'_>) -> bool {
    !ast::cfgs(function).is_empty() && !other.cfgs().is_empty()
}
