//! Preparing: phase 1, for all slots at once.

use super::{
    Next, Summons,
    changes::Heritage,
    pledges::{Page, Pledges},
    state::State,
};
use crate::{
    log::Index,
    members::NodeId,
    multi_paxos::{Ballot, Message, Role, Value, mutant::Mutant},
    process::{Effect, Effects, Token},
    time::Time,
};

/// Proof that enough acceptors promised a ballot, and what must be proposed in it; only phase 1 can
/// make one.
#[derive(Debug)]
pub(super) struct Elected {
    pub(super) ballot: Ballot,
    /// The last slot that the node knows to be chosen with all before it.
    pub(super) known: Index,
    /// The values of the slots that follow.
    pub(super) values: Vec<Value>,
}

impl Elected {
    /// Claims what nobody has promised, as a known bug does.
    pub(super) fn unasked(state: &mut State, out: &mut Effects<Role>) -> Self {
        let (ballot, _) = state.begin_ballot(out);
        Self { ballot, known: state.known, values: Vec::new() }
    }
}

/// The office of a proposer that has begun a ballot.
#[derive(Clone, Debug)]
pub(super) struct Preparing {
    ballot: Ballot,
    /// The record of its round.
    token: Token,
    /// The leader of this ballot told it to.
    transfer: Option<Ballot>,
    /// What it goes on with, where it led until the configuration changed.
    heritage: Option<Box<Heritage>>,
    pledges: Pledges,
    /// When to ask again whoever has not answered.
    again: Time,
    /// Whether any part of a promise has come since.
    has_moved: bool,
}

impl Preparing {
    /// Begins the next ballot, and asks all acceptors.
    pub(super) fn begin(
        summons: Summons,
        state: &mut State,
        now: Time,
        out: &mut Effects<Role>,
    ) -> Self {
        let (transfer, heritage) = match summons {
            Summons::TimedOut(_) => (None, None),
            Summons::Told(told) => (Some(told.by()), None),
            Summons::Reconfigured(heritage) => (None, Some(heritage)),
        };
        if heritage.is_none() {
            state.follow(None, out);
        }
        state.reset_election_timer(now);
        let (ballot, token) = state.begin_ballot(out);
        let pledges = Pledges::begin(&state.config, (ballot.era, state.known.next()));
        let again = now + state.config.heartbeat();
        let has_moved = false;
        let preparing = Self { ballot, token, transfer, heritage, pledges, again, has_moved };
        preparing.pledges.missing().for_each(|missing| preparing.ask(state, missing, out));
        preparing
    }

    /// Returns the ballot.
    pub(super) fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Returns what it goes on with, where it led until the configuration changed.
    pub(super) fn heritage(&mut self) -> Option<&mut Heritage> {
        self.heritage.as_deref_mut()
    }

    /// Ends the office, and leaves what it was to go on with.
    pub(super) fn into_heritage(self) -> Option<Heritage> {
        self.heritage.map(|heritage| *heritage)
    }

    pub(super) fn on_tick(&mut self, state: &State, now: Time, out: &mut Effects<Role>) -> Next {
        if let Some(proof) = state.timed_out(now) {
            return Next::Canvass(proof);
        }
        if now >= self.again {
            self.again = now + state.config.heartbeat();
            self.pledges.missing().for_each(|missing| self.ask(state, missing, out));
            if std::mem::take(&mut self.has_moved) {
                // So they hear that somebody is about to lead, and do not begin themselves.
                self.pledges.done().for_each(|done| self.ask(state, done, out));
            }
            state.seek(self.ballot, self.pledges.base(), out);
        }
        Next::Stay
    }

    pub(super) fn on_promise(
        &mut self,
        state: &mut State,
        now: Time,
        (from, page): (NodeId, Page),
        out: &mut Effects<Role>,
    ) -> Next {
        let base = self.pledges.base();
        if !self.pledges.take(from, page) {
            return Next::Stay;
        }
        // However many parts there are, it does not begin anew while they come.
        state.reset_election_timer(now);
        self.has_moved = true;
        if let Some(first) = self.pledges.missing_of(from) {
            self.ask(state, (from, first), out);
        }
        if self.pledges.base() > base {
            state.seek(self.ballot, self.pledges.base(), out);
        }
        self.lead(state, out)
    }

    /// Leads once enough have promised that tell of all slots that the node does not know. One that has
    /// let go of some does not count until the node knows those: its own may have lost them since.
    pub(super) fn lead(&self, state: &State, out: &mut Effects<Role>) -> Next {
        // It asks those of one configuration: behind another that is known by now others decide.
        if self.ballot.era < state.era() {
            return Next::Follow;
        }
        let short_by = usize::from(state.config.has_bug(Mutant::PromiseQuorumOffByOne));
        let needed = (state.config.quorums().prepare() - short_by).max(1);
        if self.pledges.complete(state.known) < needed {
            return Next::Stay;
        }
        let Some(values) = self.pledges.values_after(state.known) else {
            tracing::error!(ballot = %self.ballot, "acceptors tell of slots that cannot be");
            return Next::Follow;
        };
        if state.is_over() {
            self.recount(state, values, out);
            return Next::Stay;
        }
        Next::Lead(Elected { ballot: self.ballot, known: state.known, values })
    }

    /// Lets the node's learner know what was chosen up to the configuration that ends this era. Since
    /// there is a later one all of that was chosen, and of each slot a quorum tells the value that was.
    fn recount(&self, state: &State, values: Vec<Value>, out: &mut Effects<Role>) {
        if values.last().is_some_and(|last| last.membership().is_some()) {
            let (first, chosen) = (state.known.next(), Index(state.known.0 + values.len() as u64));
            let message = Message::Learned { first, values: values.into(), chosen };
            let to = state.config.learner(state.config.id());
            out.push(Effect::Send { to, message, after: None });
        }
    }

    fn ask(&self, state: &State, (of, first): (NodeId, Index), out: &mut Effects<Role>) {
        let (ballot, transfer) = (self.ballot, self.transfer);
        out.push(Effect::Send {
            to: state.config.acceptor(of),
            message: Message::Prepare { ballot, first, transfer },
            // A round that is not durable could be used again after a crash (2.5).
            after: Some(self.token).filter(|_| !state.config.has_bug(Mutant::RoundNotDurable)),
        });
    }
}
