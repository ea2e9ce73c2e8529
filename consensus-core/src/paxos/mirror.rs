//! What an observer knows of one role without asking it: the records that it handed over.

use std::collections::VecDeque;

use super::{
    ballot::{Ballot, Proposal, Round},
    record::Record,
};
use crate::process::Token;

/// The records of a role, and what those of them say that are durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    waiting: VecDeque<(Token, Record)>,
    /// The last round of a proposer.
    pub(super) round: Round,
    /// What an acceptor has promised, and accepted.
    pub(super) promised: Option<Ballot>,
    pub(super) accepted: Option<Proposal>,
    /// What a learner has learned.
    pub(super) chosen: Option<Proposal>,
}

impl Mirror {
    /// Notes that a record was handed over.
    pub(super) fn push(&mut self, token: Token, record: Record) {
        self.waiting.push_back((token, record));
    }

    /// Notes that records are durable; returns the proposals that were accepted by them.
    pub(super) fn write(&mut self, upto: Token) -> Vec<Proposal> {
        let mut accepted = Vec::new();
        while let Some((_, record)) = self.waiting.pop_front_if(|(token, _)| *token <= upto) {
            match record {
                Record::Round(round) => self.round = round,
                Record::Promised(ballot) => self.promised = Some(ballot),
                Record::Accepted(proposal) => {
                    self.promised = Some(proposal.ballot);
                    self.accepted = Some(proposal.clone());
                    accepted.push(proposal);
                }
                Record::Chosen(proposal) => self.chosen = Some(proposal),
            }
        }
        accepted
    }

    /// Forgets what was handed over and is not durable, as a crash does.
    pub(super) fn crash(&mut self) {
        self.waiting.clear();
    }

    /// Tells whether an acceptor may come to accept a proposal of this ballot, if it has not.
    pub(super) fn may_accept(&self, ballot: Ballot) -> bool {
        self.promised.is_none_or(|promised| promised <= ballot)
    }

    /// Tells what an acceptor's disk holds, for people.
    pub(super) fn told(&self) -> String {
        let promised = self.promised.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
        match &self.accepted {
            Some(Proposal { ballot, value }) => {
                format!("promised {promised}, accepted {:?} at {ballot}", value.as_ref())
            }
            None => format!("promised {promised}, accepted nothing"),
        }
    }
}
