//! What the roles of a node are built from, and the bounds they keep.

use std::{collections::BTreeSet, time::Duration};

use super::{
    ACCEPTOR, LEARNER, PROPOSER, mutant::Mutant, quorum::Quorums, round::Kind, rules::ConfigError,
};
use crate::{
    members::{Members, NodeId},
    mutants::Bugs,
    paxos::{self, Ballot, Pause},
    process::{Address, GroupId, Seat},
};

/// The round of the first ballot. No coordinator begins another ballot of it.
pub(super) const FIRST: paxos::Round = paxos::Round(1);

/// The configuration of one node's roles, the same for all three. One that exists is valid.
///
/// It is that of classic rounds, with the quorums of fast ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    classic: paxos::Config,
    quorums: Quorums,
    bugs: Bugs<Mutant>,
}

impl Config {
    /// Starts the configuration of the roles that node `id` has in `group`.
    ///
    /// `acceptors` never change, and are the same on all nodes: whatever is chosen rests on what
    /// they keep. Who has lost its disk is not the acceptor it was, and must not come back as it.
    pub fn builder(id: NodeId, group: GroupId, acceptors: Members) -> Builder {
        Builder {
            quorums: Quorums::usual(&acceptors),
            acceptors: acceptors.clone(),
            classic: paxos::Config::builder(id, group, acceptors),
            bugs: Bugs::default(),
        }
    }

    /// Returns the node that the roles run on.
    pub fn id(&self) -> NodeId {
        self.classic.id()
    }

    /// Returns the group.
    pub fn group(&self) -> GroupId {
        self.classic.group()
    }

    /// Returns who votes.
    pub fn acceptors(&self) -> &Members {
        self.classic.acceptors()
    }

    /// Returns who learns.
    pub fn learners(&self) -> &Members {
        self.classic.learners()
    }

    /// Returns how many acceptors make each phase.
    pub fn quorums(&self) -> Quorums {
        self.quorums
    }

    /// Returns after how long without an answer something is sent again, or a fast round given up,
    /// and the shortest pause before another ballot.
    pub fn retry(&self) -> Duration {
        self.classic.retry()
    }

    /// Returns the longest pause before another ballot, or before a learner asks again.
    pub fn pause_max(&self) -> Duration {
        self.classic.pause_max()
    }

    /// Returns how many callers may wait for a proposer.
    pub fn waiting_max(&self) -> usize {
        self.classic.waiting_max()
    }

    /// Returns what pauses are drawn from.
    pub fn seed(&self) -> u64 {
        self.classic.seed()
    }

    /// Tells whether `node` has a role.
    pub fn is_member(&self, node: NodeId) -> bool {
        self.classic.is_member(node)
    }

    /// Returns the ballot whose fast round is open from the start, which everybody knows: that of
    /// the lowest acceptor's node, before all others.
    pub fn first(&self) -> Ballot {
        let node = self.acceptors().voters().min().expect("there is an acceptor");
        Ballot { round: FIRST, node }
    }

    /// Tells whether this known bug was put back.
    pub(super) fn has_bug(&self, mutant: Mutant) -> bool {
        self.bugs.has(mutant)
    }

    /// Returns the pauses of a role, none drawn so far.
    pub(super) fn pause(&self, seat: Seat) -> Pause {
        let pause = Pause::new(self.seed(), seat, (self.retry(), self.pause_max()));
        pause.fixed(self.has_bug(Mutant::PauseFixed))
    }

    /// Returns the address of a node's proposer.
    pub(super) fn proposer(&self, node: NodeId) -> Address {
        self.at(node, PROPOSER)
    }

    /// Returns the address of a node's acceptor.
    pub(super) fn acceptor(&self, node: NodeId) -> Address {
        self.at(node, ACCEPTOR)
    }

    /// Returns the address of a node's learner.
    pub(super) fn learner(&self, node: NodeId) -> Address {
        self.at(node, LEARNER)
    }

    fn at(&self, node: NodeId, seat: Seat) -> Address {
        Address { node, seat }
    }

    /// Returns who an answer is counted for: with this bug one that came twice counts for another.
    pub(super) fn counted_for(
        &self,
        from: NodeId,
        counted: &BTreeSet<NodeId>,
        doubles: Mutant,
    ) -> NodeId {
        let mut others = self.acceptors().voters().filter(|other| !counted.contains(other));
        let doubled = self.has_bug(doubles) && counted.contains(&from);
        if doubled { others.next().unwrap_or(from) } else { from }
    }
}

/// Builds a [`Config`].
#[derive(Clone, Debug)]
pub struct Builder {
    acceptors: Members,
    quorums: Quorums,
    classic: paxos::Builder,
    bugs: Bugs<Mutant>,
}

impl Builder {
    /// Sets who learns; all of them propose, too, as acceptors do. Default the acceptors.
    #[must_use]
    pub fn learners(mut self, learners: Members) -> Self {
        self.classic = self.classic.learners(learners);
        self
    }

    /// Sets how many acceptors make each phase, the same on all nodes. Default majorities, and the
    /// fewest for fast rounds that those allow.
    #[must_use]
    pub fn quorums(mut self, quorums: Quorums) -> Self {
        self.quorums = quorums;
        self
    }

    /// Sets after how long without an answer something is sent again, or a fast round given up, and
    /// the shortest pause before another ballot. Default 200 ms.
    #[must_use]
    pub fn retry(mut self, retry: Duration) -> Self {
        self.classic = self.classic.retry(retry);
        self
    }

    /// Sets the longest pause before another ballot, or before a learner asks again. Default 5 s.
    #[must_use]
    pub fn pause_max(mut self, pause_max: Duration) -> Self {
        self.classic = self.classic.pause_max(pause_max);
        self
    }

    /// Sets how many callers may wait for a proposer. Default 16,384.
    #[must_use]
    pub fn waiting_max(mut self, waiting_max: usize) -> Self {
        self.classic = self.classic.waiting_max(waiting_max);
        self
    }

    /// Sets what pauses are drawn from, another number on each node. Default from node and group.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.classic = self.classic.seed(seed);
        self
    }

    /// Puts a known bug back, for tests that must find it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn mutant(mut self, mutant: Mutant) -> Self {
        self.bugs = Bugs::only(mutant);
        self
    }

    /// Finishes the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with the rule that the values break.
    pub fn build(self) -> Result<Config, ConfigError> {
        let Self { acceptors, quorums, classic, bugs } = self;
        let classic = classic.quorums(quorums.classic()).build()?;
        let quorums = Quorums::new(&acceptors, quorums.classic(), quorums.accept(Kind::Fast))?;
        Ok(Config { classic, quorums, bugs })
    }
}
