//! What an observer knows of one role without asking it: the records that it handed over.

use std::collections::VecDeque;

use super::{
    record::Record,
    round::{Proposal, Round},
};
use crate::{
    paxos::{self, Ballot},
    process::Token,
};

/// The records of a role, and what those of them say that are durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    waiting: VecDeque<(Token, Record)>,
    /// The last ballot of a coordinator.
    pub(super) round: paxos::Round,
    /// What an acceptor has promised, and voted for.
    pub(super) promised: Option<Ballot>,
    pub(super) voted: Option<Proposal>,
    /// What a learner has learned.
    pub(super) chosen: Option<Proposal>,
}

impl Mirror {
    /// Notes that a record was handed over.
    pub(super) fn push(&mut self, token: Token, record: Record) {
        self.waiting.push_back((token, record));
    }

    /// Notes that records are durable; returns the votes among them.
    pub(super) fn write(&mut self, upto: Token) -> Vec<Proposal> {
        let mut votes = Vec::new();
        while let Some((_, record)) = self.waiting.pop_front_if(|(token, _)| *token <= upto) {
            match record {
                Record::Round(round) => self.round = round,
                Record::Promised(ballot) => self.promised = Some(ballot),
                Record::Voted(proposal) => {
                    self.promised = Some(proposal.round.ballot);
                    self.voted = Some(proposal.clone());
                    votes.push(proposal);
                }
                Record::Chosen(proposal) => self.chosen = Some(proposal),
            }
        }
        votes
    }

    /// Forgets what was handed over and is not durable, as a crash does.
    pub(super) fn crash(&mut self) {
        self.waiting.clear();
    }

    /// Tells whether an acceptor may come to vote in this round, if it has not.
    pub(super) fn may_vote(&self, round: Round) -> bool {
        let is_free = self.promised.is_none_or(|promised| promised <= round.ballot);
        is_free && self.voted.as_ref().is_none_or(|voted| voted.round < round)
    }

    /// Tells what an acceptor's disk holds, for people.
    pub(super) fn told(&self) -> String {
        let promised = self.promised.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
        match &self.voted {
            Some(Proposal { round, value }) => {
                format!("promised {promised}, voted for {:?} at {round}", value.as_ref())
            }
            None => format!("promised {promised}, voted for nothing"),
        }
    }
}
