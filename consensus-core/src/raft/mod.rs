//! Raft: a replicated log under one leader a term, for crash faults and an unreliable network.
//!
//! After D. Ongaro and J. Ousterhout, "In Search of an Understandable Consensus Algorithm"
//! (extended version, 2014); section numbers in this folder are that paper's, or the dissertation's
//! ("Consensus: Bridging Theory and Practice", 2014) where it says so.
//!
//! ```text
//!           election timer            majority would            majority of votes
//!   Follower ------------> PreCandidate ----------> Candidate ----------------------> Leader
//!     ^  ^                    |    |                 |    |                             |
//!     |  |                    |    | election timer  |    | election timer              |
//!     |  |                    |    +--> again        |    +--> next term                |
//!     |  +--------------------+----------------------+                                  |
//!     |        somebody leads, or too many refuse                                       |
//!     +---------------------------------------------------------------------------------+
//!                  a message of a later term, or no majority answers
//! ```
//!
//! What is here: randomized elections with pre-vote and check-quorum, replication with conflict
//! hints and a window, commitment of current-term entries only, a no-op at the start of a term,
//! vote and log durable before they count, ReadIndex from every replica, reads from the own state
//! that are bounded in their age or by a token, leases, leadership transfer, changes of the
//! membership through joint consensus, learners, witnesses, snapshots with compaction of the log,
//! restart.
//!
//! Deviations from the paper:
//! * Heartbeat is a message of its own, not an empty AppendEntries. It carries the round that
//!   confirms reads, and a commit index bounded by what the follower acknowledged, since it makes
//!   no consistency check.
//! * A refused Append carries a hint (5.3, end): the last index at which the logs may agree, with
//!   its term.
//! * The leader replicates while its own disk writes (dissertation 10.2.1) and counts itself when
//!   that is durable.
//! * A new commit index reaches followers with the next Append or Heartbeat, not by a broadcast of
//!   its own.
//! * A follower installs a snapshot by its name: it answers each part with how far it has come, and
//!   goes on with whoever sends the same one. Its own log may hold what it covers; then it needs none.
//! * A replica whose own snapshot is damaged keeps its log and asks for another's; until it has one
//!   it does not campaign.
//! * A follower that refuses an Append below its commit index answers that it matches up to there
//!   instead.
//! * A leader that is removed stays for one heartbeat after that is committed, and tells its
//!   followers so; whoever is removed is told for four election timeouts.
//! * Who was removed for good campaigns in vain with all that know it; who is unknown may be a
//!   member of a configuration that is not known yet, and is heard.
//! * A learner is sent what is committed: who is about to vote must not be ahead of those that do.
//! * Election timeouts depend on a replica's priority, and who is unfit to lead does not campaign.
//! * Votes are refused for an election timeout after a leader was heard of, whatever has become of it
//!   since, and after a restart: leases rest on that (dissertation 6.4.1). A heartbeat's answer says
//!   whether the leader may rely on it, and the round that it answers says when it was sent.
//! * A voter that would refuse a candidate for its log stays loyal to its leader, although the
//!   candidate was told to campaign (dissertation 3.10, 4.2.3): such a campaign cannot win.
//!
//! Witnesses (dissertation 11.7.2) store terms, indices, kinds of entries and configurations, and
//! no commands. They vote by their logs and never campaign. They let their logs go without taking
//! snapshots, and are sent none but a point to go on from (module `bare`). With two others and a witness, what a
//! leader has committed with the witness alone is nowhere else: while that leader is lost nobody is
//! elected, by design, until its disk is back. Electing the other all the same would lose what was
//! acknowledged. Witnesses are fewer than half of the voters, so whatever is decided has somebody
//! who stores it.
//!
//! It never reads a clock, never draws randomness but from its seed, and never trusts a peer's
//! message not to be stale, repeated, reordered or nonsense.

pub mod invariants;
pub mod log;

mod asking;
mod bare;
mod candidate;
mod changes;
mod config;
mod configurations;
mod feeding;
pub(crate) mod fitness;
mod follower;
mod following;
mod footing;
mod freshness;
mod leader;
mod lease;
mod leases;
mod message;
mod mirror;
mod mutant;
mod pre_candidate;
mod progress;
mod proposals;
pub(crate) mod reads;
mod record;
mod recovery;
mod refusals;
mod replicating;
mod rest;
mod rules;
mod sending;
mod serving;
mod simulated;
mod snapshot_result;
mod snapshots;
mod state;
mod supply;
mod timer;
mod transfer;
mod wire;

pub use candidate::Candidate;
pub use config::{Builder, Config, PRIORITY_DEFAULT};
pub use follower::Follower;
pub use leader::Leader;
pub use message::{AppendResult, Entry, Message, Payload, Term};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
#[cfg(not(feature = "mutants"))]
use mutant::Mutant;
pub use pre_candidate::PreCandidate;
pub use progress::Progress;
pub use record::Record;
pub use rules::{ConfigError, check_lease, check_timing};
pub use snapshot_result::SnapshotResult;
pub use state::State;

use std::{
    hash::{Hash, Hasher},
    mem,
};

use crate::{
    change::Change,
    client::Admin,
    error::RecoverError,
    members::NodeId,
    process::{Effects, Input, Process, Status, Ticket, Token},
    read::Read,
    role::{self, Seated},
    time::Time,
};

/// Raft's own inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Reads, each at its level.
    Read(Vec<Read>),
    /// Hand the lead over, to this member or to whoever is fit best (dissertation 3.10). Done when
    /// it leads.
    Transfer {
        /// Correlates the answer.
        ticket: Ticket,
        /// Who is to lead.
        to: Option<NodeId>,
    },
    /// Changes who takes part.
    Change {
        /// Correlates the answer.
        ticket: Ticket,
        /// What is asked for.
        change: Change,
    },
    /// The process is about to end: hand the lead over if this replica has it, and campaign no
    /// more. Done when another leads, or when there is no lead to hand over.
    Resign {
        /// Correlates the answer.
        ticket: Ticket,
    },
    /// The disk is full (true), or has room again (false).
    StorageFull(bool),
    /// A snapshot is to be taken now, whether one is due or not.
    TakeSnapshot,
    /// The journal would give up old records that this group still rests on.
    MakeRoom,
    /// The replica has more to apply than it may (true), or can take more again (false).
    Behind(bool),
    /// Nothing is heard of this node, or nothing reaches it.
    Silent(NodeId),
    /// This node is heard of, and can be reached.
    Alive(NodeId),
}

impl Control {
    /// Makes the input that carries out what an operator asks for.
    pub fn of(ticket: Ticket, admin: Admin) -> Self {
        match admin {
            Admin::Transfer { to } => Self::Transfer { ticket, to },
            Admin::Change(change) => Self::Change { ticket, change },
        }
    }
}

/// A replica: what its roles share, and the role it holds.
#[derive(Clone, Debug)]
pub struct Raft {
    state: State,
    role: Role,
}

/// The roles, of which a replica holds one at a time.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a replica, which leads in its turn")]
pub enum Role {
    /// Neither leads nor campaigns.
    Follower(Follower),
    /// Asks whether it would be elected.
    PreCandidate(PreCandidate),
    /// Campaigns.
    Candidate(Candidate),
    /// Leads.
    Leader(Leader),
}

impl Raft {
    /// Returns what the roles share.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns the role.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Feeds all that decides what this replica will do to `out`, but for when: its configuration,
    /// the moments at which timers fire and the generator that draws them are left out.
    ///
    /// Searches of states tell replicas apart by it. Nodes go by what `name` calls them, so that
    /// replicas that differ in the names of nodes only can be told to be the same.
    pub fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        self.state.fingerprint(name, out);
        mem::discriminant(&self.role).hash(out);
        match &self.role {
            Role::Follower(follower) => follower.fingerprint(out),
            Role::PreCandidate(candidate) => candidate.fingerprint(name, out),
            Role::Candidate(candidate) => candidate.fingerprint(name, out),
            Role::Leader(leader) => leader.fingerprint(name, out),
        }
    }
}

impl Process for Raft {
    type Config = Config;
    type Message = Message;
    type Record = Record;
    type Control = Control;

    fn recover(
        config: Config,
        now: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let state = State::recover(config, now, records)?;
        Ok(Self { state, role: Follower::new().into() })
    }

    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        if let Some(successor) = role::advance(&mut self.role, &mut self.state, now, input, out) {
            self.role = successor;
        }
    }
}

impl Seated for Raft {
    type State = State;
    type Role = Role;

    fn into_parts(self) -> (State, Role) {
        (self.state, self.role)
    }

    /// A message of a later term makes a follower of that term, which then reads the message (5.1).
    fn preempt(
        state: &mut State,
        now: Time,
        input: &Input<Self>,
        out: &mut Effects<Self>,
    ) -> Option<Role> {
        if matches!(input, Input::Tick) {
            state.look_at_disk(now);
            state.log.on_tick();
            state.forget_transfer(now, out);
        }
        let rested = state.is_at_rest();
        state.stir(now, input);
        if let Input::Snapshot(report) = input {
            return state.catch_up_with(report, now, out).then(|| Follower::new().into());
        }
        let Input::Receive { from, message } = input else { return None };
        if message.term() <= state.term() || !state.admits(*from, message) {
            return None;
        }
        // A pre-vote is about a term that nobody is in yet.
        if message.is_tentative() {
            return None;
        }
        // An answer of a later term comes from somebody who campaigned: if no member, in vain.
        if message.is_reply() && !state.membership().is_member(*from) {
            return None;
        }
        // Who campaigns while a leader is heard of is not followed into its term: it would end a
        // tenure that nothing is wrong with (dissertation 4.2.3).
        if state.is_loyal_against(message, now) {
            return None;
        }
        if state.has_bug(Mutant::LaterReplyCounts) && state.takes_for_present(message) {
            return None;
        }
        if rested {
            state.reset_election_timer(now);
        }
        state.adopt_term(message.term(), now, out);
        Some(Follower::new().into())
    }

    fn status(state: &State, role: &'static str) -> Status {
        Status {
            role,
            leader: state.leader(),
            term: state.term().0,
            committed: state.committed(),
            last: state.log.last_index(),
            snapshot: state.snapshots.covered(),
            first: state.log.base().next(),
            transfer: state.transfers_to(),
            priority: state.config.priority(),
            lease: state.config.lease(),
            lease_until: state.lease_until(),
            disk_stalls: state.disk_stalls(),
            membership: state.membership().clone(),
        }
    }
}

role::exclusive_roles!(Raft, Role { Follower, PreCandidate, Candidate, Leader });
