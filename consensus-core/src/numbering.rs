//! One order for the records of several lines, each of which numbers its own.

use std::collections::VecDeque;

use crate::process::Token;

/// The number of the first record.
pub const FIRST: Token = Token(1);

/// The numbers, among the records of all lines, of those that each line has written and needs.
#[derive(Clone, Debug)]
pub struct Numbering<K> {
    /// There are a few.
    lines: Vec<(K, Line)>,
    /// The youngest record of all.
    last: Token,
    /// Records that are not durable: their numbers, and whose they are, with their numbers there.
    pending: VecDeque<(Token, K, Token)>,
    /// The oldest record that is still needed, as the host was told last.
    needed: Token,
}

/// The numbers among all of the records that a line still needs: the first is of its record `first`.
#[derive(Clone, Debug)]
struct Line {
    first: Token,
    numbers: VecDeque<Token>,
}

impl<K: Copy + Ord> Numbering<K> {
    fn line(&mut self, key: K) -> Option<&mut Line> {
        self.lines.iter_mut().find(|(of, _)| *of == key).map(|(_, line)| line)
    }

    /// Makes that of lines, each with the first of the records that were found of it and the numbers
    /// of all of them, where `last` is the youngest of all and `oldest` the oldest.
    pub fn recover(
        lines: impl IntoIterator<Item = (K, Token, VecDeque<Token>)>,
        (oldest, last): (Option<Token>, Token),
    ) -> Self {
        let lines = lines.into_iter();
        let lines = lines.map(|(key, first, numbers)| (key, Line { first, numbers })).collect();
        Self { lines, last, pending: VecDeque::new(), needed: oldest.unwrap_or(FIRST) }
    }

    /// Returns the youngest record of all.
    pub fn last(&self) -> Token {
        self.last
    }

    /// Numbers a record of a line.
    ///
    /// # Panics
    /// Panics if the line left one out.
    pub fn assign(&mut self, key: K, token: Token) -> Token {
        self.last = self.last.next();
        let last = self.last;
        let line = self.line(key).expect("there is such a line");
        let next = line.first.0 + line.numbers.len() as u64;
        assert!(token.0 == next, "records are numbered without gaps");
        line.numbers.push_back(last);
        self.pending.push_back((self.last, key, token));
        self.last
    }

    /// Returns the number among all of a record that its line still needs.
    pub fn number(&self, key: K, token: Token) -> Option<Token> {
        let (_, line) = self.lines.iter().find(|(of, _)| *of == key)?;
        let at = usize::try_from(token.0.checked_sub(line.first.0)?).ok()?;
        line.numbers.get(at).copied()
    }

    /// Gives up a line's records before one; returns which is the oldest that any line needs, if
    /// that is another than it was.
    pub fn give_up(&mut self, key: K, before: Token) -> Option<Token> {
        let line = self.line(key)?;
        while line.first < before && line.numbers.pop_front().is_some() {
            line.first = line.first.next();
        }
        let oldest = self.lines.iter().filter_map(|(_, line)| line.numbers.front()).min();
        let oldest = oldest.copied().unwrap_or_else(|| self.last.next());
        (oldest > self.needed).then(|| self.needed = oldest)?;
        Some(oldest)
    }

    /// Notes that all records up to `upto` are durable; says in `durable` up to where those of each
    /// line are, of the lines for which that is news, in their order.
    pub fn on_durable(&mut self, upto: Token, durable: &mut Vec<(K, Token)>) {
        durable.clear();
        while let Some((_, key, token)) = self.pending.pop_front_if(|(at, ..)| *at <= upto) {
            match durable.iter_mut().find(|(other, _)| *other == key) {
                Some((_, last)) => *last = token,
                None => durable.push((key, token)),
            }
        }
        durable.sort_unstable_by_key(|(key, _)| *key);
    }

    /// Forgets that the youngest `count` records are not durable: they are, and their line knows.
    pub fn settle_last(&mut self, count: usize) {
        self.pending.truncate(self.pending.len().saturating_sub(count));
    }
}
