//! Which records an acceptor rests on: those without which a restart would not find what it has.

use std::collections::VecDeque;

use crate::{log::Index, process::Token};

/// The records of what was accepted, of the promise, and of what was let go.
#[derive(Clone, Debug, Default)]
pub(super) struct Footing {
    written: Token,
    promised: Token,
    /// The record that says what was let go.
    forgotten: Option<Token>,
    /// Records of what was accepted, each with its last slot, by ascending token.
    accepted: VecDeque<(Token, Index)>,
    /// What came before was given up.
    kept: Token,
}

impl Footing {
    /// Returns the number of the next record.
    pub(super) fn write(&mut self) -> Token {
        self.written = self.written.next();
        self.written
    }

    /// Returns the youngest record.
    pub(super) fn written(&self) -> Token {
        self.written
    }

    /// Returns the record that the promise rests on, if there is one.
    pub(super) fn promised(&self) -> Option<Token> {
        Some(self.promised).filter(|token| *token > Token::default())
    }

    /// Notes a record of a promise.
    pub(super) fn promise(&mut self, token: Token) {
        (self.written, self.promised) = (token, token);
    }

    /// Notes a record of values up to slot `last`.
    pub(super) fn accept(&mut self, token: Token, last: Index) {
        self.written = token;
        self.accepted.push_back((token, last));
    }

    /// Notes a record that says that all up to `upto` was let go, and what was promised.
    pub(super) fn forget(&mut self, token: Token, upto: Index) {
        self.promise(token);
        self.forgotten = Some(token);
        while self.accepted.pop_front_if(|(_, last)| *last <= upto).is_some() {}
    }

    /// Returns the record before which all may be given up, once those up to `upto` are durable, if
    /// that is news.
    pub(super) fn needed(&self, upto: Token) -> Option<Token> {
        let forgotten = self.forgotten.filter(|token| *token <= upto)?;
        let first = self.accepted.front().map(|(token, _)| *token);
        let needed = first.map_or(forgotten, |first| first.min(forgotten));
        Some(needed).filter(|needed| *needed > self.kept)
    }

    /// Returns the record before which all are given up now, if that is news.
    pub(super) fn on_persisted(&mut self, upto: Token) -> Option<Token> {
        let needed = self.needed(upto)?;
        self.kept = needed;
        Some(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: records go when what they say was let go, and that is durable; one that has a slot beyond
    // keeps those that follow it, and the promise is never lost with them.
    #[test]
    fn a_record_goes_when_its_slots_do() {
        let mut footing = Footing::default();
        for last in [3, 6, 9] {
            let token = footing.write();
            footing.accept(token, Index(last));
        }
        assert_eq!(footing.on_persisted(Token(3)), None);
        let token = footing.write();
        footing.forget(token, Index(7));
        assert_eq!(footing.on_persisted(Token(3)), None, "what was let go may come back");
        assert_eq!(footing.on_persisted(Token(4)), Some(Token(3)));
        assert_eq!(footing.on_persisted(Token(4)), None);
        let token = footing.write();
        footing.forget(token, Index(9));
        assert_eq!(footing.on_persisted(Token(5)), Some(Token(5)));
        assert_eq!(footing.promised(), Some(Token(5)));
    }
}
