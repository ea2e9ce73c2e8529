//! What the simulator asks of a protocol besides [`Process`].

use std::{fmt, time::Duration};

use super::fault::{Faults, Profile};
use crate::{
    client::Admin,
    codec::{Decode, Encode},
    members::NodeId,
    membership::Membership,
    process::{Effect, GroupId, Input, Process, Status, Ticket, Token},
    read::Read,
    snapshot::Cut,
    time::Time,
};

/// A protocol that the simulator can run: one process a node, which serves a replica.
pub trait Simulated: Process<Message: Encode + Decode, Record: Encode + Decode> {
    /// What judges the replicas of a group.
    type Judge: Judge<Self> + fmt::Debug;

    /// Whether the two phases may need other numbers of members than majorities.
    const FLEXIBLE_QUORUMS: bool = false;

    /// Returns the faults that runs can have: some are about what not every protocol does.
    fn faults() -> Faults {
        Profile::All.faults()
    }

    /// Makes the configuration of a replica.
    fn config(setup: &Setup) -> Self::Config;

    /// Makes the input that asks for reads.
    fn read(reads: Vec<Read>) -> Input<Self>;

    /// Makes the input that asks for what an operator wants.
    fn admin(ticket: Ticket, admin: Admin) -> Input<Self>;

    /// Makes the input that tells that the process is about to end.
    fn resign(ticket: Ticket) -> Input<Self>;

    /// Makes the input that tells whether the disk is full.
    fn storage_full(full: bool) -> Input<Self>;

    /// Makes the input that tells whether the replica has more to apply than it may.
    fn behind(behind: bool) -> Input<Self>;

    /// Makes the input that tells whether a node is present, or silent.
    fn presence(node: NodeId, present: bool) -> Input<Self>;

    /// Returns until when, by its own clock, the process answers reads under a lease.
    fn lease_until(&self) -> Option<Time>;

    /// Tells whether the process takes its group to be at rest.
    fn is_at_rest(&self) -> bool;

    /// Returns the point that a rebuilt replica's log rests on: its state there is in a snapshot.
    fn snapshot(&self) -> Option<Cut>;

    /// Tells what operators are told.
    fn status(&self) -> Status;

    /// Tells what a message says, for people.
    fn describe_message(message: &Self::Message) -> String;

    /// Tells what a record says, for people.
    fn describe_record(record: &Self::Record) -> String;
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What does not hold, in a sentence.
    pub what: String,
    /// What cannot be reconciled, a line each.
    pub evidence: Vec<String>,
}

/// What judges the replicas of a group after every step: the protocol's invariants.
pub trait Judge<P: Simulated>: Default {
    /// Looks at a replica that was rebuilt from its disk.
    ///
    /// # Errors
    /// What does not hold.
    fn recovered(&mut self, process: &P) -> Result<(), Broken>;

    /// Looks at a replica after a step that asked for `effects`.
    ///
    /// # Errors
    /// What does not hold.
    fn stepped(&mut self, process: &P, effects: &[Effect<P>]) -> Result<(), Broken>;

    /// Notes until when, in true time, a replica answers reads under a lease, if it does.
    ///
    /// # Errors
    /// What does not hold.
    fn leased(&mut self, node: NodeId, now: Time, until: Option<Time>) -> Result<(), Broken>;

    /// Returns the latest membership that is committed.
    fn membership(&self) -> &Membership;

    /// Returns the memberships that follow it in any replica's log.
    fn pending(&self) -> Vec<Membership>;

    /// Notes that a replica's records up to `upto` are durable.
    ///
    /// # Errors
    /// What does not hold.
    fn durable(&mut self, node: NodeId, upto: Token) -> Result<(), Broken>;

    /// Looks at a message at the moment it leaves.
    ///
    /// # Errors
    /// What does not hold.
    fn sent(&mut self, from: NodeId, to: NodeId, message: &P::Message) -> Result<(), Broken>;
}

/// What a replica of a simulated group is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node.
    pub id: NodeId,
    /// The group.
    pub group: GroupId,
    /// The group's first membership; empty for a node that joins later.
    pub membership: Membership,
    /// What the replica may draw from.
    pub seed: u64,
    /// Where the replica may begin to number what its peers answer: no life before it was there.
    pub reads_from: u64,
    /// The shortest time without a leader after which one is elected.
    pub election_timeout: Duration,
    /// How often a leader is heard of.
    pub heartbeat: Duration,
    /// Whether a replica asks before it campaigns, where the protocol leaves that open.
    pub pre_vote: bool,
    /// Whether a leader that hears of no majority gives up, where the protocol leaves that open.
    pub check_quorum: bool,
    /// Whether the replica keeps leases, where the protocol has them.
    pub lease: bool,
    /// By how many hundredths clocks are declared to differ in rate.
    pub clock_drift: u8,
    /// Whether the group comes to rest while there is nothing to do.
    pub rests: bool,
    /// How much the replica is to be preferred as a leader, where the protocol has one.
    pub priority: u8,
    /// The bytes of commands after which a message is full.
    pub append_bytes_max: usize,
    /// How many messages may be unanswered.
    pub append_window: usize,
    /// How many members make each phase, where the protocol leaves that open; majorities if not
    /// said.
    pub quorums: Option<(usize, usize)>,
    /// How many entries a learner may lack to be let vote.
    pub catch_up_slack: u64,
    /// The bytes of commands in them.
    pub append_window_bytes: usize,
    /// When snapshots are taken, and what stays behind them.
    pub snapshots: Snapshots,
    /// The bug that is put back.
    #[cfg(feature = "mutants")]
    pub bug: Option<crate::mutants::Bug>,
}

/// When snapshots are taken, and what stays behind them.
#[derive(Clone, Copy, Debug)]
pub struct Snapshots {
    /// After how many entries one is taken.
    pub entries: u64,
    /// After how many bytes of commands.
    pub bytes: usize,
    /// How long its chunks are.
    pub chunk_bytes: usize,
    /// How many parts of one may be on their way.
    pub window: u32,
    /// How many entries behind one stay in memory.
    pub tail_entries: u64,
    /// And how many bytes of them.
    pub tail_bytes: usize,
    /// How many bytes stay for a follower that is sent an older one.
    pub fed_bytes: usize,
    /// How many are kept.
    pub keep: usize,
}

/// A replica that does not follow the protocol: it takes a node's place, hears what the node would
/// hear, and says what it likes.
///
/// It has no disk and serves no callers; it is not judged, and nothing is expected of it.
pub trait Adversary<P: Simulated> {
    /// Looks at the time, and adds to `out` what it sends, and to whom.
    fn tick(&mut self, now: Time, out: &mut Vec<(NodeId, P::Message)>);

    /// Hears a message, and adds to `out` what it sends, and to whom.
    fn receive(
        &mut self,
        now: Time,
        from: NodeId,
        message: P::Message,
        out: &mut Vec<(NodeId, P::Message)>,
    );
}
