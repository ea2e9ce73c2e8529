//! Rebuilding a replica's state from its records.

use super::{
    config::Config, log::TermAt, message::Term, mutant::Mutant, record::Record, state::State,
};
use crate::{error::RecoverError, log::Index, process::Token, snapshot::Cut, time::Time};

/// Records are read into a state; `adrift` while the log begins with entries whose predecessors
/// are gone, and that no snapshot stands for yet.
///
/// The journal gives space back by the segment: of what was given up, the younger part may come
/// back. It must be replaced, or covered, by what follows.
struct Replay {
    state: State,
    adrift: Option<Token>,
}

impl State {
    /// Rebuilds the state from durable records.
    pub(super) fn recover(
        config: Config,
        now: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let mut replay = Replay { state: Self::blank(config, now), adrift: None };
        for (token, record) in records {
            replay.take(token, record)?;
        }
        let Replay { mut state, adrift } = replay;
        if let Some(token) = adrift {
            return contradiction(token, "entries follow a gap in the log");
        }
        // Judged at the end: the record of an entry's own term may have been given up for that of a
        // later one.
        if state.log.last_term() > state.term && !state.has_bug(Mutant::TermNotDurable) {
            return contradiction(state.durable, "an entry is of a later term than the replica");
        }
        if state.has_bug(Mutant::ConfigurationForgotten) {
            state.configurations.truncate_after(Index::ZERO);
        }
        state.stable = state.log.last_index();
        state.committed = state.snapshots.covered();
        // Who is a majority alone has nobody to wait for.
        if !state.membership().is_alone(state.id()) {
            state.reset_election_timer(now);
        }
        state.stay_loyal(now);
        Ok(state)
    }
}

impl Replay {
    fn take(&mut self, token: Token, record: Record) -> Result<(), RecoverError> {
        match record {
            Record::Vote { term, voted_for } => {
                let state = &mut self.state;
                if term < state.term {
                    return contradiction(token, "the term goes back");
                }
                let forgets = state.has_bug(Mutant::VoteForgottenOnRestart);
                (state.term, state.voted_for) = (term, voted_for.filter(|_| !forgets));
                state.vote_token = token;
            }
            Record::Append { after, entries } => {
                self.find_ground(token, after)?;
                let state = &mut self.state;
                let returns = state.has_bug(Mutant::OverwrittenTailReturns);
                let upto = Index(after.0 + entries.len() as u64);
                let tail = if returns { state.log.from(upto.next()).to_vec() } else { Vec::new() };
                state.write(token, after, entries);
                tail.into_iter().for_each(|entry| state.push(entry));
            }
            Record::Snapshot { cut, replaces } => self.cover(token, cut, replaces)?,
        }
        (self.state.persisting, self.state.durable) = (token, token);
        Ok(())
    }

    /// Lets the log begin anew where entries follow what is not there: it was given up, and
    /// something that covers it must come.
    fn find_ground(&mut self, token: Token, after: Index) -> Result<(), RecoverError> {
        let state = &mut self.state;
        let covered = state.snapshots.covered();
        if after == Index::ZERO && covered == Index::ZERO {
            state.log.reset(after, Term::default());
            self.adrift = None;
        } else if after > state.log.last_index()
            || self.adrift.is_some() && after < state.log.base()
        {
            state.footing.clear();
            // What came back may end what it is that these entries replaced, behind the snapshot.
            let ground = state.snapshots.cut().filter(|cut| cut.index == after).cloned();
            self.adrift = ground.is_none().then_some(token);
            match ground {
                Some(cut) => state.start_log(&cut, Term(cut.term)),
                None => state.log.reset(after, Term::default()),
            }
        } else if after < state.log.base() {
            return contradiction(token, "entries replace what a snapshot covers");
        }
        Ok(())
    }

    /// Lets go of what a snapshot covers.
    fn cover(&mut self, token: Token, cut: Cut, replaces: bool) -> Result<(), RecoverError> {
        let (state, index, term) = (&mut self.state, cut.index, Term(cut.term));
        let (base, last) = (state.log.base(), state.log.last_index());
        if replaces || index > last {
            // What is missing before it was given up.
            state.start_log(&cut, term);
            state.footing.clear();
            self.adrift = None;
        } else if (index > base || index == base && self.adrift.is_none())
            && state.log.term_at(index) == TermAt::Known(term)
        {
            state.log.compact(index);
            state.configurations.cover(index, cut.membership.clone());
            self.adrift = None;
        } else if index == base && self.adrift.take().is_some() {
            let entries = state.log.from(index.next()).to_vec();
            state.start_log(&cut, term);
            entries.into_iter().for_each(|entry| state.push(entry));
        } else if index >= base || self.adrift.is_none() {
            return contradiction(token, "a snapshot is of another log");
        }
        state.footing.cover(token, index, state.log.last_index());
        state.snapshots.cover(cut);
        Ok(())
    }
}

fn contradiction<T>(token: Token, reason: &'static str) -> Result<T, RecoverError> {
    Err(RecoverError::Contradiction { token: token.0, reason })
}
