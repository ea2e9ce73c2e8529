//! Canvassing: a proposer that hears of no leader asks whether it would have the promises, before it
//! begins a ballot that could disturb one.

use std::collections::BTreeSet;

use super::{Next, Summons, state::State, timer::TimedOut};
use crate::{
    log::Index,
    members::NodeId,
    multi_paxos::{Ballot, Message, Role},
    process::{Effect, Effects},
    time::Time,
};

/// The office of a proposer that asks first.
#[derive(Clone, Debug)]
pub(super) struct Canvassing {
    /// What lets it campaign once enough would promise.
    timed_out: TimedOut,
    ballot: Ballot,
    supporters: BTreeSet<NodeId>,
    /// The last slot that any of their nodes knows to be chosen.
    chosen: Index,
    /// When to go on although the node does not know as much as they do.
    patience: Time,
}

/// For how many heartbeat intervals a node that does not know as much as others waits for each bit
/// of that: nobody may be there any more who could tell.
const PATIENCE: u32 = 3;

impl Canvassing {
    /// Asks all acceptors, its own node's too.
    pub(super) fn begin(
        timed_out: TimedOut,
        state: &mut State,
        now: Time,
        out: &mut Effects<Role>,
    ) -> Self {
        state.follow(None, out);
        state.reset_election_timer(now);
        let ballot = state.next_ballot();
        for acceptor in state.config.acceptors() {
            let (to, message) = (state.config.acceptor(acceptor), Message::Canvass { ballot });
            // It promises nothing: the Prepare waits for the disk.
            out.push(Effect::Send { to, message, after: None });
        }
        let (supporters, chosen) = (BTreeSet::new(), Index::ZERO);
        let mut canvassing = Self { timed_out, ballot, supporters, chosen, patience: now };
        if state.is_over() {
            canvassing.wait(state, now);
        }
        canvassing
    }

    /// Notes that something has come of what others know.
    pub(super) fn wait(&mut self, state: &State, now: Time) {
        self.patience = now + state.config.heartbeat() * PATIENCE;
    }

    pub(super) fn on_tick(&self, state: &State, now: Time) -> Next {
        // Where acceptors are in a later era they support nobody, and yet tell of this one.
        if (self.has_support(state) || state.is_over()) && now >= self.patience {
            return Next::Prepare(Summons::TimedOut(self.timed_out.clone()));
        }
        state.timed_out(now).map_or(Next::Stay, Next::Canvass)
    }

    pub(super) fn on_support(
        &mut self,
        state: &State,
        now: Time,
        from: NodeId,
        (ballot, chosen): (Ballot, Index),
        out: &mut Effects<Role>,
    ) -> Next {
        if ballot != self.ballot || !state.config.is_acceptor(from) {
            return Next::Stay;
        }
        self.supporters.insert(from);
        if chosen > self.chosen {
            self.chosen = chosen;
            self.wait(state, now);
            state.seek(ballot, chosen, out);
        }
        self.campaign(state)
    }

    /// Begins the ballot once enough would promise, and the node knows as much as they do: else it
    /// would lead late, and propose again what is chosen.
    pub(super) fn campaign(&self, state: &State) -> Next {
        if self.has_support(state) && state.known >= self.chosen {
            Next::Prepare(Summons::TimedOut(self.timed_out.clone()))
        } else {
            Next::Stay
        }
    }

    /// Asks those of another configuration, which has become known.
    pub(super) fn restart(&self, state: &State) -> Next {
        if state.may_campaign() { Next::Canvass(self.timed_out.clone()) } else { Next::Follow }
    }

    /// Asks with a later ballot where this one comes too late.
    pub(super) fn on_nack(&self, ballot: Ballot) -> Next {
        if ballot == self.ballot { Next::Canvass(self.timed_out.clone()) } else { Next::Stay }
    }

    fn has_support(&self, state: &State) -> bool {
        self.supporters.len() >= state.config.quorums().prepare()
    }
}
