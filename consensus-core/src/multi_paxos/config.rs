//! What the roles of a node are built from, and the bounds they keep.

use std::time::Duration;

use super::{ACCEPTOR, LEARNER, PROPOSER, mutant::Mutant};
use crate::{
    members::NodeId,
    membership::Membership,
    mutants::Bugs,
    paxos::{self, Quorums},
    process::{Address, GroupId, Seat},
    raft::{self, PRIORITY_DEFAULT, check_lease, check_timing},
    snapshot::Due,
};

/// Why values make no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A rule that any leader of a log keeps.
    #[error(transparent)]
    Leader(#[from] raft::ConfigError),
    /// A rule of quorums.
    #[error(transparent)]
    Quorum(#[from] paxos::ConfigError),
}

/// The configuration of one node's roles, the same for all three. One that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    id: NodeId,
    group: GroupId,
    membership: Membership,
    prepare: Option<usize>,
    accept: Option<usize>,
    catch_up_slack: u64,
    election_timeout: Duration,
    heartbeat: Duration,
    lease: bool,
    clock_drift: u8,
    priority: u8,
    seed: u64,
    reads_from: u64,
    accept_bytes_max: usize,
    accept_window: usize,
    accept_window_bytes: usize,
    proposals_max: usize,
    proposals_bytes_max: usize,
    snapshot_entries: u64,
    snapshot_bytes: usize,
    snapshot_window: u32,
    tail_entries: u64,
    tail_bytes: usize,
    bugs: Bugs<Mutant>,
}

impl Config {
    /// Starts the configuration of the roles that node `id` has in `group`.
    ///
    /// The voters of `membership` accept, and all of its members learn. It is that which the group
    /// begins with, the same on all nodes of then; who joins later begins with nobody.
    pub fn builder(id: NodeId, group: GroupId, membership: impl Into<Membership>) -> Builder {
        let membership = membership.into();
        Builder {
            config: Self {
                id,
                group,
                membership,
                prepare: None,
                accept: None,
                catch_up_slack: 1_000,
                election_timeout: Duration::from_secs(1),
                heartbeat: Duration::from_millis(100),
                lease: false,
                clock_drift: 10,
                priority: PRIORITY_DEFAULT,
                seed: id.number() ^ group.0,
                reads_from: 0,
                accept_bytes_max: 1 << 20,
                accept_window: 64,
                accept_window_bytes: 16 << 20,
                proposals_max: 16_384,
                proposals_bytes_max: 64 << 20,
                snapshot_entries: 100_000,
                snapshot_bytes: 64 << 20,
                snapshot_window: 4,
                tail_entries: 5_000,
                tail_bytes: 16 << 20,
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

    /// Returns who takes part.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Returns who accepts.
    pub fn acceptors(&self) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.membership.voters().voters()
    }

    /// Tells whether `node` accepts.
    pub fn is_acceptor(&self, node: NodeId) -> bool {
        self.membership.is_voter(node)
    }

    /// Goes by another membership from now on.
    pub(super) fn reconfigure(&mut self, membership: Membership) {
        self.membership = membership;
    }

    /// Returns how many acceptors make each phase.
    pub fn quorums(&self) -> Quorums {
        let majorities = Quorums::majorities(self.membership.voters());
        // No membership is chosen in which they do not meet.
        self.quorums_of(&self.membership).unwrap_or(majorities)
    }

    /// Returns how many acceptors would make each phase under `membership`.
    ///
    /// # Errors
    /// As [`Quorums::new`]: the sizes that were set do not fit so many acceptors.
    pub(super) fn quorums_of(
        &self,
        membership: &Membership,
    ) -> Result<Quorums, paxos::ConfigError> {
        let (prepare, accept) = self.quorum_sizes(membership);
        Quorums::new(membership.voters(), prepare, accept)
    }

    /// Returns the sizes of both phases under `membership`, whether or not they fit.
    pub(super) fn quorum_sizes(&self, membership: &Membership) -> (usize, usize) {
        let majority = membership.voters().majority();
        (self.prepare.unwrap_or(majority), self.accept.unwrap_or(majority))
    }

    /// Returns how many slots a learner may lack for it to be let vote.
    pub fn catch_up_slack(&self) -> u64 {
        self.catch_up_slack
    }

    /// Returns the shortest time without a leader's word after which a proposer campaigns.
    pub fn election_timeout(&self) -> Duration {
        self.election_timeout
    }

    /// Returns how often a leader lets others hear of it.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// Tells whether the node takes part in leases.
    pub fn lease(&self) -> bool {
        self.lease
    }

    /// Returns by how many hundredths, at most, the clocks of two members differ in rate.
    pub fn clock_drift(&self) -> u8 {
        self.clock_drift
    }

    /// Returns how much this node is to be preferred as the leader.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// Returns what timeouts are drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the id that the requests for read indices of this life come after.
    pub fn reads_from(&self) -> u64 {
        self.reads_from
    }

    /// Returns the bytes of commands after which an Accept is full.
    pub fn accept_bytes_max(&self) -> usize {
        self.accept_bytes_max
    }

    /// Returns how many Accepts an acceptor may owe an answer to.
    pub fn accept_window(&self) -> usize {
        self.accept_window
    }

    /// Returns the bytes of commands to which an acceptor may owe an answer.
    pub fn accept_window_bytes(&self) -> usize {
        self.accept_window_bytes
    }

    /// Returns how many commands, and how many reads, may be in flight.
    pub fn proposals_max(&self) -> usize {
        self.proposals_max
    }

    /// Returns how many bytes of commands may be in flight before more are refused.
    pub fn proposals_bytes_max(&self) -> usize {
        self.proposals_bytes_max
    }

    /// Returns after how many slots a snapshot is taken.
    pub fn snapshot_entries(&self) -> u64 {
        self.snapshot_entries
    }

    /// Returns after how many bytes of commands a snapshot is taken.
    pub fn snapshot_bytes(&self) -> usize {
        self.snapshot_bytes
    }

    /// Returns after how much a snapshot is taken.
    pub(super) fn snapshot_due(&self) -> Due {
        Due { entries: self.snapshot_entries, bytes: self.snapshot_bytes }
    }

    /// Returns how many parts of a snapshot may be on their way.
    pub fn snapshot_window(&self) -> u32 {
        self.snapshot_window
    }

    /// Returns how many slots that a snapshot covers stay in memory, for slow learners.
    pub fn tail_entries(&self) -> u64 {
        self.tail_entries
    }

    /// Returns after how many bytes of commands there are enough of them.
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// Returns the known bug that was put back, for a leaf.
    pub(super) fn bugs(&self) -> Bugs<Mutant> {
        self.bugs
    }

    /// Returns how many acceptors choose, for a leader.
    pub(super) fn needed_to_choose(&self) -> usize {
        let short_by = usize::from(self.has_bug(Mutant::AcceptQuorumOffByOne));
        (self.quorums().accept() - short_by).max(1)
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
}

/// Builds a [`Config`].
#[derive(Clone, Debug)]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// Sets how many acceptors make each phase, the same on all nodes, whoever takes part.
    /// Default majorities.
    #[must_use]
    pub fn quorums(self, quorums: Quorums) -> Self {
        self.quorum_sizes(Some(quorums.prepare()), Some(quorums.accept()))
    }

    /// Sets how many acceptors make the first phase, the second, or either; where that is not said
    /// a majority does, of whoever votes at the time.
    #[must_use]
    pub fn quorum_sizes(mut self, prepare: Option<usize>, accept: Option<usize>) -> Self {
        (self.config.prepare, self.config.accept) = (prepare, accept);
        self
    }

    /// Sets how many slots a learner may lack for it to be let vote. Default 1,000.
    #[must_use]
    pub fn catch_up_slack(mut self, catch_up_slack: u64) -> Self {
        self.config.catch_up_slack = catch_up_slack;
        self
    }

    /// Sets the shortest time without the leader's word after which another campaigns; each is
    /// drawn from T to 2T. Default 1 s.
    #[must_use]
    pub fn election_timeout(mut self, election_timeout: Duration) -> Self {
        self.config.election_timeout = election_timeout;
        self
    }

    /// Sets how often a leader sends heartbeats. Default 100 ms.
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.config.heartbeat = heartbeat;
        self
    }

    /// Sets whether the acceptor lets a leader rely on its loyalty, and the proposer as the leader
    /// answers reads under such a lease. Default false.
    ///
    /// All members should have the same; who has not is not relied on.
    #[must_use]
    pub fn lease(mut self, lease: bool) -> Self {
        self.config.lease = lease;
        self
    }

    /// Sets by how many hundredths, at most, the clocks of two members differ in rate: from 1 to
    /// 50. Default 10.
    #[must_use]
    pub fn clock_drift(mut self, clock_drift: u8) -> Self {
        self.config.clock_drift = clock_drift;
        self
    }

    /// Sets how much this node is to be preferred as the leader, from 0 to 255, by when it
    /// campaigns. Default 100.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.config.priority = priority;
        self
    }

    /// Sets what timeouts are drawn from, another number on each node. Default from node and group.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Sets the id that this life numbers its requests for read indices from: where no life of the
    /// node has been. Default 0.
    #[must_use]
    pub fn reads_from(mut self, reads_from: u64) -> Self {
        self.config.reads_from = reads_from;
        self
    }

    /// Sets the bytes of commands after which an Accept is full. Default 1 MiB.
    #[must_use]
    pub fn accept_bytes_max(mut self, accept_bytes_max: usize) -> Self {
        self.config.accept_bytes_max = accept_bytes_max;
        self
    }

    /// Sets how many Accepts an acceptor may owe an answer to. Default 64.
    #[must_use]
    pub fn accept_window(mut self, accept_window: usize) -> Self {
        self.config.accept_window = accept_window;
        self
    }

    /// Sets the bytes of commands from which on an acceptor owes an answer before it gets more.
    /// Default 16 MiB.
    #[must_use]
    pub fn accept_window_bytes(mut self, accept_window_bytes: usize) -> Self {
        self.config.accept_window_bytes = accept_window_bytes;
        self
    }

    /// Sets how many commands, and how many reads, may be in flight. Default 16,384.
    #[must_use]
    pub fn proposals_max(mut self, proposals_max: usize) -> Self {
        self.config.proposals_max = proposals_max;
        self
    }

    /// Sets how many bytes of commands may be in flight before more are refused. Default 64 MiB.
    #[must_use]
    pub fn proposals_bytes_max(mut self, proposals_bytes_max: usize) -> Self {
        self.config.proposals_bytes_max = proposals_bytes_max;
        self
    }

    /// Sets after how many slots a snapshot is taken. Default 100,000.
    #[must_use]
    pub fn snapshot_entries(mut self, snapshot_entries: u64) -> Self {
        self.config.snapshot_entries = snapshot_entries;
        self
    }

    /// Sets after how many bytes of commands a snapshot is taken. Default 64 MiB.
    #[must_use]
    pub fn snapshot_bytes(mut self, snapshot_bytes: usize) -> Self {
        self.config.snapshot_bytes = snapshot_bytes;
        self
    }

    /// Sets how many parts of a snapshot a learner may have asked for. Default 4.
    #[must_use]
    pub fn snapshot_window(mut self, snapshot_window: u32) -> Self {
        self.config.snapshot_window = snapshot_window;
        self
    }

    /// Sets how many slots that a snapshot covers stay in memory, so that a learner that is a
    /// little behind needs no snapshot. Default 5,000.
    #[must_use]
    pub fn tail_entries(mut self, tail_entries: u64) -> Self {
        self.config.tail_entries = tail_entries;
        self
    }

    /// Sets after how many bytes of commands there are enough of them. Default 16 MiB.
    #[must_use]
    pub fn tail_bytes(mut self, tail_bytes: usize) -> Self {
        self.config.tail_bytes = tail_bytes;
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
        // Who joins later knows nobody at first.
        if !config.membership.is_empty() {
            if !config.membership.is_member(config.id) {
                return Err(raft::ConfigError::NotAMember { id: config.id }.into());
            }
            config.quorums_of(&config.membership)?;
        }
        check_timing(config.election_timeout, config.heartbeat)?;
        check_lease(config.lease, true, config.clock_drift)?;
        let bounds = [
            config.accept_bytes_max,
            config.accept_window,
            config.accept_window_bytes,
            config.proposals_max,
            config.proposals_bytes_max,
            usize::try_from(config.snapshot_entries).unwrap_or(usize::MAX),
            config.snapshot_bytes,
            config.snapshot_window as usize,
        ];
        if bounds.contains(&0) {
            return Err(raft::ConfigError::ZeroBound.into());
        }
        Ok(config)
    }
}
