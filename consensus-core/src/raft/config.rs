//! What a Raft replica is built from, and the bounds it keeps.

use std::time::Duration;

use super::{
    mutant::Mutant,
    progress::Window,
    rules::{ConfigError, check_lease, check_timing},
};
use crate::{
    members::NodeId,
    membership::Membership,
    mutants::Bugs,
    process::{Address, GroupId, Seat},
    snapshot::Due,
};

/// The priority of a replica that is preferred to no other of those that have none set.
pub const PRIORITY_DEFAULT: u8 = 100;

/// The configuration of one replica. One that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    id: NodeId,
    group: GroupId,
    membership: Membership,
    election_timeout: Duration,
    heartbeat: Duration,
    pre_vote: bool,
    check_quorum: bool,
    lease: bool,
    clock_drift: u8,
    rests: bool,
    priority: u8,
    seed: u64,
    reads_from: u64,
    append_bytes_max: usize,
    append_window: usize,
    catch_up_slack: u64,
    append_window_bytes: usize,
    proposals_max: usize,
    proposals_bytes_max: usize,
    snapshot_entries: u64,
    snapshot_bytes: usize,
    snapshot_window: u32,
    tail_entries: u64,
    tail_bytes: usize,
    fed_bytes: usize,
    bugs: Bugs<Mutant>,
}

impl Config {
    /// Starts the configuration of the replica that node `id` has of `group`.
    ///
    /// `membership` is the group's first, the same on all its first members; it is empty on a node
    /// that joins later. What the log says afterwards goes before it.
    pub fn builder(id: NodeId, group: GroupId, membership: impl Into<Membership>) -> Builder {
        Builder {
            config: Self {
                id,
                group,
                membership: membership.into(),
                election_timeout: Duration::from_millis(1_000),
                heartbeat: Duration::from_millis(100),
                pre_vote: true,
                check_quorum: true,
                lease: false,
                // Above what a time service makes of a clock that it corrects in haste.
                clock_drift: 10,
                rests: true,
                priority: PRIORITY_DEFAULT,
                seed: id.number() ^ group.0,
                reads_from: 0,
                // A batch that keeps a frame far below the transport's 4 MiB.
                append_bytes_max: 1 << 20,
                // Enough to fill a round trip; a follower that falls behind costs no more memory.
                append_window: 64,
                // About what is on its way to a follower under load.
                catch_up_slack: 1_000,
                append_window_bytes: 16 << 20,
                // Beyond it waiting only adds latency.
                proposals_max: 16_384,
                // The log in memory grows by what is in flight, here and at each follower.
                proposals_bytes_max: 64 << 20,
                // What a restart replays, and what the log takes in memory and on disk.
                snapshot_entries: 100_000,
                snapshot_bytes: 64 << 20,
                // Chunks of a mebibyte that fill a link, and leave room on it for heartbeats.
                snapshot_window: 4,
                // What a follower misses that restarts or hiccups.
                tail_entries: 5_000,
                tail_bytes: 16 << 20,
                // What is written while a snapshot travels.
                fed_bytes: 128 << 20,
                bugs: Bugs::default(),
            },
        }
    }

    /// Returns the node that this replica runs on.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Returns the group.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Returns the first membership of the group, empty on a node that joins later.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Returns the shortest time without a leader's word after which a follower campaigns.
    pub fn election_timeout(&self) -> Duration {
        self.election_timeout
    }

    /// Returns how often a leader lets its followers hear of it.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// Tells whether a replica asks before it campaigns.
    pub fn pre_vote(&self) -> bool {
        self.pre_vote
    }

    /// Tells whether a leader that hears of no majority steps down, and whether voters are loyal to
    /// a leader that they hear of.
    pub fn check_quorum(&self) -> bool {
        self.check_quorum
    }

    /// Tells whether this replica lets a leader rely on its loyalty, and as the leader answers reads
    /// under such a lease.
    pub fn lease(&self) -> bool {
        self.lease
    }

    /// Returns by how many hundredths, at most, the clocks of two members differ in rate.
    pub fn clock_drift(&self) -> u8 {
        self.clock_drift
    }

    /// Tells whether the group comes to rest while there is nothing to do.
    pub fn rests(&self) -> bool {
        self.rests
    }

    /// Returns how much this replica is to be preferred as a leader.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// Returns the seed of the election timer.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the id that the requests for read indices of this life come after.
    pub fn reads_from(&self) -> u64 {
        self.reads_from
    }

    /// Returns the bytes of commands after which an Append is full.
    pub fn append_bytes_max(&self) -> usize {
        self.append_bytes_max
    }

    /// Returns how many Appends a follower may owe an answer to.
    pub fn append_window(&self) -> usize {
        self.append_window
    }

    /// Returns how many entries a learner may lack to be let vote.
    pub fn catch_up_slack(&self) -> u64 {
        self.catch_up_slack
    }

    /// Returns the bytes of commands to which a follower may owe an answer.
    pub fn append_window_bytes(&self) -> usize {
        self.append_window_bytes
    }

    /// Returns how many commands, and how many reads, may be in flight.
    pub fn proposals_max(&self) -> usize {
        self.proposals_max
    }

    /// Returns how many bytes of commands may be in flight before more are refused.
    pub fn proposals_bytes_max(&self) -> usize {
        self.proposals_bytes_max
    }

    /// Returns how much a follower may owe an answer to.
    pub(super) fn window(&self) -> Window {
        Window { appends: self.append_window, bytes: self.append_window_bytes }
    }

    /// Returns after how many entries a snapshot is taken.
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

    /// Returns how many parts of a snapshot may be on their way to a follower.
    pub fn snapshot_window(&self) -> u32 {
        self.snapshot_window
    }

    /// Returns how many entries that a snapshot covers stay in memory, for slow followers.
    pub fn tail_entries(&self) -> u64 {
        self.tail_entries
    }

    /// Returns after how many bytes of commands there are enough of them.
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// Returns how many bytes of commands stay in memory for a follower that is sent an older
    /// snapshot.
    pub fn fed_bytes(&self) -> usize {
        self.fed_bytes
    }

    /// Tells whether this known bug was put back.
    pub(super) fn has_bug(&self, mutant: Mutant) -> bool {
        self.bugs.has(mutant)
    }

    /// Returns the address of this group's replica on `node`.
    pub fn peer(&self, node: NodeId) -> Address {
        Address { node, seat: Seat::ONLY }
    }
}

/// Builds a [`Config`].
#[derive(Clone, Debug)]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// Sets the shortest election timeout T; each is drawn from T to 2T. Default 1 s.
    ///
    /// It must be several heartbeats long: one lost heartbeat should not cost an election.
    #[must_use]
    pub fn election_timeout(mut self, timeout: Duration) -> Self {
        self.config.election_timeout = timeout;
        self
    }

    /// Sets how often a leader sends heartbeats. Default 100 ms.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.config.heartbeat = interval;
        self
    }

    /// Sets whether a replica asks a majority before it campaigns (dissertation 9.6). Default true.
    ///
    /// Without it a replica that was cut off comes back with a later term, and ends a tenure that
    /// nothing is wrong with. All members should have the same.
    #[must_use]
    pub fn pre_vote(mut self, asks: bool) -> Self {
        self.config.pre_vote = asks;
        self
    }

    /// Sets whether a leader that has heard of no majority for an election timeout steps down, and
    /// voters refuse others while they hear of a leader (dissertation 6.2, 4.2.3). Default true.
    ///
    /// Without it a leader that is cut off leads in vain until the network mends, and a replica
    /// that hears of no leader disturbs those that do. All members should have the same.
    #[must_use]
    pub fn check_quorum(mut self, checks: bool) -> Self {
        self.config.check_quorum = checks;
        self
    }

    /// Sets whether the replica takes part in leases (dissertation 6.4.1). Default false.
    ///
    /// As a voter it tells the leader for how long it refuses others its vote; as the leader it
    /// answers [`ReadLevel::Lease`](crate::ReadLevel) from its own state, while a majority does. It
    /// needs [`check_quorum`](Self::check_quorum), from which that loyalty comes. All members should
    /// have the same; who has not is not relied on. A member that starts with a shorter election
    /// timeout than before, or without `check_quorum`, breaks what it promised: change these while
    /// no member has leases.
    #[must_use]
    pub fn lease(mut self, takes_part: bool) -> Self {
        self.config.lease = takes_part;
        self
    }

    /// Sets by how many hundredths, at most, the clocks of two members differ in rate: from 1 to 50.
    /// Default 10.
    ///
    /// Leases are shorter by so much. They are safe only where it holds: a clock that stands still
    /// while others go on, as that of a machine that is suspended, breaks it.
    #[must_use]
    pub fn clock_drift(mut self, percent: u8) -> Self {
        self.config.clock_drift = percent;
        self
    }

    /// Sets whether a leader with nothing to do sends no heartbeats, nor its followers wait for any.
    /// Default true.
    ///
    /// The host must say when nothing is heard of a node ([`Control::Silent`](super::Control)), or
    /// followers of a leader that is gone never learn it.
    #[must_use]
    pub fn rests(mut self, rests: bool) -> Self {
        self.config.rests = rests;
        self
    }

    /// Sets how much this replica is to be preferred as a leader, from 0 to 255. Default 100.
    ///
    /// Without a leader, one of priority 100 campaigns after T to 2T, T being the election timeout.
    /// A higher priority narrows that, to T to 1.25 T at 255; a lower one delays it, by T/100 for
    /// each step; one of priority 0 campaigns after 5T to 6T, when nobody else has. Without the
    /// [pre-vote](Self::pre_vote) all campaign after T to 2T. And a leader hands over to a follower
    /// of higher priority that has all that is committed and has been heard of for ten election
    /// timeouts without a gap.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.config.priority = priority;
        self
    }

    /// Seeds the election timer; replicas of a group should differ. Default: node id xor group.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Lets this life number its requests for read indices from `id` on. Default 0.
    ///
    /// Answers name the request and nothing else, and may outlive the process that asked: a host
    /// starts each time where no life of the replica has been, for one by drawing `id` at random
    /// below 2^63. Else an answer to another life's request may confirm a read that came after it
    /// (RAFT-P17).
    #[must_use]
    pub fn reads_from(mut self, id: u64) -> Self {
        self.config.reads_from = id;
        self
    }

    /// Sets the bytes of commands after which an Append is full. Default 1 MiB.
    #[must_use]
    pub fn append_bytes_max(mut self, bytes: usize) -> Self {
        self.config.append_bytes_max = bytes;
        self
    }

    /// Sets how many Appends a follower may owe an answer to. Default 64.
    #[must_use]
    pub fn append_window(mut self, appends: usize) -> Self {
        self.config.append_window = appends;
        self
    }

    /// Sets how many entries a learner may lack to be let vote (dissertation 4.2.1). Default 1,000.
    ///
    /// With more it may hold up commits for as long as it takes to catch up; with fewer it may
    /// never be let vote under load.
    #[must_use]
    pub fn catch_up_slack(mut self, entries: u64) -> Self {
        self.config.catch_up_slack = entries;
        self
    }

    /// Sets the bytes of commands from which on a follower owes an answer before it gets more.
    /// Default 16 MiB.
    ///
    /// The last Append may exceed it, so that one always goes out.
    #[must_use]
    pub fn append_window_bytes(mut self, bytes: usize) -> Self {
        self.config.append_window_bytes = bytes;
        self
    }

    /// Sets how many commands, and how many reads, may be in flight. Default 16,384.
    #[must_use]
    pub fn proposals_max(mut self, proposals: usize) -> Self {
        self.config.proposals_max = proposals;
        self
    }

    /// Sets how many bytes of commands may be in flight before more are refused. Default 64 MiB.
    #[must_use]
    pub fn proposals_bytes_max(mut self, bytes: usize) -> Self {
        self.config.proposals_bytes_max = bytes;
        self
    }

    /// Sets after how many entries a snapshot is taken. Default 100,000.
    ///
    /// After one of more than a mebibyte another is taken no sooner than as many bytes of commands
    /// have come, or four times [`snapshot_bytes`](Self::snapshot_bytes).
    #[must_use]
    pub fn snapshot_entries(mut self, entries: u64) -> Self {
        self.config.snapshot_entries = entries;
        self
    }

    /// Sets after how many bytes of commands a snapshot is taken. Default 64 MiB.
    #[must_use]
    pub fn snapshot_bytes(mut self, bytes: usize) -> Self {
        self.config.snapshot_bytes = bytes;
        self
    }

    /// Sets how many parts of a snapshot may be on their way to a follower. Default 4.
    #[must_use]
    pub fn snapshot_window(mut self, parts: u32) -> Self {
        self.config.snapshot_window = parts;
        self
    }

    /// Sets how many entries that a snapshot covers stay in memory, so that a follower that is a
    /// little behind needs no snapshot. Default 5,000.
    #[must_use]
    pub fn tail_entries(mut self, entries: u64) -> Self {
        self.config.tail_entries = entries;
        self
    }

    /// Sets after how many bytes of commands there are enough of them. Default 16 MiB.
    #[must_use]
    pub fn tail_bytes(mut self, bytes: usize) -> Self {
        self.config.tail_bytes = bytes;
        self
    }

    /// Sets how many bytes of commands stay in memory for a follower that is sent an older snapshot,
    /// and needs them next. Default 128 MiB.
    #[must_use]
    pub fn fed_bytes(mut self, bytes: usize) -> Self {
        self.config.fed_bytes = bytes;
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
        if !config.membership.is_empty() && !config.membership.is_member(config.id) {
            return Err(ConfigError::NotAMember { id: config.id });
        }
        check_timing(config.election_timeout, config.heartbeat)?;
        check_lease(config.lease, config.check_quorum, config.clock_drift)?;
        let bounds = [
            config.append_window,
            config.append_window_bytes,
            config.append_bytes_max,
            config.proposals_max,
            config.proposals_bytes_max,
            usize::try_from(config.snapshot_entries).unwrap_or(usize::MAX),
            config.snapshot_bytes,
            config.snapshot_window as usize,
        ];
        if bounds.contains(&0) {
            return Err(ConfigError::ZeroBound);
        }
        Ok(config)
    }
}
