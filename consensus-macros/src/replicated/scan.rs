//! A look through the bodies of commands for what differs between replicas.
//!
//! A heuristic: it reads names, not meanings. It finds what people write by habit, and each finding
//! says what to write instead.

use syn::{
    Expr, ExprAwait, ImplItemFn, Macro, Path, Token,
    parse::Parser,
    punctuated::Punctuated,
    visit::{self, Visit},
};

use crate::error::Errors;

/// Reports what the body of a command must not do.
pub(crate) fn command(function: &ImplItemFn, errors: &mut Errors) {
    // In a function that is `async` that is the mistake, and has been said.
    let awaits = function.sig.asyncness.is_none();
    Scan { awaits, errors }.visit_block(&function.block);
}

struct Scan<'a> {
    awaits: bool,
    errors: &'a mut Errors,
}

impl<'a> Visit<'a> for Scan<'_> {
    fn visit_path(&mut self, path: &'a Path) {
        let names: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match finding(&names) {
            Some((problem, help)) => {
                // Two names say enough, without the type arguments that may stand in them.
                let name = names.get(names.len().saturating_sub(2)..).unwrap_or_default();
                self.errors.at_with_help(path, &problem.replace("{}", &name.join("::")), help);
            }
            None => visit::visit_path(self, path),
        }
    }

    fn visit_expr_await(&mut self, expr: &'a ExprAwait) {
        if self.awaits {
            self.errors.at_with_help(
                expr.await_token,
                "a command must not wait: \
                    it runs on every replica, at a moment only the log decides",
                "do the waiting before the call; keep only the state change here",
            );
        }
        visit::visit_expr_await(self, expr);
    }

    fn visit_macro(&mut self, mac: &'a Macro) {
        let name = mac.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        if ["println", "eprintln", "print", "eprint", "dbg"].contains(&&*name) {
            let problem = format!(
                "`{name}!` prints on every replica, and again whenever the log is replayed"
            );
            let help = "return what you want to see, or log it with `tracing::debug!`";
            self.errors.at_with_help(&mac.path, &problem, help);
        }
        // What most macros take is a list of expressions; those of the others stay unread.
        let arguments = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(mac.tokens.clone());
        for argument in arguments.iter().flatten() {
            // The arguments' tree does not outlive this call, so a scan of its own reads it.
            Scan { awaits: self.awaits, errors: self.errors }.visit_expr(argument);
        }
    }
}

const CLOCK: &str = "`cx.now()` is the proposer's clock, recorded in the log; \
    add `cx: &mut Cx` as the last parameter";
const DICE: &str = "`cx.rng()` gives every replica the same numbers; \
    add `cx: &mut Cx` as the last parameter";
const IDENTITY: &str = "make it of numbers from `cx.rng()`, with `cx: &mut Cx` as the last \
    parameter, or pass it as an argument";
const OUTSIDE: &str = "do it before the call and pass the outcome as an argument";

/// Returns what is wrong with a path, and what to write instead.
fn finding(path: &[&str]) -> Option<(&'static str, &'static str)> {
    let differs = "`{}()` gives each replica a different answer";
    let random = "`{}` gives each replica different numbers";
    let outside = "`{}` reaches outside the state, where replicas differ";
    match path {
        [.., "SystemTime" | "Utc" | "Local" | "OffsetDateTime" | "Zoned", "now" | "now_utc"] => {
            Some((differs, CLOCK))
        }
        [.., "Instant", "now"] => Some((differs, CLOCK)),
        ["rand" | "fastrand" | "getrandom", _, ..] | [.., "thread_rng"] => Some((random, DICE)),
        [.., "Uuid", "new_v4" | "new_v1" | "new_v7" | "now_v1" | "now_v6" | "now_v7"] => {
            Some((differs, IDENTITY))
        }
        [.., "HashMap"] | [.., "HashMap", _] => Some((
            "`HashMap` visits its entries in a different order on every replica",
            "use `BTreeMap`, or mark the command `#[command(trust = \"why order never matters\")]`",
        )),
        [.., "HashSet"] | [.., "HashSet", _] => Some((
            "`HashSet` visits its entries in a different order on every replica",
            "use `BTreeSet`, or mark the command `#[command(trust = \"why order never matters\")]`",
        )),
        [.., "RandomState"] => Some((random, "use `BTreeMap` or `BTreeSet`")),
        ["std", "env" | "fs" | "net" | "process", ..] => Some((outside, OUTSIDE)),
        ["env" | "fs", function] if function.starts_with(char::is_lowercase) => {
            Some((outside, OUTSIDE))
        }
        [.., "File", "open" | "create" | "options"] => Some((outside, OUTSIDE)),
        [.., "TcpStream", "connect"] | [.., "UdpSocket" | "TcpListener", "bind"] => {
            Some((outside, OUTSIDE))
        }
        ["std", "thread", ..] | ["thread", "spawn" | "sleep" | "current"] => Some((
            "`{}` runs at a moment the log knows nothing of",
            "do it before or after the call",
        )),
        _ => None,
    }
}
