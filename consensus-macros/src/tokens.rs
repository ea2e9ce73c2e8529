//! Types as tokens: moved into a module, freed of `Self`, and printed as a person would write them.

use proc_macro2::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};

/// Returns `tokens` with `state` instead of `Self`.
pub(crate) fn without_self(tokens: &TokenStream, state: &TokenStream) -> TokenStream {
    rewrite(tokens, &|ident, next| {
        (ident == "Self").then(|| if next.path { quote!(<#state>) } else { state.clone() })
    })
}

/// Returns `tokens` as if they stood at `span`.
pub(crate) fn at(span: Span, tokens: &TokenStream) -> TokenStream {
    let respan = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    tokens.clone().into_iter().map(respan).collect()
}

/// Returns the place where `tokens` end.
pub(crate) fn end(tokens: impl ToTokens) -> Span {
    let last = tokens.into_token_stream().into_iter().last();
    last.map_or_else(Span::call_site, |token| token.span())
}

/// A move of types from a module into a child of it that imports everything of it.
pub(crate) struct Relocation {
    /// The names that the child defines, which hide those it imports.
    pub(crate) hidden: Vec<Ident>,
}

impl Relocation {
    /// Returns `tokens` as they must be written in the child.
    pub(crate) fn apply(&self, tokens: impl ToTokens) -> TokenStream {
        rewrite(&tokens.into_token_stream(), &|ident, next| {
            let span = ident.span();
            if ident == "self" && next.path {
                return Some(quote_spanned!(span=> super));
            }
            if ident == "super" && next.path {
                return Some(quote_spanned!(span=> super::super));
            }
            if next.assigned || !self.hidden.contains(ident) {
                return None;
            }
            // What the prelude gives is hidden too, and is no item of the parent.
            Some(match PRELUDE.iter().any(|name| ident == name) {
                true => quote_spanned!(span=> ::std::prelude::rust_2024::#ident),
                false => quote_spanned!(span=> super::#ident),
            })
        })
    }
}

/// The types and traits of the standard prelude that stand in signatures and bounds.
const PRELUDE: [&str; 31] = [
    "AsMut",
    "AsRef",
    "Box",
    "Clone",
    "Copy",
    "Default",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Into",
    "IntoIterator",
    "Iterator",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Send",
    "Sized",
    "String",
    "Sync",
    "ToOwned",
    "ToString",
    "Vec",
];

/// What follows an identifier.
struct Next {
    /// `::`
    path: bool,
    /// `=`
    assigned: bool,
}

/// Rewrites the identifiers of `tokens` that begin a path.
fn rewrite(
    tokens: &TokenStream,
    rule: &dyn Fn(&Ident, &Next) -> Option<TokenStream>,
) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut rewritten = TokenStream::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let mut moved = Group::new(group.delimiter(), rewrite(&group.stream(), rule));
                moved.set_span(group.span());
                rewritten.extend([TokenTree::Group(moved)]);
            }
            TokenTree::Ident(ident) if !follows_path(&tokens, at) => {
                let next = Next {
                    path: punct(tokens.get(at + 1), ':') && punct(tokens.get(at + 2), ':'),
                    assigned: punct(tokens.get(at + 1), '='),
                };
                let instead = rule(ident, &next);
                rewritten.extend(instead.unwrap_or_else(|| ident.to_token_stream()));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {
                rewritten.extend([token.clone()]);
            }
        }
    }
    rewritten
}

/// Returns whether the token at `at` continues a path or names a lifetime.
fn follows_path(tokens: &[TokenTree], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
    punct(before(1), ':') && punct(before(2), ':') || punct(before(1), '\'')
}

fn punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// Returns a type's text: `BTreeMap<String, (u64, Vec<u8>)>`.
pub(crate) fn text(tokens: impl ToTokens) -> String {
    let mut text = String::new();
    print(tokens.into_token_stream(), &mut text);
    text.truncate(text.trim_end().len());
    text
}

fn print(tokens: TokenStream, text: &mut String) {
    let mut joint = None;
    for token in tokens {
        let before = joint.take();
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{ ", " }"),
                    Delimiter::None => ("", ""),
                };
                if ["mut", "dyn", "impl", "as", "const"].iter().any(|word| text.ends_with(word)) {
                    text.push(' ');
                }
                text.push_str(open);
                print(group.stream(), text);
                text.truncate(text.trim_end().len());
                text.push_str(close);
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                let word = token.to_string();
                let after_word = |last: char| {
                    last.is_alphanumeric() || last == '_' || last == '>' || last == ')'
                };
                if before.is_none() && text.ends_with(after_word) {
                    text.push(' ');
                }
                text.push_str(&word);
            }
            TokenTree::Punct(punct) => {
                match (before, punct.as_char(), punct.spacing()) {
                    (Some('-'), '>', _) => {
                        text.truncate(text.trim_end_matches('-').len());
                        text.push_str(" -> ");
                    }
                    (_, ',', _) => text.push_str(", "),
                    (_, ';', _) => text.push_str("; "),
                    (_, '+', _) => text.push_str(" + "),
                    (_, '=', Spacing::Alone) => text.push_str(" = "),
                    (None, ':', Spacing::Alone) => text.push_str(": "),
                    (_, letter, _) => text.push(letter),
                }
                joint = (punct.spacing() == Spacing::Joint).then(|| punct.as_char());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(source: &str) -> TokenStream {
        source.parse().unwrap()
    }

    // A type printed reads as it was written.
    #[test]
    fn types_print_as_written() {
        let cases = [
            "i64",
            "Vec<u8>",
            "BTreeMap<String, (u64, Vec<u8>)>",
            "std::collections::BTreeMap<K, V>",
            "[u8; 32]",
            "Option<Box<dyn Fn(u8) -> bool + Send>>",
            "<T as Iterator>::Item",
            "Cow<'static, str>",
            "&'a mut [u8]",
            "&mut Cx",
            "*const u8",
            "()",
            "(A,)",
            "Box<dyn Iterator<Item = u8>>",
        ];
        for case in cases {
            let text = text(parsed(case));
            assert_eq!(text.replace(",)", ")"), case.replace(",)", ")"));
        }
    }

    // Types that are moved into a child module mean what they meant.
    #[test]
    fn relocated_types_keep_their_meaning() {
        let hidden = ["Add", "String"].map(|name| Ident::new(name, Span::call_site()));
        let relocation = Relocation { hidden: hidden.to_vec() };
        let cases = [
            ("self::Value", "super::Value"),
            ("super::super::Value", "super::super::super::Value"),
            ("crate::Value", "crate::Value"),
            ("Vec<Add>", "Vec<super::Add>"),
            ("ops::Add", "ops::Add"),
            ("(String, Sum<Add = u8>)", "(::std::prelude::rust_2024::String, Sum<Add = u8>)"),
        ];
        for (before, after) in cases {
            assert_eq!(text(relocation.apply(parsed(before))), after);
        }
    }

    // `Self` in a signature is the state, also at the head of a path.
    #[test]
    fn self_becomes_the_state() {
        let state = parsed("Kv<K>");
        assert_eq!(text(without_self(&parsed("Option<Self>"), &state)), "Option<Kv<K>>");
        assert_eq!(text(without_self(&parsed("Self::Item"), &state)), "<Kv<K>>::Item");
    }
}
