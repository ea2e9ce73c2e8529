//! What must hold of a group whatever happens to it, checked after every step of every test.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    ACCEPTOR, CHOSEN, LEARNER, PROPOSER, Role,
    acceptor::Acceptor,
    ballot::{Ballot, Proposal, Round},
    message::Message,
    mirror::Mirror,
    quorum::Quorums,
    record::Record,
    role::Control,
};
use crate::{
    log::Index,
    members::{Members, NodeId},
    process::{Effect, Input, Seat, Ticket, Token},
};

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A single value is chosen (2.1).
    #[error("agreement: {first:?} and {second:?} have different values, and both are chosen")]
    Agreement {
        /// The ballot that was chosen first.
        first: Ballot,
        /// Another one.
        second: Ballot,
    },
    /// Only a value that has been proposed may be chosen (2.1).
    #[error("validity: nobody was asked for the value of {ballot:?}")]
    Validity {
        /// The ballot.
        ballot: Ballot,
    },
    /// Nobody learns that a value is chosen unless it is (2.1).
    #[error("{node} holds a value for chosen that is not")]
    NotChosen {
        /// The node.
        node: NodeId,
    },
    /// A proposer uses a round once, restarts included (2.5).
    #[error("{node} begins round {} and has used it before", round.0)]
    RoundUsedTwice {
        /// The proposer.
        node: NodeId,
        /// The round.
        round: Round,
    },
    /// A ballot has one value (2.2).
    #[error("ballot {ballot:?} has two values")]
    TwoValues {
        /// The ballot.
        ballot: Ballot,
    },
    /// No proposal is issued while another value is, or may become, chosen in an earlier ballot
    /// (P2b).
    #[error("safe at: {ballot:?} is proposed, and another value may be chosen at {earlier:?}")]
    NotSafe {
        /// The proposal.
        ballot: Ballot,
        /// The earlier one.
        earlier: Ballot,
    },
    /// What an acceptor promised and accepted only grows, and it keeps what it promised.
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
    /// The rounds that proposers have sent messages in.
    spoken: BTreeMap<NodeId, Round>,
    /// What was proposed in each ballot.
    issued: BTreeMap<Ballot, Bytes>,
    /// Who has accepted that, durably.
    votes: BTreeMap<Ballot, BTreeSet<NodeId>>,
    chosen: Option<Proposal>,
    /// Reads, and whether a value was chosen when they were asked.
    reads: BTreeMap<(NodeId, Ticket), bool>,
    /// What acceptors that run have promised, and accepted.
    seen: BTreeMap<NodeId, (Option<Ballot>, Option<Ballot>)>,
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
        let mirror = self.mirrors.entry((node, role.seat())).or_default();
        mirror.crash();
        let found = match role {
            Role::Proposer(proposer) => proposer.round() == mirror.round,
            Role::Acceptor(acceptor) => {
                self.seen.remove(&node);
                acceptor.promised() == mirror.promised
                    && acceptor.accepted() == mirror.accepted.as_ref()
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
    /// [`Violation::Agreement`] when a second value is chosen thereby.
    pub fn durable(&mut self, node: NodeId, seat: Seat, upto: Token) -> Result<(), Violation> {
        let accepted = self.mirrors.entry((node, seat)).or_default().write(upto);
        for proposal in accepted {
            let votes = self.votes.entry(proposal.ballot).or_default();
            votes.insert(node);
            let needed = self.quorums.map_or(usize::MAX, Quorums::accept);
            if votes.iter().filter(|node| self.acceptors.is_voter(**node)).count() < needed {
                continue;
            }
            match &self.chosen {
                Some(chosen) if chosen.value != proposal.value => {
                    let (first, second) = (chosen.ballot, proposal.ballot);
                    return Err(Violation::Agreement { first, second });
                }
                Some(_) => {}
                None => self.chosen = Some(proposal),
            }
        }
        Ok(())
    }

    /// Looks at a message at the moment it leaves.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn sent(&mut self, node: NodeId, message: &Message) -> Result<(), Violation> {
        match message {
            Message::Prepare { ballot } => self.prepares(node, *ballot),
            Message::Promise { ballot, accepted } => {
                self.promises(node, *ballot, accepted.as_ref())
            }
            Message::Accept { proposal } => self.proposes(node, proposal),
            Message::Accepted { proposal } => {
                let held = self.mirror(node, ACCEPTOR).and_then(|it| it.accepted.as_ref());
                let holds = held.is_some_and(|it| it == proposal || it.ballot > proposal.ballot);
                if holds {
                    return Ok(());
                }
                Err(Violation::Promise { node, what: "has accepted what its disk does not hold" })
            }
            Message::Chosen { proposal } => {
                let chosen = self.chosen.as_ref().map(|chosen| &chosen.value);
                let is_chosen = chosen == Some(&proposal.value);
                if is_chosen { Ok(()) } else { Err(Violation::NotChosen { node }) }
            }
            // They promise nothing.
            Message::Nack { .. } | Message::Ask => Ok(()),
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
        let accepted = acceptor.accepted().map(|accepted| accepted.ballot);
        let now = (acceptor.promised(), accepted);
        let broken = |what| Err(Violation::Order { node, what });
        if now.1 > now.0 {
            return broken("what it has accepted it does not count as promised");
        }
        let before = self.seen.insert(node, now).unwrap_or_default();
        if now.0 < before.0 {
            return broken("it has promised more before");
        }
        if now.1 < before.1 {
            return broken("it has accepted more before");
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
        accepted: Option<&Proposal>,
    ) -> Result<(), Violation> {
        let broken = |what| Err(Violation::Promise { node, what });
        let Some(mirror) = self.mirror(node, ACCEPTOR) else {
            return broken("promises and has no disk");
        };
        if mirror.promised < Some(ballot) {
            return broken("promises what its disk does not hold");
        }
        let held = mirror.accepted.as_ref();
        // What it has accepted in that ballot or later it says by other messages.
        let is_earlier = held.is_none_or(|held| held.ballot < ballot);
        if is_earlier && held != accepted {
            return broken("does not say what it has accepted");
        }
        Ok(())
    }

    fn proposes(&mut self, node: NodeId, proposal: &Proposal) -> Result<(), Violation> {
        let Proposal { ballot, value } = proposal;
        if ballot.node != node {
            return Err(Violation::Promise { node, what: "uses the ballot of another" });
        }
        if !self.asked.contains(value) {
            return Err(Violation::Validity { ballot: *ballot });
        }
        match self.issued.insert(*ballot, value.clone()) {
            Some(before) if before != *value => Err(Violation::TwoValues { ballot: *ballot }),
            Some(_) => Ok(()),
            None => self.is_safe(*ballot, value),
        }
    }

    /// No other value is chosen in an earlier ballot, nor can be: too few have accepted it, or may.
    fn is_safe(&self, ballot: Ballot, value: &Bytes) -> Result<(), Violation> {
        let needed = self.quorums.map_or(usize::MAX, Quorums::accept);
        for (earlier, other) in self.issued.range(..ballot) {
            if other == value {
                continue;
            }
            let votes = self.votes.get(earlier);
            let may = |node: &NodeId| {
                let has = votes.is_some_and(|votes| votes.contains(node));
                has || self.mirror(*node, ACCEPTOR).is_none_or(|it| it.may_accept(*earlier))
            };
            if self.acceptors.voters().filter(may).count() >= needed {
                return Err(Violation::NotSafe { ballot, earlier: *earlier });
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
