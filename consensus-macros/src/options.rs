//! Options in attributes: `key`, `key = value` and `key(..)`, separated by commas.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Error, Ident, Lit, LitInt, LitStr, Path, Result, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

use crate::{error::Errors, names};

/// One option.
pub(crate) struct Entry {
    /// What stands before `=` or the parenthesis.
    pub(crate) key: Ident,
    /// What stands after it.
    value: Value,
}

enum Value {
    None,
    Assigned(TokenStream),
    List(TokenStream),
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let key = Ident::parse_any(input)?;
        let mut rest = TokenStream::new();
        let assigned = input.parse::<Option<Token![=]>>()?.is_some();
        while !input.is_empty() && !input.peek(Token![,]) {
            rest.extend([input.parse::<TokenTree>()?]);
        }
        let value = match (assigned, rest.is_empty()) {
            (true, true) => {
                return Err(Error::new_spanned(&key, format_args!("`{key} =` lacks a value")));
            }
            (true, false) => Value::Assigned(rest),
            (false, true) => Value::None,
            (false, false) => Value::List(rest),
        };
        Ok(Self { key, value })
    }
}

impl ToTokens for Entry {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.key.to_tokens(tokens);
        match &self.value {
            Value::None => {}
            Value::Assigned(value) => {
                <Token![=]>::default().to_tokens(tokens);
                value.to_tokens(tokens);
            }
            Value::List(list) => list.to_tokens(tokens),
        }
    }
}

impl Entry {
    /// Parses `tokens` as options; those given twice are reported.
    pub(crate) fn parse_all(tokens: TokenStream, errors: &mut Errors) -> Vec<Self> {
        let parser = Punctuated::<Self, Token![,]>::parse_terminated;
        let entries = errors.take(parser.parse2(tokens)).into_iter().flatten();
        let mut known: Vec<Self> = Vec::new();
        for entry in entries {
            if known.iter().any(|other| other.key == entry.key) {
                errors.push(entry.twice());
            } else {
                known.push(entry);
            }
        }
        known
    }

    /// Returns the option's value as a string.
    pub(crate) fn string(&self) -> Result<LitStr> {
        match &self.value {
            Value::Assigned(value) => {
                syn::parse2(value.clone()).map_err(|_| self.form("a string: `{} = \"..\"`"))
            }
            Value::None | Value::List(_) => Err(self.form("a string: `{} = \"..\"`")),
        }
    }

    /// Returns the option's value as a word.
    pub(crate) fn word(&self) -> Result<Ident> {
        match &self.value {
            Value::Assigned(value) => Ident::parse_any
                .parse2(value.clone())
                .map_err(|_| self.form("a word without quotes: `{} = ..`")),
            Value::None | Value::List(_) => Err(self.form("a word: `{} = ..`")),
        }
    }

    /// Returns the word with which the option's value begins, and what stands in parentheses behind
    /// it: `stale` and `max_lag = "1s"` of `read = stale(max_lag = "1s")`.
    pub(crate) fn headed(&self) -> Result<(Ident, Option<TokenStream>)> {
        let head = self.head()?;
        let Value::Assigned(value) = &self.value else { return Ok((head, None)) };
        let mut rest = value.clone().into_iter().skip(1);
        match (rest.next(), rest.next()) {
            (None, _) => Ok((head, None)),
            (Some(TokenTree::Group(group)), None)
                if group.delimiter() == Delimiter::Parenthesis =>
            {
                Ok((head, Some(group.stream())))
            }
            _ => Err(self.form("a word, with a bound in parentheses if it has one: `{} = ..`")),
        }
    }

    /// Returns the word with which the option's value begins: `stale` of `read = stale("1s")`.
    pub(crate) fn head(&self) -> Result<Ident> {
        match &self.value {
            Value::Assigned(value) => match value.clone().into_iter().next() {
                Some(TokenTree::Ident(word)) => Ok(word),
                _ => self.word(),
            },
            Value::None | Value::List(_) => self.word(),
        }
    }

    /// Returns the option's value as a path in a string.
    pub(crate) fn path(&self) -> Result<Path> {
        let string = self.string()?;
        string.parse().map_err(|_| {
            Error::new_spanned(&string, "this is not a path: write `\"my_crate::path\"`")
        })
    }

    /// Returns the option's value as a whole number, 1 or more.
    pub(crate) fn number(&self) -> Result<LitInt> {
        let number = match &self.value {
            Value::Assigned(value) => syn::parse2::<LitInt>(value.clone()).ok(),
            Value::None | Value::List(_) => None,
        };
        let fits = |number: &LitInt| number.base10_parse::<u64>().is_ok_and(|value| value > 0);
        number.filter(fits).ok_or_else(|| self.form("a whole number, 1 or more: `{} = 5`"))
    }

    /// Returns the option's value as the text of a string, a whole number, `true` or `false`.
    pub(crate) fn literal(&self) -> Result<String> {
        let literal = match &self.value {
            Value::Assigned(value) => syn::parse2::<Lit>(value.clone()).ok(),
            Value::None | Value::List(_) => None,
        };
        match literal {
            Some(Lit::Str(text)) => Ok(text.value()),
            Some(Lit::Int(number)) if number.suffix().is_empty() => {
                Ok(number.base10_digits().to_owned())
            }
            Some(Lit::Bool(on)) => Ok(on.value.to_string()),
            _ => Err(self.form("a value: `{} = \"250ms\"`, `{} = 1_000` or `{} = true`")),
        }
    }

    /// Returns what stands in the option's parentheses.
    pub(crate) fn list(&self) -> Result<TokenStream> {
        let list = match &self.value {
            Value::List(list) => syn::parse2::<Group>(list.clone()).ok(),
            Value::None | Value::Assigned(_) => None,
        };
        let is_list =
            |list: &Group| list.delimiter() == Delimiter::Parenthesis && !list.stream().is_empty();
        let list = list.filter(is_list).map(|list| list.stream());
        list.ok_or_else(|| self.form("words in parentheses: `{}(..)`"))
    }

    /// Accepts an option without a value.
    pub(crate) fn flag(&self) -> Result<()> {
        match &self.value {
            Value::None => Ok(()),
            Value::Assigned(_) | Value::List(_) => Err(self.form("no value: `{}`")),
        }
    }

    /// Returns a reason: a string with something in it.
    pub(crate) fn reason(&self) -> Result<LitStr> {
        let key = &self.key;
        let reason = match &self.value {
            Value::Assigned(value) => syn::parse2::<LitStr>(value.clone()).ok(),
            Value::None | Value::List(_) => None,
        };
        reason.filter(|reason| !reason.value().trim().is_empty()).ok_or_else(|| {
            let problem = format_args!("`{key}` needs a reason, for whoever reads this next");
            let help = format_args!("write `{key} = \"why replicas cannot differ here\"`");
            Error::new_spanned(self, format_args!("{problem}\nhelp: {help}"))
        })
    }

    /// Returns an error about an option that does not exist.
    pub(crate) fn unknown(&self, known: &[&str]) -> Error {
        Error::new_spanned(&self.key, unknown("option", &self.key, known))
    }

    /// Returns an error about an option that is planned.
    pub(crate) fn not_yet(&self, known: &[&str]) -> Error {
        let (key, known) = (&self.key, known.join(", "));
        Error::new_spanned(key, format_args!("`{key}` is not supported yet   (supported: {known})"))
    }

    /// Returns an error about an option that has been given before.
    pub(crate) fn twice(&self) -> Error {
        Error::new_spanned(&self.key, format_args!("option `{}` is given twice", self.key))
    }

    fn form(&self, form: &str) -> Error {
        let form = form.replace("{}", &self.key.to_string());
        Error::new_spanned(self, format_args!("`{}` takes {form}", self.key))
    }
}

/// Returns what to say about `word`, which is no known `kind` of thing.
pub(crate) fn unknown(kind: &str, word: &Ident, known: &[&str]) -> String {
    let meant = names::closest(&word.to_string(), known);
    let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    format!("unknown {kind} `{word}`{meant}   (known: {})", known.join(", "))
}
