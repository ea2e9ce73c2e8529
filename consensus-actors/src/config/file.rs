//! Settings of a file: TOML, with the line of each value.

use std::sync::Arc;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    kind::Kind,
    layers::{Layers, Origin, refuse},
    place::{self, Place, Spelling},
};
use crate::error::{Code, Error};

/// The longest part of a file that a refusal repeats, in characters.
const SHOWN_MAX: usize = 40;

/// Reads the text of the file at `path`.
pub(super) fn read(path: &Arc<str>, text: &str, layers: &mut Layers, problems: &mut Vec<Error>) {
    let mut reader = Reader { path, text, layers, problems };
    match DeTable::parse(text) {
        Ok(table) => reader.table(table.get_ref(), &[]),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let reason = error.message().replace('\n', ", ");
            reader.problem(at, &format!("this is no TOML: {reason}"));
        }
    }
    layers.set_file(Arc::clone(path));
}

struct Reader<'a> {
    path: &'a Arc<str>,
    text: &'a str,
    layers: &'a mut Layers,
    problems: &'a mut Vec<Error>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, above: &[&str]) {
        for (name, value) in table {
            let parts = [above, &[&**name.get_ref()]].concat();
            match value.get_ref() {
                DeValue::Table(below) if place::is_section(&parts) => self.table(below, &parts),
                _ => match Place::parse(&parts, Spelling::File) {
                    Ok(place) => self.value(&place, value),
                    Err(reason) => self.problem(name.span().start, &reason),
                },
            }
        }
    }

    fn value(&mut self, place: &Place, value: &Spanned<DeValue<'_>>) {
        let origin = self.origin(value.span().start);
        let kind = if place.peer.is_some() { Kind::Address } else { place.key.kind };
        let text = match (value.get_ref(), kind) {
            (DeValue::Boolean(on), Kind::Switch) => Some(on.to_string()),
            (DeValue::Integer(number), Kind::Count | Kind::Size) => {
                let number = u64::from_str_radix(number.as_str(), number.radix());
                number.ok().map(|number| number.to_string())
            }
            (DeValue::String(_), Kind::Count | Kind::Switch) => None,
            (DeValue::String(text), _) => Some(text.to_string()),
            (DeValue::Array(items), Kind::Addresses) => {
                let texts = items.iter().map(|item| item.get_ref().as_str());
                texts.collect::<Option<Vec<&str>>>().map(|texts| texts.join(","))
            }
            _ => None,
        };
        let given = match text {
            Some(text) => self.layers.read(place, &text, &origin),
            None => {
                let raw = self.text.get(value.span()).unwrap_or_default();
                let line = raw.lines().next().unwrap_or_default();
                let shown: String = line.chars().take(SHOWN_MAX).collect();
                Err(refuse(&origin, &place.name(), &shown, kind.refusal()))
            }
        };
        given.unwrap_or_else(|error| self.problems.push(error));
    }

    fn origin(&self, at: usize) -> Origin {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File { path: Arc::clone(self.path), line }
    }

    fn problem(&mut self, at: usize, reason: &str) {
        let message = format!("{}: {reason}", self.origin(at));
        self.problems.push(Error::new(Code::Config, message));
    }
}
