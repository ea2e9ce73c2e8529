//! A node's disk under test: records become durable when the test says so, and a crash loses the
//! rest.

use std::{collections::VecDeque, fmt::Debug};

use bytes::Bytes;
use consensus_core::{
    NodeId, Token,
    codec::{Decode, Encode},
    raft::{Record, Term},
};

/// The records that a process handed over, encoded as they would be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk<V> {
    durable: Vec<(Token, Bytes)>,
    queue: VecDeque<(Token, Bytes)>,
    upto: Token,
    view: V,
}

/// What durable records say, read without the code under test.
pub(crate) trait Reading: Default {
    /// The records.
    type Record: Encode + Decode + PartialEq + Debug;

    /// Notes a record that is durable from now on.
    fn note(&mut self, record: &Self::Record);
}

/// What the durable records of a Raft replica say.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) term: Term,
    pub(crate) voted_for: Option<NodeId>,
    /// The terms of the log's entries; below a snapshot that replaced the log, that of its last.
    pub(crate) log: Vec<Term>,
}

impl<V: Reading> Disk<V> {
    /// Takes a record over; a crash loses it until [`Disk::write`] has reached it.
    pub(crate) fn push(&mut self, token: Token, record: &V::Record) {
        let last = self.queue.back().map_or(self.upto, |(token, _)| *token);
        assert_eq!(token, last.next(), "records are numbered without gaps");
        self.queue.push_back((token, encoded(record)));
    }

    /// Makes the oldest waiting record durable, and returns its token.
    pub(crate) fn write(&mut self) -> Option<Token> {
        let (token, bytes) = self.queue.pop_front()?;
        self.view.note(&decoded(&bytes));
        self.durable.push((token, bytes));
        self.upto = token;
        Some(token)
    }

    /// Drops records that are not needed to recover.
    pub(crate) fn compact(&mut self, before: Token) {
        assert!(before <= self.upto, "what replaces the dropped records is durable");
        self.durable.retain(|(token, _)| *token >= before);
    }

    /// Loses what is not durable.
    pub(crate) fn crash(&mut self) {
        self.queue.clear();
    }

    /// Returns the durable records, decoded, oldest first.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Token, V::Record)> + '_ {
        self.durable.iter().map(|(token, bytes)| (*token, decoded(bytes)))
    }

    /// Returns the youngest durable token.
    pub(crate) fn upto(&self) -> Token {
        self.upto
    }

    /// Returns what the durable records say.
    pub(crate) fn view(&self) -> &V {
        &self.view
    }
}

impl Reading for View {
    type Record = Record;

    fn note(&mut self, record: &Record) {
        match record {
            Record::Vote { term, voted_for } => {
                (self.term, self.voted_for) = (*term, *voted_for);
            }
            Record::Append { after, entries } => {
                self.log.truncate(after.0 as usize);
                self.log.extend(entries.iter().map(|entry| entry.term));
            }
            Record::Snapshot { cut, replaces } => {
                let end = if *replaces { 0 } else { self.log.len() };
                self.log.truncate(end);
                if end < cut.index.0 as usize {
                    self.log.resize(cut.index.0 as usize, Term(cut.term));
                }
            }
        }
    }
}

fn encoded<R: Encode + Decode + PartialEq + Debug>(record: &R) -> Bytes {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let bytes = Bytes::from(bytes);
    assert_eq!(&decoded::<R>(&bytes), record, "records survive the journal");
    bytes
}

fn decoded<R: Decode>(bytes: &Bytes) -> R {
    R::decode_all(bytes.clone()).expect("the journal returns what was written")
}
