//! The contract between a protocol and its host (a node's actors, or the simulator).
//!
//! A [`Process`] consumes one [`Input`] and appends [`Effect`]s, in the order in which they must
//! happen. What has to be durable before a message may leave is named by a [`Token`], never
//! implied.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    error::{RecoverError, SubmitError},
    log::{Decided, Index},
    members::NodeId,
    membership::Membership,
    snapshot::{Order, Report},
    time::Time,
};

/// A deterministic automaton: no clock, no I/O, no threads, no randomness of its own.
pub trait Process: Sized + fmt::Debug + Clone + Send + 'static {
    /// What the automaton is built from.
    type Config;
    /// What it says to its peers.
    type Message: Clone + fmt::Debug + Send + 'static;
    /// One durable fact.
    type Record: Clone + fmt::Debug + Send + 'static;
    /// The protocol's own inputs besides the shared ones.
    type Control: Clone + fmt::Debug + Send + 'static;

    /// Rebuilds the automaton from what was durable, oldest record first, each with the token it
    /// was persisted under.
    ///
    /// # Errors
    /// [`RecoverError`] when the records contradict each other or the configuration.
    fn recover(
        config: Self::Config,
        now: Time,
        records: impl IntoIterator<Item = (Token, Self::Record)>,
    ) -> Result<Self, RecoverError>;

    /// Consumes one input and appends its consequences to `out`, in the order in which they must
    /// happen.
    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>);
}

/// A replicated group, the same number on every member: a hash of the group's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u64);

impl GroupId {
    /// Returns the group called `name`.
    pub fn named(name: &str) -> Self {
        Self(twox_hash::XxHash3_64::oneshot(name.as_bytes()))
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{:016x}", self.0)
    }
}

/// Which seat of a group a message is for; protocols with one seat use [`Seat::ONLY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(pub u8);

impl Seat {
    /// The seat of a protocol whose roles exclude each other, as Raft's do.
    pub const ONLY: Self = Self(0);
}

/// Where a message of a group goes: a seat of that group on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The node.
    pub node: NodeId,
    /// The seat of the group there.
    pub seat: Seat,
}

/// Correlates a submitted command or read with its answer. Unique within one host's lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The number of a record within its process, from 1, without gaps; it survives restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    /// Returns the token of the record that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A client's command on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Correlates the answer.
    pub ticket: Ticket,
    /// The encoded command, opaque to the protocol.
    pub command: bytes::Bytes,
}

/// What a host tells a process.
#[derive(Clone, Debug)]
pub enum Input<P: Process> {
    /// An occasion to look at the time. Missed ticks coalesce.
    Tick,
    /// A peer's message; `from` was authenticated by the transport.
    Receive {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: P::Message,
    },
    /// Clients' commands.
    Submit(Vec<Submission>),
    /// Every record up to and including this one is durable.
    Persisted {
        /// The youngest durable record.
        upto: Token,
    },
    /// What has come of snapshots.
    Snapshot(Report),
    /// The protocol's own input.
    Control(P::Control),
}

/// What a process asks of its host.
#[derive(Clone, Debug)]
pub enum Effect<P: Process> {
    /// To be made durable, in order of the tokens; answered by [`Input::Persisted`].
    Persist {
        /// The record's number.
        token: Token,
        /// What must survive.
        record: P::Record,
    },
    /// To a peer. The network may lose it.
    Send {
        /// The peer's seat.
        to: Address,
        /// What to say.
        message: P::Message,
        /// Holds the message back until that record is durable; `None` lets it go at once.
        after: Option<Token>,
    },
    /// Decided: hand them to the replica, in order.
    Apply(Vec<Decided>),
    /// A linearizable read may be answered once everything up to `at` is applied.
    ReadReady {
        /// The read.
        ticket: Ticket,
        /// The index that the read must see.
        at: Index,
    },
    /// A command or read that will not be served here.
    Answer {
        /// The command or read.
        ticket: Ticket,
        /// Why, and whether it may have happened all the same.
        error: SubmitError,
    },
    /// What an operator asked the protocol for is done.
    Done {
        /// The request.
        ticket: Ticket,
    },
    /// Clients' requests go to this member from now on, or nowhere while there is no leader.
    Route {
        /// The leader as far as this replica knows.
        leader: Option<NodeId>,
    },
    /// Records older than `before` are not needed to recover any more.
    Compact {
        /// The oldest record that is still needed.
        before: Token,
    },
    /// Something is to be done with snapshots; answered by [`Input::Snapshot`].
    Snapshot(Order),
}

/// The effects of one or more steps, in order.
#[derive(Clone, Debug)]
pub struct Effects<P: Process> {
    list: Vec<Effect<P>>,
}

impl<P: Process> Default for Effects<P> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

impl<P: Process> Effects<P> {
    /// Appends one effect.
    pub fn push(&mut self, effect: Effect<P>) {
        self.list.push(effect);
    }

    /// Removes and yields all effects, in order; the allocation is kept for the next batch.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect<P>> {
        self.list.drain(..)
    }

    /// Tells whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the effects in order.
    pub fn as_slice(&self) -> &[Effect<P>] {
        &self.list
    }
}

/// What a replica tells operators of its protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The role that holds the seat, in the paper's noun, lower case.
    pub role: &'static str,
    /// The leader as far as this replica knows.
    pub leader: Option<NodeId>,
    /// The leadership clock: Raft's term.
    pub term: u64,
    /// The last index known to be committed.
    pub committed: Index,
    /// The last index of the log, committed or not.
    pub last: Index,
    /// The last index that the snapshot covers which the log rests on; zero without one.
    pub snapshot: Index,
    /// The first index of the log in memory; what lies before is in the snapshot alone.
    pub first: Index,
    /// The member that leadership is on its way to.
    pub transfer: Option<NodeId>,
    /// How much this replica is preferred as a leader.
    pub priority: u8,
    /// Whether this replica keeps leases.
    pub lease: bool,
    /// Until when, by this node's monotonic clock, this leader may answer reads from its lease,
    /// unless it is renewed; `None` where it has none to speak of.
    pub lease_until: Option<Time>,
    /// Whether the disk has been at work on the same record for an election timeout.
    pub disk_stalls: bool,
    /// Who takes part, as far as this replica knows.
    pub membership: Membership,
}

impl Status {
    /// Adds what is told by a role of the same node that stands beside the one that told this.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self {
            role: if self.role.is_empty() { other.role } else { self.role },
            leader: self.leader.or(other.leader),
            term: self.term.max(other.term),
            committed: self.committed.max(other.committed),
            last: self.last.max(other.last),
            snapshot: self.snapshot.max(other.snapshot),
            first: self.first.max(other.first),
            transfer: self.transfer.or(other.transfer),
            priority: self.priority.max(other.priority),
            lease: self.lease || other.lease,
            lease_until: self.lease_until.or(other.lease_until),
            disk_stalls: self.disk_stalls || other.disk_stalls,
            membership: match self.membership.is_empty() {
                true => other.membership.clone(),
                false => self.membership,
            },
        }
    }
}
