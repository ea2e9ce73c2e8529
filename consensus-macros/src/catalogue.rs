//! Well-known types that differ between replicas, and what to use instead.
//!
//! The trait bound on every field is the guard; this list only says it better for the types that
//! people reach for.

use syn::{
    GenericArgument, PathArguments, PathSegment, Type,
    visit::{self, Visit},
};

use crate::tokens;

/// Why a type does not belong in a replicated state.
pub(crate) struct Offence {
    /// The sentence.
    pub(crate) problem: String,
    /// What to use instead.
    pub(crate) instead: String,
    /// What a reason to use it all the same would have to say.
    pub(crate) trust: &'static str,
}

impl Offence {
    /// Returns the way out: what to use, or the `attribute` by which the author vouches.
    pub(crate) fn help(&self, attribute: &str) -> String {
        let Self { instead, trust, .. } = self;
        format!("{instead}, or mark {attribute}(trust = \"{trust}\")]`")
    }
}

/// Where a type stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the state.
    Field {
        /// Whether floating point is allowed.
        floats: bool,
    },
    /// In a command's arguments or reply.
    Signature,
}

/// Returns the types within `ty` that are known to differ between replicas.
pub(crate) fn offences(ty: &Type, place: Place) -> Vec<(&Type, Offence)> {
    let mut search = Search { place, found: Vec::new() };
    search.visit_type(ty);
    search.found
}

/// Returns whether `ty` mentions a floating-point type.
pub(crate) fn mentions_float(ty: &Type) -> bool {
    let place = Place::Field { floats: false };
    offences(ty, place).iter().any(|(ty, _)| matches!(&*tokens::text(ty), "f32" | "f64"))
}

struct Search<'a> {
    place: Place,
    found: Vec<(&'a Type, Offence)>,
}

impl<'a> Visit<'a> for Search<'a> {
    fn visit_path_segment(&mut self, segment: &'a PathSegment) {
        // It holds nothing.
        if segment.ident != "PhantomData" {
            visit::visit_path_segment(self, segment);
        }
    }

    fn visit_type(&mut self, ty: &'a Type) {
        let offence = match self.place {
            Place::Field { floats } => encoding(ty).or_else(|| state(ty, floats)),
            Place::Signature => encoding(ty),
        };
        match offence {
            Some(offence) => self.found.push((ty, offence)),
            None => visit::visit_type(self, ty),
        }
    }
}

/// What is encoded differently by different replicas.
fn encoding(ty: &Type) -> Option<Offence> {
    let (name, arguments) = last_segment(ty)?;
    let unordered =
        "visits its entries in a different order on every replica, so replicas would diverge";
    let wide = "has the width of the machine, and replicas may run on different ones";
    let (problem, instead, trust) = match &*name {
        "HashMap" | "HashSet" => {
            let ordered = name.replace("Hash", "BTree");
            let instead = match arguments.is_empty() {
                true => format!("use `{ordered}`"),
                false => format!("use `{ordered}<{arguments}>`"),
            };
            (unordered, instead, "why order never matters")
        }
        "usize" => (wide, "use `u64`".to_owned(), "why it is never large"),
        "isize" => (wide, "use `i64`".to_owned(), "why it is never large"),
        _ => return None,
    };
    Some(Offence { problem: format!("`{name}` {problem}"), instead, trust })
}

/// What else a state must not hold.
fn state(ty: &Type, floats: bool) -> Option<Offence> {
    let trust = "why replicas cannot differ";
    let (problem, instead) = match ty {
        Type::Ptr(_) => (
            "a raw pointer means nothing on another machine".to_owned(),
            "use an index or a key".to_owned(),
        ),
        Type::FnPtr(_) => (
            "a function pointer means nothing on another machine".to_owned(),
            "use an enum of the choices".to_owned(),
        ),
        _ => {
            let (name, arguments) = last_segment(ty)?;
            let (problem, instead) = named(&name, &arguments, floats)?;
            (format!("`{name}` {problem}"), instead)
        }
    };
    Some(Offence { problem, instead, trust })
}

fn named(name: &str, arguments: &str, floats: bool) -> Option<(&'static str, String)> {
    let generic = !arguments.is_empty();
    let hidden = "lets a query change the state without going through the log";
    Some(match name {
        "Instant" => (
            "is one machine's own clock and means nothing on another",
            "use a `Duration`, or milliseconds as `u64` reckoned from `cx.now()`".into(),
        ),
        "SystemTime" => (
            "invites each replica to read its own clock",
            "use milliseconds as `u64` reckoned from `cx.now()`".into(),
        ),
        "Rc" if generic => (
            "is tied to one thread, and a replica moves between threads",
            format!("use `Box<{arguments}>`"),
        ),
        "Cell" | "RefCell" | "Mutex" | "RwLock" if generic => {
            (hidden, format!("use `{arguments}` itself, since a command has `&mut self`"))
        }
        atomic if is_atomic(atomic) => {
            (hidden, "use the plain type, since a command has `&mut self`".into())
        }
        "f32" | "f64" if !floats => (
            "may round differently on different machines",
            "count the smallest unit in an integer, allow `#[replica(floats)]` on the type".into(),
        ),
        _ => return None,
    })
}

fn is_atomic(name: &str) -> bool {
    const KINDS: [&str; 12] =
        ["Bool", "Ptr", "I8", "I16", "I32", "I64", "Isize", "U8", "U16", "U32", "U64", "Usize"];
    name.strip_prefix("Atomic").is_some_and(|kind| KINDS.contains(&kind))
}

/// Returns the name of the type and its arguments as text: `HashMap` and `String, u64`.
fn last_segment(ty: &Type) -> Option<(String, String)> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last()?;
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => {
            let types = arguments.args.iter().filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(tokens::text(ty)),
                _ => None,
            });
            types.collect::<Vec<_>>().join(", ")
        }
        PathArguments::None | PathArguments::Parenthesized(_) => String::new(),
    };
    Some((segment.ident.to_string(), arguments))
}
