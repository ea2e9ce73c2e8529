//! The Coordinator: opens fast rounds, notices collisions, and proposes in classic rounds what may
//! be chosen, or else what is free to be (2.2, 3.1, 3.2).

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
    mem,
};

use bytes::Bytes;

use super::{
    choice::Choice,
    config::Config,
    message::Message,
    mutant::Mutant,
    proposer::Proposer,
    record::Record,
    round::{Kind, Proposal, Round},
};
use crate::{
    log::Index,
    members::NodeId,
    paxos::{self, Ballot},
    process::{Address, Effect, Effects, Ticket, Token},
    time::Time,
};

/// How far a coordinator is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// It coordinates no round.
    Idle,
    /// It was refused, and waits before it begins anew, so that somebody else may come through.
    Resting { until: Time },
    /// Phase 1 of a ballot: it asks for promises.
    Preparing(Preparing),
    /// Phase 2 of the fast round: acceptors vote for what they are asked first.
    Open(Open),
    /// Phase 2 of the classic round: it asks acceptors to vote for its proposal.
    Accepting { proposal: Proposal, voted: BTreeSet<NodeId>, resend_at: Time },
    /// A value is chosen.
    Done,
}

#[derive(Clone, Debug)]
pub(super) struct Preparing {
    ballot: Ballot,
    /// What those that promised have voted for last.
    promised: BTreeMap<NodeId, Option<Proposal>>,
    /// Who waited to hear what was chosen before the first of them was asked.
    pub(super) reads: Vec<Ticket>,
    resend_at: Time,
}

#[derive(Clone, Debug)]
pub(super) struct Open {
    ballot: Ballot,
    votes: BTreeMap<NodeId, Bytes>,
    /// When it does not wait any longer; no time while nobody has voted.
    until: Option<Time>,
}

impl Phase {
    /// Returns the phase in which the coordinator of the first ballot begins: nobody can have voted
    /// before, so that there is no phase 1 (3.1).
    pub(super) fn first(config: &Config) -> Option<Self> {
        let ballot = config.first();
        let open = Open { ballot, votes: BTreeMap::new(), until: None };
        (ballot.node == config.id()).then_some(Self::Open(open))
    }

    pub(super) fn told(&self) -> (&'static str, Option<Ballot>) {
        match self {
            Self::Idle => ("idle", None),
            Self::Resting { .. } => ("resting", None),
            Self::Preparing(preparing) => ("preparing", Some(preparing.ballot)),
            Self::Open(open) => ("open", Some(open.ballot)),
            Self::Accepting { proposal, .. } => ("accepting", Some(proposal.round.ballot)),
            Self::Done => ("done", None),
        }
    }

    /// Returns the reads that the ballot under way answers.
    pub(super) fn reads(&self) -> &[Ticket] {
        match self {
            Self::Preparing(preparing) => &preparing.reads,
            Self::Idle
            | Self::Resting { .. }
            | Self::Open(_)
            | Self::Accepting { .. }
            | Self::Done => &[],
        }
    }

    pub(super) fn take_reads(&mut self) -> Vec<Ticket> {
        match self {
            Self::Preparing(preparing) => mem::take(&mut preparing.reads),
            Self::Idle
            | Self::Resting { .. }
            | Self::Open(_)
            | Self::Accepting { .. }
            | Self::Done => Vec::new(),
        }
    }

    pub(super) fn fingerprint(&self, out: &mut impl Hasher) {
        mem::discriminant(self).hash(out);
        match self {
            Self::Idle | Self::Resting { until: _ } | Self::Done => {}
            Self::Preparing(Preparing { ballot, promised, reads, resend_at: _ }) => {
                (ballot, promised, reads).hash(out);
            }
            Self::Open(Open { ballot, votes, until: _ }) => (ballot, votes).hash(out),
            Self::Accepting { proposal, voted, resend_at: _ } => (proposal, voted).hash(out),
        }
    }
}

impl Proposer {
    /// Phase 1a: begins a ballot that nobody has used before, this coordinator in an earlier life
    /// included.
    pub(super) fn prepare(&mut self, now: Time, out: &mut Effects<Self>) {
        self.round = self.round.next();
        self.record(self.round, out);
        let preparing = Preparing {
            ballot: Ballot { round: self.round, node: self.config.id() },
            promised: BTreeMap::new(),
            reads: mem::take(&mut self.reads),
            resend_at: now + self.config.retry(),
        };
        self.phase = Phase::Preparing(preparing);
        self.send(out);
        if self.config.has_bug(Mutant::PhaseOneSkipped) {
            self.decide(now, out);
        }
    }

    /// Has it written down that this life uses the ballots of a round, and no other will.
    fn record(&mut self, round: paxos::Round, out: &mut Effects<Self>) {
        self.written = self.written.next();
        out.push(Effect::Persist { token: self.written, record: Record::Round(round) });
    }

    /// Sends what the present phase asks to all acceptors that have not answered.
    fn send(&self, out: &mut Effects<Self>) {
        let (message, answered): (Message, BTreeSet<NodeId>) = match &self.phase {
            Phase::Preparing(Preparing { ballot, promised, .. }) => {
                (Message::Prepare { ballot: *ballot }, promised.keys().copied().collect())
            }
            Phase::Open(Open { ballot, votes, .. }) => {
                (Message::Any { ballot: *ballot }, votes.keys().copied().collect())
            }
            Phase::Accepting { proposal, voted, .. } => {
                (Message::Accept { proposal: proposal.clone() }, voted.clone())
            }
            Phase::Idle | Phase::Resting { .. } | Phase::Done => return,
        };
        let hasty = self.config.has_bug(Mutant::RoundNotDurable);
        // To open the first ballot rests on nothing.
        let after = Some(self.written).filter(|it| *it > Token::default() && !hasty);
        for acceptor in self.config.acceptors().voters().filter(|it| !answered.contains(it)) {
            out.push(Effect::Send {
                to: self.config.acceptor(acceptor),
                message: message.clone(),
                // Nobody hears of a ballot that a crash could make this coordinator use again.
                after,
            });
        }
    }

    /// Sends again what lets acceptors vote in a fast round, if it has one.
    pub(super) fn invite(&self, out: &mut Effects<Self>) {
        if matches!(self.phase, Phase::Open(_)) {
            self.send(out);
        }
    }

    pub(super) fn on_promise(
        &mut self,
        now: Time,
        from: NodeId,
        (ballot, voted): (Ballot, Option<Proposal>),
        out: &mut Effects<Self>,
    ) {
        let stale_counts = self.config.has_bug(Mutant::StalePromiseCounts);
        // In the second phase what is proposed is settled.
        let Phase::Preparing(running) = &mut self.phase else { return };
        let present = running.ballot == ballot || stale_counts;
        if !present || !self.config.acceptors().is_voter(from) {
            return;
        }

        let known = running.promised.keys().copied().collect();
        let from = self.config.counted_for(from, &known, Mutant::DuplicatePromiseCounts);
        running.promised.insert(from, voted);
        if self.config.has_promises(&running.promised.keys().copied().collect()) {
            self.decide(now, out);
        }
    }

    /// Phase 2a: proposes what may be chosen; opens the fast round only if nobody has voted, and
    /// no caller of this node waits in vain (2.2.2, 3.1).
    fn decide(&mut self, now: Time, out: &mut Effects<Self>) {
        let Phase::Preparing(preparing) = mem::replace(&mut self.phase, Phase::Idle) else {
            unreachable!("promises are counted in phase 1 only")
        };
        let Preparing { ballot, promised, reads, .. } = preparing;
        let choice = match self.config.choice(&promised) {
            Choice::Bound(_) if self.config.has_bug(Mutant::AnyThoughChoosable) => Choice::Anything,
            choice => choice,
        };
        let overlooks = self.value.is_none() && self.config.has_bug(Mutant::ReadOverlooksVotes);
        let impatient = self.value.clone().filter(|_| self.is_impatient());
        let value = self.picked(choice, impatient).filter(|_| !overlooks || reads.is_empty());
        if let Some(value) = value {
            // Only when it is chosen it may be read.
            self.reads.extend(reads);
            return self.accept(now, ballot, value, out);
        }

        // Nothing was chosen when the first of them promised, which was after they asked.
        self.answer(reads, Index::ZERO, out);
        self.is_asked = false;
        if self.reads.is_empty() {
            self.phase = Phase::Open(Open { ballot, votes: BTreeMap::new(), until: None });
            self.send(out);
        }
        // Others have come that want to know meanwhile.
        self.pursue(now, out);
    }

    /// Returns what to propose in a classic round: `else_this` if it is free to propose anything.
    fn picked(&self, choice: Choice, else_this: Option<Bytes>) -> Option<Bytes> {
        let own_first = self.config.has_bug(Mutant::OwnValueFirst);
        match choice {
            Choice::Anything => else_this,
            Choice::Free(most) => Some(self.value.clone().unwrap_or(most)),
            Choice::Bound(_) if own_first && self.value.is_some() => self.value.clone(),
            Choice::Bound(bound) => Some(bound),
        }
    }

    fn accept(&mut self, now: Time, ballot: Ballot, value: Bytes, out: &mut Effects<Self>) {
        // That another life has proposed in the first ballot nothing else would tell.
        let is_first = ballot == self.config.first();
        if is_first && !self.config.has_bug(Mutant::FirstBallotNotRecorded) {
            self.record(ballot.round, out);
        }
        let proposal = Proposal { round: Round::classic(ballot), value };
        let resend_at = now + self.config.retry();
        self.phase = Phase::Accepting { proposal, voted: BTreeSet::new(), resend_at };
        self.send(out);
    }

    pub(super) fn on_accepted(
        &mut self,
        now: Time,
        from: NodeId,
        vote: &Proposal,
        out: &mut Effects<Self>,
    ) {
        if !self.config.acceptors().is_voter(from) {
            return;
        }
        let stale_counts = self.config.has_bug(Mutant::StaleVoteCounts);
        let doubles = Mutant::DuplicateVoteCounts;
        match &mut self.phase {
            Phase::Open(Open { ballot, votes, until }) => {
                if vote.round != Round::fast(*ballot) && !stale_counts {
                    return;
                }
                let known = votes.keys().copied().collect();
                let from = self.config.counted_for(from, &known, doubles);
                votes.entry(from).or_insert_with(|| vote.value.clone());
                until.get_or_insert(now + self.config.retry());
                self.count(now, &vote.value, out);
            }
            Phase::Accepting { proposal, voted, .. } => {
                if proposal == vote || stale_counts {
                    voted.insert(self.config.counted_for(from, voted, doubles));
                    if self.config.has_votes(Kind::Classic, voted) {
                        let proposal = proposal.clone();
                        return self.announce(&proposal, out);
                    }
                }
                self.overrule(vote, out);
            }
            Phase::Idle | Phase::Resting { .. } | Phase::Preparing(_) | Phase::Done => {}
        }
    }

    /// Counts the votes of the fast round after one for `value`.
    fn count(&mut self, now: Time, value: &Bytes, out: &mut Effects<Self>) {
        let Phase::Open(Open { ballot, votes, .. }) = &self.phase else { return };
        let alike = votes.iter().filter(|(_, other)| *other == value);
        let alike: BTreeSet<NodeId> = alike.map(|(node, _)| *node).collect();
        if self.config.has_votes(Kind::Fast, &alike) {
            let proposal = Proposal { round: Round::fast(*ballot), value: value.clone() };
            return self.announce(&proposal, out);
        }
        if self.config.is_collision(votes) {
            self.recover_from_collision(now, out);
        }
    }

    /// Goes on in the classic round: what enough have voted for last they have told, and since no
    /// round lies between the two, they need not promise first (3.2).
    ///
    /// Returns whether they were enough.
    fn recover_from_collision(&mut self, now: Time, out: &mut Effects<Self>) -> bool {
        let Phase::Open(Open { ballot, votes, .. }) = &self.phase else { return false };
        let voted: BTreeSet<NodeId> = votes.keys().copied().collect();
        let waits_for_all = self.config.has_bug(Mutant::CollisionNeedsAll);
        let all = self.config.acceptors().voters().len();
        if !self.config.has_recovery(&voted) || waits_for_all && voted.len() < all {
            return false;
        }

        let (ballot, round) = (*ballot, Round::fast(*ballot));
        let vote = |value: &Bytes| Some(Proposal { round, value: value.clone() });
        let heard = votes.iter().map(|(node, value)| (*node, vote(value))).collect();
        if let Some(value) = self.picked(self.config.choice(&heard), None) {
            self.accept(now, ballot, value, out);
        }
        true
    }

    /// Lets a vote that comes late change what is proposed, as a known bug does.
    fn overrule(&mut self, vote: &Proposal, out: &mut Effects<Self>) {
        if !self.config.has_bug(Mutant::LateVoteCounts) {
            return;
        }
        if let Phase::Accepting { proposal, .. } = &mut self.phase
            && Round::fast(proposal.round.ballot) == vote.round
        {
            proposal.value = vote.value.clone();
            self.send(out);
        }
    }

    /// Tells all learners what is chosen.
    fn announce(&mut self, proposal: &Proposal, out: &mut Effects<Self>) {
        for learner in self.config.learners().voters() {
            let message = Message::Chosen { proposal: proposal.clone() };
            let to: Address = self.config.learner(learner);
            out.push(Effect::Send { to, message, after: None });
        }
        self.on_chosen(out);
    }

    /// Gives a ballot up that somebody refuses: a later one is under way.
    pub(super) fn on_nack(
        &mut self,
        now: Time,
        from: NodeId,
        (ballot, promised): (Ballot, Ballot),
        out: &mut Effects<Self>,
    ) {
        if self.phase().1 != Some(ballot) || !self.config.acceptors().is_voter(from) {
            return;
        }
        if self.config.has_bug(Mutant::NackCountsAsPromise) {
            return self.on_promise(now, from, (ballot, None), out);
        }

        self.round = self.round.max(promised.round);
        let until = now + self.pause.draw();
        let reads = self.phase.take_reads();
        self.reads.extend(reads);
        self.phase = Phase::Resting { until };
    }

    /// Asks again whoever has not answered, gives a fast round up that takes too long, or ends a
    /// rest.
    pub(super) fn coordinate(&mut self, now: Time, out: &mut Effects<Self>) {
        let retry = self.config.retry();
        match &mut self.phase {
            Phase::Idle | Phase::Done => {}
            Phase::Resting { until } => {
                if now >= *until {
                    self.phase = Phase::Idle;
                }
            }
            Phase::Preparing(Preparing { resend_at, .. }) | Phase::Accepting { resend_at, .. } => {
                if now >= *resend_at {
                    *resend_at = now + retry;
                    self.send(out);
                }
            }
            Phase::Open(Open { until: Some(until), .. }) => {
                if now < *until {
                    return;
                }
                *until = now + retry;
                if !self.recover_from_collision(now, out) {
                    self.send(out);
                }
            }
            Phase::Open(Open { until: None, .. }) => {}
        }
    }
}
