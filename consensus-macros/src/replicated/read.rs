//! At what level a query is read: `read = stale(max_lag = "250ms")`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{
    duration,
    error::Errors,
    options::{self, Entry},
};

/// A level that a query declares.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// `linearizable`.
    Linearizable,
    /// `lease`.
    Lease,
    /// `stale`.
    Stale {
        /// How old the state may be.
        max_lag_ms: u64,
    },
}

const SUPPORTED: [&str; 3] = ["linearizable", "lease", "stale"];
const PLANNED: [&str; 1] = ["local"];

impl Level {
    /// Parses the value of `read`.
    pub(crate) fn parse(entry: &Entry, errors: &mut Errors) -> Option<Self> {
        let (level, bound) = errors.take(entry.headed())?;
        let name = level.to_string();
        match &*name {
            "linearizable" => {
                errors.take(entry.word())?;
                Some(Self::Linearizable)
            }
            "lease" => {
                errors.take(entry.word())?;
                Some(Self::Lease)
            }
            "stale" => {
                let Some(bound) = bound else {
                    errors.at(&level, "`stale` takes a bound: `read = stale(max_lag = \"250ms\")`");
                    return None;
                };
                max_lag(bound, &level, errors)
            }
            planned if PLANNED.contains(&planned) => {
                let known = SUPPORTED.join(", ");
                let message =
                    format_args!("`read = {name}` is not supported yet   (supported: {known})");
                errors.at(&level, message);
                None
            }
            _ => {
                errors.at(&level, options::unknown("read level", &level, &SUPPORTED));
                None
            }
        }
    }

    /// Returns the level as an expression.
    pub(crate) fn expand(self, private: &TokenStream) -> TokenStream {
        match self {
            Self::Linearizable => quote!(#private::ReadLevel::Linearizable),
            Self::Lease => quote!(#private::ReadLevel::Lease),
            Self::Stale { max_lag_ms } => quote! {
                #private::ReadLevel::Stale {
                    max_lag: ::core::time::Duration::from_millis(#max_lag_ms),
                }
            },
        }
    }
}

/// Reads what stands in the parentheses of `stale`.
fn max_lag(bound: TokenStream, level: &syn::Ident, errors: &mut Errors) -> Option<Level> {
    let mut found = None;
    let mut complete = true;
    for entry in Entry::parse_all(bound, errors) {
        if entry.key == "max_lag" {
            found = errors.take(entry.string());
            complete &= found.is_some();
        } else {
            errors.push(entry.unknown(&["max_lag"]));
            complete = false;
        }
    }
    let Some(text) = found else {
        if complete {
            errors.at(level, "`stale` takes a bound: `read = stale(max_lag = \"250ms\")`");
        }
        return None;
    };
    let Some(max_lag_ms) = duration::milliseconds(&text.value()) else {
        errors.at(&text, duration::FORM);
        return None;
    };
    Some(Level::Stale { max_lag_ms })
}
