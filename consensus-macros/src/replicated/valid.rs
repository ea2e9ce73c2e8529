//! Which methods can be commands and queries; every complaint is pinned to what it is about.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    FnArg, GenericParam, Ident, ImplItem, ImplItemFn, ItemImpl, Pat, PatType, Receiver,
    ReceiverKind, ReturnType, Safety, Type, ext::IdentExt,
};

use super::{
    ast::{self, Argument, Block, Kind, Operation},
    attr::{self, Mark},
    scan, types,
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
    modifiers(function, kind, errors);
    receiver(function, kind, errors);
    let (arguments, takes_cx) = arguments(function, kind, state, errors);
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
    Some(Operation { kind, function, message, name, arguments, takes_cx, reply })
}

fn modifiers(function: &ImplItemFn, kind: Kind, errors: &mut Errors) {
    let signature = &function.sig;
    if let Some(asyncness) = &signature.asyncness {
        match kind {
            Kind::Command => errors.at_with_help(
                asyncness,
                "a command must not be `async`: it runs on every replica, at a moment only the log decides",
                "do the waiting before the call; keep only the state change here",
            ),
            Kind::Query => errors.at_with_help(
                asyncness,
                "a query must not be `async`: it reads the state as it is at one position of the log",
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

fn receiver(function: &ImplItemFn, kind: Kind, errors: &mut Errors) {
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
fn arguments<'a>(
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
    let by_mut = matches!(ast::peel(&argument.ty), Type::Reference(reference) if reference.mutability.is_some());
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

/// Returns the names of the message, in the source and on the wire.
fn names(function: &ImplItemFn, mark: &Mark<'_>, errors: &mut Errors) -> Option<(Ident, String)> {
    let method = &function.sig.ident;
    let plain = method.unraw().to_string();
    if TAKEN.contains(&&*plain) {
        let help = format!(
            "call the method something else; `#[{}(name = \"{plain}\")]` keeps the name on the wire",
            mark.kind.noun()
        );
        errors.at_with_help(method, &format!("every client has a method `{plain}` already"), &help);
        return None;
    }
    let name = mark.name.as_ref().map_or_else(|| plain.clone(), syn::LitStr::value);
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
    let span = operation.method().span();
    for other in others {
        // Methods that exclude one another by `#[cfg]` may share their names.
        if !operation.cfgs().is_empty() && !other.cfgs().is_empty() {
            continue;
        }
        if other.name == operation.name {
            let message = format!(
                "two operations are called `{}`: the log could not tell them apart\nhelp: rename one, or give it a name of its own: `#[{}(name = \"..\")]`",
                operation.name,
                operation.kind.noun(),
            );
            errors.push(syn::Error::new(span, message));
        } else if other.message == operation.message {
            let message = format!(
                "`{}` and `{}` would both have the message `{}`\nhelp: rename one of them",
                other.method(),
                operation.method(),
                operation.message,
            );
            errors.push(syn::Error::new(span, message));
        }
    }
    errors.count() == before
}
