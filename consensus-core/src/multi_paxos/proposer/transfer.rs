//! Handing the lead over.
//!
//! A leader that hands over takes no commands, waits until nothing is in flight, and tells the
//! member that is to lead to campaign at once. Acceptors need not be loyal to it against such a
//! campaign; so from then on its tenure has no lease. It ends when somebody leads a later ballot, or
//! is given up after an election timeout.

use super::{leading::Leading, state::State};
use crate::{
    change::ChangeError,
    error::{SubmitError, TransferError},
    members::NodeId,
    multi_paxos::{Ballot, Message, Role},
    process::{Effect, Effects, Ticket},
    time::Time,
};

/// Proof that the latest leader that was heard of told this proposer to campaign.
#[derive(Debug)]
pub(super) struct Told(Ballot);

impl Told {
    /// Returns the leader's ballot.
    pub(super) fn by(&self) -> Ballot {
        self.0
    }
}

/// A transfer under way. It outlives the tenure, until somebody leads.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// The ballot that ends with it.
    ballot: Ballot,
    to: NodeId,
    tickets: Vec<Ticket>,
    due: Time,
}

impl State {
    /// Returns the member that leadership is on its way to.
    pub(super) fn transfers_to(&self) -> Option<NodeId> {
        self.transfer.as_ref().map(|transfer| transfer.to)
    }

    /// Proves that the leader told this proposer to campaign, if no later one was heard of.
    pub(super) fn told_to_campaign(&self, by: Ballot) -> Option<Told> {
        (self.followed() == Some(by) && self.may_campaign()).then_some(Told(by))
    }

    /// Ends a transfer: somebody leads in `ballot`.
    pub(super) fn conclude_transfer(&mut self, ballot: Ballot, out: &mut Effects<Role>) {
        let is_over = |transfer: &mut Transfer| transfer.ballot < ballot;
        let Some(transfer) = self.transfer.take_if(is_over) else { return };
        for ticket in transfer.tickets {
            out.push(if ballot.node == transfer.to {
                Effect::Done { ticket }
            } else if ballot.node == self.config.id() {
                let error = TransferError::Aborted { to: transfer.to }.into();
                Effect::Answer { ticket, error }
            } else {
                // Whoever asked for that member asks the one that leads.
                let error = SubmitError::NotLeader { leader: Some(ballot.node) };
                Effect::Answer { ticket, error }
            });
        }
    }

    /// Gives up a transfer that has ended this proposer's tenure and made nobody lead.
    pub(super) fn forget_transfer(&mut self, now: Time, out: &mut Effects<Role>) {
        let leads = self.leader() == Some(self.config.id());
        let lapsed = |transfer: &mut Transfer| !leads && now >= transfer.due;
        let Some(transfer) = self.transfer.take_if(lapsed) else { return };
        for ticket in transfer.tickets {
            out.push(Effect::Answer { ticket, error: SubmitError::LeadershipLost });
        }
    }
}

impl Leading {
    /// Begins to hand over to `to`, or to whoever is fit best, for whoever holds `ticket`.
    pub(super) fn on_transfer(
        &mut self,
        state: &mut State,
        now: Time,
        (ticket, to): (Ticket, Option<NodeId>),
        out: &mut Effects<Role>,
    ) {
        if to == Some(state.config.id()) {
            // It leads already, perhaps because the request comes a second time.
            out.push(Effect::Done { ticket });
            return;
        }
        if self.next.is_some() {
            out.push(Effect::Answer { ticket, error: ChangeError::Underway.into() });
            return;
        }
        if let Err(error) = self.hand_over(state, now, to) {
            out.push(Effect::Answer { ticket, error: error.into() });
            return;
        }
        let limit = state.config.proposals_max();
        match &mut state.transfer {
            Some(transfer) if transfer.tickets.len() < limit => transfer.tickets.push(ticket),
            Some(_) | None => {
                out.push(Effect::Answer { ticket, error: SubmitError::Busy { limit } });
            }
        }
        if self.batches.is_empty() {
            self.summon(state, out);
        }
    }

    /// Begins a transfer, unless the same is under way.
    fn hand_over(
        &mut self,
        state: &mut State,
        now: Time,
        to: Option<NodeId>,
    ) -> Result<(), TransferError> {
        if let Some(to) = to.filter(|to| !state.config.is_acceptor(*to)) {
            return Err(TransferError::NotAVoter { to });
        }
        if let Some(chosen) = state.transfers_to() {
            let same = to.is_none_or(|to| to == chosen);
            return if same { Ok(()) } else { Err(TransferError::UnderWay { to: chosen }) };
        }
        let best = || self.best_heir(state, now);
        let to = to.or_else(best).ok_or(TransferError::NoFollower)?;
        let (ballot, due) = (self.ballot(), now + state.config.election_timeout());
        let tickets = Vec::new();
        state.transfer = Some(Transfer { ballot, to, tickets, due });
        Ok(())
    }

    /// Returns the other node that was heard of within an election timeout and has most.
    pub(super) fn best_heir(&self, state: &State, now: Time) -> Option<NodeId> {
        let recent = |heard: Time| now < heard + state.config.election_timeout();
        let heirs = self.progress.iter().filter(|(node, progress)| {
            **node != state.config.id() && progress.heard().is_some_and(recent)
        });
        heirs.max_by_key(|(_, progress)| progress.accepted()).map(|(node, _)| *node)
    }

    /// Tells the member that leadership is on its way to, if it is, to campaign.
    pub(super) fn summon(&mut self, state: &mut State, out: &mut Effects<Role>) {
        let ballot = self.ballot();
        let Some(transfer) = state.transfer.as_ref().filter(|it| it.ballot == ballot) else {
            return;
        };
        self.is_lease_void = true;
        let (to, message) = (state.config.proposer(transfer.to), Message::TakeOver { ballot });
        out.push(Effect::Send { to, message, after: None });
    }

    /// Gives up a transfer that takes too long; till then tells the member again, since the word may
    /// be lost.
    pub(super) fn look_after_transfer(
        &mut self,
        state: &mut State,
        now: Time,
        out: &mut Effects<Role>,
    ) {
        let late = |transfer: &mut Transfer| now >= transfer.due;
        if let Some(transfer) = state.transfer.take_if(late) {
            let to = transfer.to;
            tracing::warn!(%to, ballot = %self.ballot(), "gives up to hand over the lead");
            for ticket in transfer.tickets {
                let error = TransferError::Aborted { to }.into();
                out.push(Effect::Answer { ticket, error });
            }
        } else if self.is_heartbeat_due(now) {
            self.summon(state, out);
        }
    }
}
