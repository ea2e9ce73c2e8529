//! What the roles of a node are built from, and the bounds they keep.

use std::{collections::BTreeSet, time::Duration};

use super::{
    ACCEPTOR, LEARNER, PROPOSER, mutant::Mutant, pause::Pause, quorum::Quorums, rules::ConfigError,
};
use crate::{
    members::{Members, NodeId},
    mutants::Bugs,
    process::{Address, GroupId, Seat},
};

/// The configuration of one node's roles, the same for all three. One that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    id: NodeId,
    group: GroupId,
    acceptors: Members,
    learners: Members,
    quorums: Quorums,
    retry: Duration,
    pause_max: Duration,
    waiting_max: usize,
    seed: u64,
    bugs: Bugs<Mutant>,
}

impl Config {
    /// Starts the configuration of the roles that node `id` has in `group`.
    ///
    /// `acceptors` never change, and are the same on all nodes: whatever is chosen rests on what
    /// they keep. Who has lost its disk is not the acceptor it was, and must not come back as it.
    pub fn builder(id: NodeId, group: GroupId, acceptors: Members) -> Builder {
        let quorums = Quorums::majorities(&acceptors);
        Builder {
            config: Self {
                id,
                group,
                learners: acceptors.clone(),
                acceptors,
                quorums,
                // Some round trips, and a sync or two, on any network that is not broken.
                retry: Duration::from_millis(200),
                // Whoever waits longer than that has given up.
                pause_max: Duration::from_secs(5),
                waiting_max: 16_384,
                seed: id.number() ^ group.0,
                bugs: Bugs::default(),
            },
        }
    }

    /// Returns the node that the roles run on.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Returns the group.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Returns who accepts.
    pub fn acceptors(&self) -> &Members {
        &self.acceptors
    }

    /// Returns who learns.
    pub fn learners(&self) -> &Members {
        &self.learners
    }

    /// Returns how many acceptors make each phase.
    pub fn quorums(&self) -> Quorums {
        self.quorums
    }

    /// Returns after how long without an answer something is sent again, and the shortest pause
    /// before another ballot.
    pub fn retry(&self) -> Duration {
        self.retry
    }

    /// Returns the longest pause before another ballot, or before a learner asks again.
    pub fn pause_max(&self) -> Duration {
        self.pause_max
    }

    /// Returns how many callers may wait for a proposer.
    pub fn waiting_max(&self) -> usize {
        self.waiting_max
    }

    /// Returns what pauses are drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the pauses of a role, none drawn so far.
    pub(super) fn pause(&self, seat: Seat) -> Pause {
        let pause = Pause::new(self.seed, seat, (self.retry, self.pause_max));
        pause.fixed(self.has_bug(Mutant::PauseFixed))
    }

    /// Tells whether `node` has a role.
    pub fn is_member(&self, node: NodeId) -> bool {
        self.acceptors.is_voter(node) || self.learners.is_voter(node)
    }

    /// Tells whether this known bug was put back.
    pub(super) fn has_bug(&self, mutant: Mutant) -> bool {
        self.bugs.has(mutant)
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
        let mut others = self.acceptors.voters().filter(|other| !counted.contains(other));
        let doubled = self.has_bug(doubles) && counted.contains(&from);
        if doubled { others.next().unwrap_or(from) } else { from }
    }
}

/// Builds a [`Config`].
#[derive(Clone, Debug)]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// Sets who learns; all of them propose, too, as acceptors do. Default the acceptors.
    #[must_use]
    pub fn learners(mut self, learners: Members) -> Self {
        self.config.learners = learners;
        self
    }

    /// Sets how many acceptors make each phase, the same on all nodes. Default majorities.
    #[must_use]
    pub fn quorums(mut self, quorums: Quorums) -> Self {
        self.config.quorums = quorums;
        self
    }

    /// Sets after how long without an answer something is sent again, and the shortest pause before
    /// another ballot. Default 200 ms.
    #[must_use]
    pub fn retry(mut self, retry: Duration) -> Self {
        self.config.retry = retry;
        self
    }

    /// Sets the longest pause before another ballot, or before a learner asks again. Default 5 s.
    #[must_use]
    pub fn pause_max(mut self, pause_max: Duration) -> Self {
        self.config.pause_max = pause_max;
        self
    }

    /// Sets how many callers may wait for a proposer. Default 16,384.
    #[must_use]
    pub fn waiting_max(mut self, waiting_max: usize) -> Self {
        self.config.waiting_max = waiting_max;
        self
    }

    /// Sets what pauses are drawn from, another number on each node. Default from node and group.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Puts a known bug back, for tests that must find it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn mutant(mut self, mutant: Mutant) -> Self {
        self.config.bugs = Bugs::only(mutant);
        self
    }

    /// Finishes the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with the rule that the values break.
    pub fn build(self) -> Result<Config, ConfigError> {
        let config = self.config;
        if !config.is_member(config.id) {
            return Err(ConfigError::NotAMember { id: config.id });
        }
        let (prepare, accept) = (config.quorums.prepare(), config.quorums.accept());
        if Quorums::new(&config.acceptors, prepare, accept).is_err() {
            let acceptors = config.acceptors.voters().len();
            return Err(ConfigError::QuorumsOfOthers { prepare, accept, acceptors });
        }
        let (retry, pause_max) = (config.retry, config.pause_max);
        if retry.is_zero() || retry > pause_max {
            return Err(ConfigError::Retry { retry, pause_max });
        }
        if config.waiting_max == 0 {
            return Err(ConfigError::ZeroBound);
        }
        Ok(config)
    }
}
