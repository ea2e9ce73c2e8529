//! What must hold of a group whatever happens to it, checked after every step of every test.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    ACCEPTOR, CHOSEN, Control, LEARNER, PROPOSER, Role,
    acceptor::Acceptor,
    message::Message,
    mirror::Mirror,
    quorum::Quorums,
    record::Record,
    round::{Proposal, Round},
};
use crate::{
    log::Index,
    members::{Members, NodeId},
    paxos::{self, Ballot},
    process::{Effect, Input, Seat, Ticket, Token},
};

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A single value is chosen (2.1).
    #[error("agreement: {first:?} and {second:?} have different values, and both are chosen")]
    Agreement {
        /// The round that was chosen in first.
        first: Round,
        /// Another one.
        second: Round,
    },
    /// Only a value that has been proposed may be voted for (2.1).
    #[error("validity: nobody was asked for a value of {round:?}")]
    Validity {
        /// The round.
        round: Round,
    },
    /// Nobody learns that a value is chosen unless it is (2.1).
    #[error("{node} holds a value for chosen that is not")]
    NotChosen {
        /// The node.
        node: NodeId,
    },
    /// A coordinator begins a ballot once, restarts included.
    #[error("{node} begins ballot {} and has used it before", round.0)]
    RoundUsedTwice {
        /// The coordinator.
        node: NodeId,
        /// The ballot's number.
        round: paxos::Round,
    },
    /// A classic round has one value (2.2).
    #[error("round {round:?} has two values")]
    TwoValues {
        /// The round.
        round: Round,
    },
    /// An acceptor votes once in a round (2.2).
    #[error("{node} votes for two values in round {round:?}")]
    TwoVotes {
        /// The acceptor.
        node: NodeId,
        /// The round.
        round: Round,
    },
    /// No value is proposed, nor any let to be, while another one is, or may become, chosen in an
    /// earlier round (2.2.2, 3.1).
    #[error("safe at: {round:?} begins, and another value may be chosen at {earlier:?}")]
    NotSafe {
        /// The round.
        round: Round,
        /// The earlier one.
        earlier: Round,
    },
    /// What an acceptor promised and voted for only grows, and it keeps what it promised.
    #[error("{node}: {what}")]
    Order {
        /// The acceptor.
        node: NodeId,
        /// What is out of order.
        what: &'static str,
    },
    /// A message promises what its sender's disk does not hold yet, or says what is not so.
    #[error("persist before promise: {node} {what}")]
    Promise {
        /// The sender.
        node: NodeId,
        /// What it says.
        what: &'static str,
    },
    /// A restart finds what was durable.
    #[error("the restart of {node} does not find what was written")]
    Restart {
        /// The node.
        node: NodeId,
    },
    /// A read sees what had been chosen when it was asked.
    #[error("{node} says that nothing was chosen, and something was before it was asked")]
    StaleRead {
        /// The proposer.
        node: NodeId,
    },
}

/// What has been seen of a group so far; it judges each new sight against it.
///
/// It is told of everything that happens to a role: what it is asked, each step with its effects,
/// each sync of its disk, each message at the moment it leaves, and each recovery.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    acceptors: Members,
    quorums: Option<Quorums>,
    mirrors: BTreeMap<(NodeId, Seat), Mirror>,
    /// What callers asked for.
    asked: BTreeSet<Bytes>,
    /// The ballots that coordinators have sent messages of.
    spoken: BTreeMap<NodeId, paxos::Round>,
    /// What was proposed in each classic round, and nothing in the fast rounds that were opened.
    issued: BTreeMap<Round, Option<Bytes>>,
    /// Who has voted for what, durably.
    votes: BTreeMap<Round, BTreeMap<NodeId, Bytes>>,
    chosen: Option<Proposal>,
    /// Reads, and whether a value was chosen when they were asked.
    reads: BTreeMap<(NodeId, Ticket), bool>,
    /// What acceptors that run have promised, and the rounds that they have voted in.
    seen: BTreeMap<NodeId, (Ballot, Option<Round>)>,
}

impl Observer {
    /// Looks at a role that was rebuilt from its disk, at the start and after each crash.
    ///
    /// # Errors
    /// [`Violation::Restart`].
    pub fn recovered(&mut self, role: &Role) -> Result<(), Violation> {
        let node = role.config().id();
        self.acceptors = role.config().acceptors().clone();
        self.quorums = Some(role.config().quorums());
        let first = role.config().first();
        self.issued.entry(Round::fast(first)).or_insert(None);
        let mirror = self.mirrors.entry((node, role.seat())).or_default();
        mirror.crash();
        let found = match role {
            Role::Proposer(proposer) => {
                let is_new = mirror.round == paxos::Round::default();
                is_new || proposer.round() == mirror.round
            }
            Role::Acceptor(acceptor) => {
                self.seen.remove(&node);
                let promised = mirror.promised.unwrap_or(first);
                acceptor.promised() == promised && acceptor.voted() == mirror.voted.as_ref()
            }
            Role::Learner(learner) => learner.chosen() == mirror.chosen.as_ref(),
        };
        if found { Ok(()) } else { Err(Violation::Restart { node }) }
    }

    /// Notes what a role is about to be asked.
    pub fn asked(&mut self, node: NodeId, input: &Input<Role>) {
        match input {
            Input::Submit(submissions) => {
                self.asked.extend(submissions.iter().map(|it| it.command.clone()));
            }
            Input::Control(Control::Read(reads)) => {
                let is_chosen = self.chosen.is_some();
                self.reads.extend(reads.iter().map(|ticket| ((node, *ticket), is_chosen)));
            }
            Input::Tick | Input::Receive { .. } | Input::Persisted { .. } | Input::Snapshot(_) => {}
        }
    }

    /// Looks at a role after a step that asked for `effects`.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn observe(&mut self, role: &Role, effects: &[Effect<Role>]) -> Result<(), Violation> {
        let node = role.config().id();
        for effect in effects {
            match effect {
                Effect::Persist { token, record } => self.written(role, *token, record)?,
                Effect::Apply(decided) => {
                    let values = decided.iter().map(|it| it.command.as_ref());
                    let chosen = self.chosen.as_ref().map(|chosen| &chosen.value);
                    if chosen.is_none() || values.into_iter().any(|value| value != chosen) {
                        return Err(Violation::NotChosen { node });
                    }
                }
                Effect::ReadReady { ticket, at } => self.answered(node, *ticket, *at)?,
                Effect::Send { .. }
                | Effect::Answer { .. }
                | Effect::Done { .. }
                | Effect::Route { .. }
                | Effect::Compact { .. }
                | Effect::Snapshot(_) => {}
            }
        }
        match role {
            Role::Acceptor(acceptor) => self.ordered(acceptor),
            Role::Proposer(_) | Role::Learner(_) => Ok(()),
        }
    }

    /// Notes that a role's records up to `upto` are durable.
    ///
    /// # Errors
    /// [`Violation::Agreement`] when a second value is chosen thereby, and [`Violation::TwoVotes`].
    pub fn durable(&mut self, node: NodeId, seat: Seat, upto: Token) -> Result<(), Violation> {
        let voted = self.mirrors.entry((node, seat)).or_default().write(upto);
        voted.into_iter().try_for_each(|vote| self.votes_for(node, vote))
    }

    fn votes_for(&mut self, node: NodeId, vote: Proposal) -> Result<(), Violation> {
        let round = vote.round;
        let votes = self.votes.entry(round).or_default();
        if votes.insert(node, vote.value.clone()).is_some_and(|before| before != vote.value) {
            return Err(Violation::TwoVotes { node, round });
        }
        let alike = votes.iter().filter(|(_, value)| **value == vote.value);
        let alike = alike.filter(|(node, _)| self.acceptors.is_voter(**node)).count();
        if alike < self.needed(round) {
            return Ok(());
        }
        match &self.chosen {
            Some(chosen) if chosen.value != vote.value => {
                Err(Violation::Agreement { first: chosen.round, second: round })
            }
            Some(_) => Ok(()),
            None => {
                self.chosen = Some(vote);
                Ok(())
            }
        }
    }

    /// Returns how many votes choose a value of a round.
    fn needed(&self, round: Round) -> usize {
        self.quorums.map_or(usize::MAX, |quorums| quorums.accept(round.kind))
    }

    /// Looks at a message at the moment it leaves.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn sent(&mut self, node: NodeId, message: &Message) -> Result<(), Violation> {
        match message {
            Message::Prepare { ballot } => self.prepares(node, *ballot),
            Message::Promise { ballot, voted } => self.promises(node, *ballot, voted.as_ref()),
            Message::Any { ballot } => self.begins(node, Round::fast(*ballot), None),
            Message::Accept { proposal } => {
                self.begins(node, proposal.round, Some(&proposal.value))
            }
            Message::Accepted { proposal } => self.votes_said(node, proposal),
            Message::Chosen { proposal } => {
                let chosen = self.chosen.as_ref().map(|chosen| &chosen.value);
                let is_chosen = chosen == Some(&proposal.value);
                if is_chosen { Ok(()) } else { Err(Violation::NotChosen { node }) }
            }
            // They promise nothing.
            Message::Propose { .. } | Message::Nack { .. } | Message::Ask => Ok(()),
        }
    }

    /// Tells what each acceptor's disk holds, for people.
    pub fn standings(&self) -> Vec<String> {
        let acceptors = self.acceptors.voters();
        let told = acceptors.map(|node| match self.mirror(node, ACCEPTOR) {
            Some(mirror) => format!("{node} {}", mirror.told()),
            None => format!("{node} was never there"),
        });
        told.collect()
    }

    fn mirror(&self, node: NodeId, seat: Seat) -> Option<&Mirror> {
        self.mirrors.get(&(node, seat))
    }

    fn written(&mut self, role: &Role, token: Token, record: &Record) -> Result<(), Violation> {
        let node = role.config().id();
        if let Record::Round(round) = record {
            let spoken = self.spoken.get(&node).copied().unwrap_or_default();
            let known = self.mirror(node, PROPOSER).map_or(spoken, |it| it.round.max(spoken));
            if *round <= known {
                return Err(Violation::RoundUsedTwice { node, round: *round });
            }
        }
        self.mirrors.entry((node, role.seat())).or_default().push(token, record.clone());
        Ok(())
    }

    fn answered(&mut self, node: NodeId, ticket: Ticket, at: Index) -> Result<(), Violation> {
        let was_chosen = self.reads.remove(&(node, ticket)).unwrap_or_default();
        if at == CHOSEN && self.chosen.is_none() {
            return Err(Violation::NotChosen { node });
        }
        if at < CHOSEN && was_chosen {
            return Err(Violation::StaleRead { node });
        }
        Ok(())
    }

    fn ordered(&mut self, acceptor: &Acceptor) -> Result<(), Violation> {
        let node = acceptor.config().id();
        let voted = acceptor.voted().map(|voted| voted.round);
        let now = (acceptor.promised(), voted);
        let broken = |what| Err(Violation::Order { node, what });
        if voted.is_some_and(|round| round.ballot > now.0) {
            return broken("what it has voted in it does not count as promised");
        }
        let before = self.seen.insert(node, now).unwrap_or(now);
        if now.0 < before.0 {
            return broken("it has promised more before");
        }
        if now.1 < before.1 {
            return broken("it has voted in a later round before");
        }
        Ok(())
    }

    fn prepares(&mut self, node: NodeId, ballot: Ballot) -> Result<(), Violation> {
        let durable = self.mirror(node, PROPOSER).map(|mirror| mirror.round);
        if durable < Some(ballot.round) {
            return Err(Violation::Promise { node, what: "uses a round that its disk lacks" });
        }
        let spoken = self.spoken.entry(node).or_default();
        *spoken = ballot.round.max(*spoken);
        Ok(())
    }

    fn promises(
        &self,
        node: NodeId,
        ballot: Ballot,
        voted: Option<&Proposal>,
    ) -> Result<(), Violation> {
        let broken = |what| Err(Violation::Promise { node, what });
        let Some(mirror) = self.mirror(node, ACCEPTOR) else {
            return broken("promises and has no disk");
        };
        if mirror.promised < Some(ballot) {
            return broken("promises what its disk does not hold");
        }
        let held = mirror.voted.as_ref();
        // What it has voted for in that ballot or later it says by other messages.
        let is_earlier = held.is_none_or(|held| held.round.ballot < ballot);
        if is_earlier && held != voted {
            return broken("does not say what it has voted for");
        }
        Ok(())
    }

    fn votes_said(&self, node: NodeId, vote: &Proposal) -> Result<(), Violation> {
        if !self.asked.contains(&vote.value) {
            return Err(Violation::Validity { round: vote.round });
        }
        let held = self.mirror(node, ACCEPTOR).and_then(|it| it.voted.as_ref());
        if held.is_some_and(|it| it == vote || it.round > vote.round) {
            return Ok(());
        }
        Err(Violation::Promise { node, what: "has voted for what its disk does not hold" })
    }

    /// Looks at the second phase of a round as it begins: for a value, or for any.
    fn begins(
        &mut self,
        node: NodeId,
        round: Round,
        value: Option<&Bytes>,
    ) -> Result<(), Violation> {
        if round.ballot.node != node {
            return Err(Violation::Promise { node, what: "uses the ballot of another" });
        }
        let durable = self.mirror(node, PROPOSER).map(|mirror| mirror.round);
        if value.is_some() && durable < Some(round.ballot.round) {
            return Err(Violation::Promise { node, what: "uses a round that its disk lacks" });
        }
        if value.is_some_and(|value| !self.asked.contains(value)) {
            return Err(Violation::Validity { round });
        }
        match self.issued.insert(round, value.cloned()) {
            Some(before) if before.as_ref() != value => Err(Violation::TwoValues { round }),
            Some(_) => Ok(()),
            None => self.is_safe(round, value),
        }
    }

    /// No other value is chosen in an earlier round, nor can be: too few have voted for it, or may.
    /// In a fast round all that may vote may do so for any value.
    fn is_safe(&self, round: Round, value: Option<&Bytes>) -> Result<(), Violation> {
        for (earlier, issued) in self.issued.range(..round) {
            if issued.is_some() && issued.as_ref() == value {
                continue;
            }
            let votes = self.votes.get(earlier);
            let mut counts: BTreeMap<&Bytes, usize> = BTreeMap::new();
            for (_, other) in votes.into_iter().flatten().filter(|(_, it)| Some(*it) != value) {
                *counts.entry(other).or_default() += 1;
            }
            let has_voted = |node: &NodeId| votes.is_some_and(|votes| votes.contains_key(node));
            let may = |node: &NodeId| {
                let mirror = self.mirror(*node, ACCEPTOR);
                !has_voted(node) && mirror.is_none_or(|it| it.may_vote(*earlier))
            };
            let left = self.acceptors.voters().filter(may).count();
            let most = counts.into_values().max().unwrap_or_default();
            if most + left >= self.needed(*earlier) {
                return Err(Violation::NotSafe { round, earlier: *earlier });
            }
        }
        Ok(())
    }

    /// Tells which learners' disks hold what was chosen.
    pub fn learned(&self) -> impl Iterator<Item = NodeId> + '_ {
        let learners = self.mirrors.iter().filter(|((_, seat), _)| *seat == LEARNER);
        learners.filter(|(_, mirror)| mirror.chosen.is_some()).map(|((node, _), _)| *node)
    }

    /// Returns what is chosen, as the disks of acceptors tell.
    pub fn chosen(&self) -> Option<&Proposal> {
        self.chosen.as_ref()
    }
}
