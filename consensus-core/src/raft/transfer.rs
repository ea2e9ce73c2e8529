//! Leadership transfer (dissertation 3.10).
//!
//! A leader that hands over takes no commands, brings the member that is to lead up to date, and
//! tells it to campaign at once. Voters need not be loyal against such a campaign. It ends when
//! somebody leads a later term, or is given up after an election timeout.
//!
//! The word to campaign may come late. It counts only where the log ends as it says, in the same
//! term, so a leader that has given a transfer up appends an entry: as soon as that is committed no
//! majority would elect by the late word, and until then the leader must not rely on its voters'
//! loyalty (RAFT-P19).

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    time::Duration,
};

use super::{
    Raft,
    config::PRIORITY_DEFAULT,
    leader::Leader,
    message::{Message, Payload, Term},
    mutant::Mutant,
    state::State,
};
use crate::{
    error::{SubmitError, TransferError},
    log::Index,
    members::NodeId,
    process::{Effect, Effects, Submission, Ticket},
    time::Time,
};

/// What lets a replica campaign.
#[derive(Clone, Debug)]
pub(super) enum Summons {
    /// Its election timer ran out.
    TimedOut(super::timer::TimedOut),
    /// The leader of its term told it to.
    Told(Told),
}

/// Proof that the leader of the present term told this replica to campaign, with the log that it
/// has.
#[derive(Clone, Debug)]
pub(super) struct Told(());

/// A replica's part in transfers: as the leader that hands over, and after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Handover {
    under_way: Option<Transfer>,
    /// While this is not committed, somebody who was told to campaign in this tenure might win.
    fence: Index,
}

/// A transfer under way. It outlives the tenure, until somebody leads.
#[derive(Clone, Debug)]
struct Transfer {
    /// The term that ends with it.
    term: Term,
    to: NodeId,
    /// Who asked for it, if somebody did.
    tickets: Vec<Ticket>,
    due: Time,
}

impl Handover {
    pub(super) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        let Self { under_way, fence } = self;
        let of =
            |Transfer { term, to, tickets, due: _ }: &Transfer| (*term, name(*to), tickets.clone());
        (under_way.as_ref().map(of), fence).hash(out);
    }
}

/// What a leader knows of its followers besides their logs: who could take over.
#[derive(Clone, Debug, Default)]
pub(super) struct Heirs {
    known: BTreeMap<NodeId, Heir>,
    /// Until then the lead is handed over to nobody unasked.
    rest_until: Time,
}

/// A follower that was heard of.
#[derive(Clone, Copy, Debug)]
struct Heir {
    heard: Time,
    /// Since when it was heard of without a gap.
    since: Time,
    /// With which priority it would lead, if it would.
    priority: Option<u8>,
}

/// For how many election timeouts a follower must have been heard of before the lead is handed over
/// to it unasked, and how many must lie between two attempts. One that comes and goes must not take
/// the lead along each time.
const STABLE: u32 = 10;

impl Heirs {
    /// Notes that a follower answered.
    pub(super) fn hear(&mut self, follower: NodeId, now: Time, longest_gap: Duration) {
        let new = Heir { heard: now, since: now, priority: Some(PRIORITY_DEFAULT) };
        let heir = self.known.entry(follower).or_insert(new);
        if now.since(heir.heard) > longest_gap {
            heir.since = now;
        }
        heir.heard = now;
    }

    /// Tells whether a follower was heard of within an election timeout.
    pub(super) fn is_heard(&self, state: &State, now: Time, follower: NodeId) -> bool {
        let recent = |heir: &Heir| now < heir.heard + state.config.election_timeout();
        self.known.get(&follower).is_some_and(recent)
    }
}

impl State {
    /// Returns the member that leadership is on its way to.
    pub fn transfers_to(&self) -> Option<NodeId> {
        self.handover.under_way.as_ref().map(|transfer| transfer.to)
    }

    /// Tells whether another member may be elected although this leader is heard of: a transfer is
    /// under way, or the word to campaign may still be. No lease holds meanwhile (RAFT-P19, L4).
    pub fn may_be_succeeded(&self) -> bool {
        self.handover.under_way.is_some() || self.committed() < self.handover.fence
    }

    /// Tells whether the lead may be handed over to `node`: it votes, and stores commands.
    fn may_lead(&self, node: NodeId) -> bool {
        let membership = self.membership();
        membership.voters().is_voter(node) && !membership.is_witness(node)
    }

    /// Forgets what was true of an earlier tenure: a word of its term is heeded by nobody.
    pub(super) fn begin_tenure(&mut self) {
        self.handover.fence = Index::ZERO;
    }

    /// Proves that the leader told this replica to campaign with the log that it has: a word that
    /// comes late finds a longer one (RAFT-P19).
    pub(super) fn told_to_campaign(&self, last_index: Index, last_term: Term) -> Option<Told> {
        let same = (last_index, last_term) == (self.log.last_index(), self.log.last_term());
        (same && self.may_campaign()).then_some(Told(()))
    }

    /// Ends a transfer: `leader` leads a term after it.
    pub(super) fn conclude_transfer(&mut self, leader: NodeId, out: &mut Effects<Raft>) {
        let Some(transfer) = self.handover.under_way.take() else { return };
        assert!(transfer.term < self.term(), "a transfer ends with its term");
        for ticket in transfer.tickets {
            out.push(if leader == transfer.to {
                Effect::Done { ticket }
            } else if leader == self.id() {
                let error = TransferError::Aborted { to: transfer.to }.into();
                Effect::Answer { ticket, error }
            } else {
                // Whoever asked for that member asks the one that leads.
                let error = SubmitError::NotLeader { leader: Some(leader) };
                Effect::Answer { ticket, error }
            });
        }
    }

    /// Gives up a transfer that has ended this replica's tenure and made nobody lead.
    pub(super) fn forget_transfer(&mut self, now: Time, out: &mut Effects<Raft>) {
        let (term, leads) = (self.term(), self.leader() == Some(self.id()));
        // It may have lost its majority, and lead its term no more although nobody leads a later one.
        let lapsed =
            |transfer: &mut Transfer| (transfer.term < term || !leads) && now >= transfer.due;
        let Some(transfer) = self.handover.under_way.take_if(lapsed) else { return };
        for ticket in transfer.tickets {
            out.push(Effect::Answer { ticket, error: SubmitError::LeadershipLost });
        }
    }
}

impl Leader {
    /// Begins to hand over to `to`, or to whoever is fit best, for whoever holds `ticket`.
    pub(super) fn on_transfer(
        &mut self,
        state: &mut State,
        now: Time,
        (ticket, to): (Ticket, Option<NodeId>),
        out: &mut Effects<Raft>,
    ) {
        if to == Some(state.id()) {
            // It leads already, perhaps because the request comes a second time.
            out.push(Effect::Done { ticket });
            return;
        }
        if let Err(error) = self.hand_over(state, now, to, out) {
            out.push(Effect::Answer { ticket, error: error.into() });
            return;
        }
        let Some(transfer) = &mut state.handover.under_way else { return };
        let limit = state.config.proposals_max();
        if transfer.tickets.len() >= limit {
            out.push(Effect::Answer { ticket, error: SubmitError::Busy { limit } });
            return;
        }
        transfer.tickets.push(ticket);
    }

    /// Refuses commands while the lead is on its way to `to`: they are for the next leader.
    pub(super) fn refuse_during_transfer(
        &mut self,
        state: &mut State,
        to: NodeId,
        submissions: Vec<Submission>,
        out: &mut Effects<Raft>,
    ) {
        if state.has_bug(Mutant::TransferTakesRefused) {
            let commands = submissions.iter().map(|it| Payload::Command(it.command.clone()));
            self.append(state, commands.collect(), out);
        }
        for Submission { ticket, .. } in submissions {
            out.push(Effect::Answer { ticket, error: SubmitError::Transferring { to } });
        }
    }

    /// Begins a transfer, unless the same is under way.
    fn hand_over(
        &mut self,
        state: &mut State,
        now: Time,
        to: Option<NodeId>,
        out: &mut Effects<Raft>,
    ) -> Result<(), TransferError> {
        if let Some(to) = to.filter(|to| !state.may_lead(*to)) {
            return Err(TransferError::NotAVoter { to });
        }
        if let Some(chosen) = state.transfers_to() {
            let same = to.is_none_or(|to| to == chosen);
            return if same { Ok(()) } else { Err(TransferError::UnderWay { to: chosen }) };
        }
        let best = || self.best_heir(state, now);
        let to = to.or_else(best).ok_or(TransferError::NoFollower)?;

        let (term, due) = (state.term(), now + state.config.election_timeout());
        state.handover.under_way = Some(Transfer { term, to, tickets: Vec::new(), due });
        self.summon(state, to, out);
        Ok(())
    }

    /// Returns the followers that could lead and were heard of within an election timeout, with how
    /// far each is known to be durable.
    fn heirs(&self, state: &State, now: Time) -> impl Iterator<Item = (NodeId, Heir, u8, Index)> {
        self.progress().filter_map(move |(node, progress)| {
            let heir = *self.heirs.known.get(&node).filter(|_| state.may_lead(node))?;
            let is_recent = now < heir.heard + state.config.election_timeout();
            Some((node, heir, heir.priority.filter(|_| is_recent)?, progress.matched()))
        })
    }

    /// Returns the follower that is fit best to lead: of those that have all that is committed, or
    /// of all, the one of the highest priority that has most.
    fn best_heir(&self, state: &State, now: Time) -> Option<NodeId> {
        let rank = |(_, _, priority, matched): &(NodeId, Heir, u8, Index)| {
            (*matched >= state.committed(), *priority, *matched)
        };
        self.heirs(state, now).max_by_key(rank).map(|(node, ..)| node)
    }

    /// Returns the follower that should lead in place of this replica: the best of those of a higher
    /// priority that have all that is committed and have been there for long.
    fn superior(&self, state: &State, now: Time) -> Option<NodeId> {
        let own = state.config.priority();
        let stable = state.config.election_timeout() * STABLE;
        let superior = self.heirs(state, now).filter(|(_, heir, priority, matched)| {
            let is_there = now.since(heir.heard) < state.config.election_timeout() / 2;
            let is_stable = is_there && now.since(heir.since) >= stable;
            *priority > own && *matched >= state.committed() && is_stable
        });
        superior.max_by_key(|(_, _, priority, _)| *priority).map(|(node, ..)| node)
    }

    /// Gives up a transfer that takes too long, and hands over where that is better for all: this
    /// replica's disk stalls, or another is preferred.
    pub(super) fn look_after_transfers(
        &mut self,
        state: &mut State,
        now: Time,
        out: &mut Effects<Raft>,
    ) {
        self.give_up_transfer(state, now, out);
        if state.transfers_to().is_some() || now < self.heirs.rest_until {
            return;
        }
        let to = if state.disk_stalls() {
            self.best_heir(state, now)
        } else {
            self.superior(state, now)
        };
        let Some(to) = to else { return };
        tracing::info!(%to, stalls = state.disk_stalls(), "hands the lead over unasked");
        let begun = self.hand_over(state, now, Some(to), out);
        assert!(begun.is_ok(), "an heir may lead, and no transfer is under way");
    }

    /// Tells whether a follower that is there should lead in place of this replica, at once or when
    /// it has been there for longer.
    pub(super) fn awaits_superior(&self, state: &State) -> bool {
        let own = state.config.priority();
        self.heirs.known.iter().any(|(node, heir)| {
            let is_there = state.is_present(*node) && state.may_lead(*node);
            is_there && heir.priority.is_some_and(|priority| priority > own)
        })
    }

    /// Notes that the group was at rest: followers whose nodes were there count as heard of.
    pub(super) fn vouch_for_heirs(&mut self, state: &State, now: Time) {
        let there = self.heirs.known.iter_mut().filter(|(node, _)| state.is_present(**node));
        there.for_each(|(_, heir)| heir.heard = now);
    }

    /// Notes with which priority a follower would lead. One that would not is no longer waited for.
    pub(super) fn on_willingness(
        &mut self,
        state: &mut State,
        now: Time,
        (follower, priority): (NodeId, Option<u8>),
        out: &mut Effects<Raft>,
    ) {
        if let Some(heir) = self.heirs.known.get_mut(&follower) {
            heir.priority = priority;
        }
        if priority.is_none()
            && let Some(transfer) = &mut state.handover.under_way
            && transfer.to == follower
        {
            transfer.due = now;
            self.give_up_transfer(state, now, out);
        }
    }

    /// Tells a follower to campaign, if leadership is on its way to it and it has all of the log.
    /// It is told again whenever it answers: the word may be lost.
    pub(super) fn summon(&self, state: &mut State, follower: NodeId, out: &mut Effects<Raft>) {
        if state.transfers_to() != Some(follower) {
            return;
        }
        let last_index = state.log.last_index();
        let matched = self.progress().find(|(node, _)| *node == follower);
        if matched.is_none_or(|(_, progress)| progress.matched() < last_index) {
            return;
        }
        state.handover.fence = last_index.next();
        let (term, last_term) = (state.term(), state.log.last_term());
        let message = Message::TimeoutNow { term, last_index, last_term };
        out.push(Effect::Send { to: state.config.peer(follower), message, after: None });
    }

    /// Gives up a transfer that takes too long, and goes on to lead.
    fn give_up_transfer(&mut self, state: &mut State, now: Time, out: &mut Effects<Raft>) {
        let late = |transfer: &mut Transfer| now >= transfer.due;
        let Some(transfer) = state.handover.under_way.take_if(late) else { return };
        let to = transfer.to;
        self.heirs.rest_until = now + state.config.election_timeout() * STABLE;
        tracing::warn!(%to, term = state.term().0, "gives up to hand over the lead");
        for ticket in transfer.tickets {
            let error = TransferError::Aborted { to }.into();
            out.push(Effect::Answer { ticket, error });
        }
        if state.has_bug(Mutant::LeaseAfterAbortedTransfer) {
            state.handover.fence = Index::ZERO;
        }
        if state.handover.fence > state.log.last_index() {
            // Makes a word that is still on its way come too late.
            self.append(state, vec![Payload::NoOp], out);
        }
    }
}
