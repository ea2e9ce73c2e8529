//! Raft under the simulator.

use super::{
    Control, Raft,
    config::Config,
    invariants::{Observer, Violation},
    message::{AppendResult, Message, Payload},
    record::Record,
    snapshot_result::SnapshotResult,
};
use crate::{
    client::Admin,
    members::NodeId,
    membership::Membership,
    process::{Effect, Input, Status, Ticket, Token},
    read::Read,
    role::{Seated, Step},
    sim::{Broken, Judge, Setup, Simulated},
    snapshot::Cut,
    time::Time,
};

impl Simulated for Raft {
    type Judge = Observer;

    fn config(setup: &Setup) -> Config {
        let config = Config::builder(setup.id, setup.group, setup.membership.clone())
            .election_timeout(setup.election_timeout)
            .heartbeat(setup.heartbeat)
            .seed(setup.seed)
            .reads_from(setup.reads_from)
            .append_bytes_max(setup.append_bytes_max)
            .append_window(setup.append_window)
            .catch_up_slack(setup.catch_up_slack)
            .append_window_bytes(setup.append_window_bytes)
            .snapshot_entries(setup.snapshots.entries)
            .snapshot_bytes(setup.snapshots.bytes)
            .snapshot_window(setup.snapshots.window)
            .tail_entries(setup.snapshots.tail_entries)
            .tail_bytes(setup.snapshots.tail_bytes)
            .fed_bytes(setup.snapshots.fed_bytes)
            .pre_vote(setup.pre_vote)
            .check_quorum(setup.check_quorum)
            .lease(setup.lease)
            .clock_drift(setup.clock_drift)
            .rests(setup.rests)
            .priority(setup.priority);
        #[cfg(feature = "mutants")]
        let config = match setup.bug {
            Some(crate::mutants::Bug::Raft(mutant)) => config.mutant(mutant),
            Some(_) | None => config,
        };
        config.build().expect("the simulator draws values that fit")
    }

    fn read(reads: Vec<Read>) -> Input<Self> {
        Input::Control(Control::Read(reads))
    }

    fn storage_full(full: bool) -> Input<Self> {
        Input::Control(Control::StorageFull(full))
    }

    fn snapshot(&self) -> Option<Cut> {
        self.state.snapshot().filter(|_| !self.state.is_witness()).cloned()
    }

    fn behind(behind: bool) -> Input<Self> {
        Input::Control(Control::Behind(behind))
    }

    fn admin(ticket: Ticket, admin: Admin) -> Input<Self> {
        Input::Control(Control::of(ticket, admin))
    }

    fn presence(node: NodeId, present: bool) -> Input<Self> {
        Input::Control(if present { Control::Alive(node) } else { Control::Silent(node) })
    }

    fn lease_until(&self) -> Option<Time> {
        self.state.lease_until()
    }

    fn is_at_rest(&self) -> bool {
        self.state.is_at_rest()
    }

    fn resign(ticket: Ticket) -> Input<Self> {
        Input::Control(Control::Resign { ticket })
    }

    fn status(&self) -> Status {
        <Self as Seated>::status(&self.state, self.role.name())
    }

    fn describe_message(message: &Message) -> String {
        let term = message.term().0;
        match message {
            Message::PreVote { last_index, last_term, .. } => {
                format!("PreVote@{term} log ends at {last_index}@{}", last_term.0)
            }
            Message::PreVoteReply { granted, .. } => {
                format!("PreVoteReply@{term} {}", if *granted { "granted" } else { "refused" })
            }
            Message::Vote { last_index, last_term, transfer, .. } => {
                let how = if *transfer { " to take over" } else { "" };
                format!("Vote@{term}{how} log ends at {last_index}@{}", last_term.0)
            }
            Message::VoteReply { granted, .. } => {
                format!("VoteReply@{term} {}", if *granted { "granted" } else { "refused" })
            }
            Message::Append { prev_index, prev_term, entries, commit, .. } => format!(
                "Append@{term} {} entries after {prev_index}@{}, commit {commit}",
                entries.len(),
                prev_term.0
            ),
            Message::AppendReply { result: AppendResult::Matched(index), .. } => {
                format!("AppendReply@{term} matched up to {index}")
            }
            Message::AppendReply {
                result: AppendResult::Conflict { refused, hint, .. }, ..
            } => {
                format!("AppendReply@{term} refused after {refused}, try {hint}")
            }
            Message::Heartbeat { commit, round, .. } => {
                format!("Heartbeat@{term} commit {commit}, round {round}")
            }
            Message::HeartbeatReply { round, priority, promise, .. } => {
                let unfit = if priority.is_none() { ", would not lead" } else { "" };
                let promise = promise.map_or_else(String::new, |it| format!(", loyal for {it:?}"));
                format!("HeartbeatReply@{term} round {round}{unfit}{promise}")
            }
            Message::ReadIndex { id, lease, .. } => {
                let how = if *lease { ", from a lease" } else { "" };
                format!("ReadIndex@{term} request {id}{how}")
            }
            Message::ReadIndexReply { id, index, .. } => {
                format!("ReadIndexReply@{term} request {id}, see {index}")
            }
            Message::Rest { commit, .. } => format!("Rest@{term} commit {commit}"),
            Message::RestReply { commit, .. } => format!("RestReply@{term} commit {commit}"),
            Message::TimeoutNow { last_index, last_term, .. } => {
                format!("TimeoutNow@{term} log ends at {last_index}@{}", last_term.0)
            }
            Message::InstallSnapshot { snapshot, part, bytes, .. } => {
                format!("InstallSnapshot@{term} {snapshot}, part {part}, {}B", bytes.len())
            }
            Message::SnapshotReply {
                result: SnapshotResult::Stored { snapshot, next }, ..
            } => {
                format!("SnapshotReply@{term} {snapshot}, next is part {next}")
            }
            Message::SnapshotReply { result: SnapshotResult::Wanted { index }, .. } => {
                format!("SnapshotReply@{term} wants one up to {index} or later")
            }
        }
    }

    fn describe_record(record: &Record) -> String {
        match record {
            Record::Vote { term, voted_for: Some(node) } => format!("term {}, vote {node}", term.0),
            Record::Vote { term, voted_for: None } => format!("term {}, no vote", term.0),
            Record::Append { after, entries } => {
                let entry = |entry: &super::Entry| match &entry.payload {
                    Payload::NoOp => format!("noop@{}", entry.term.0),
                    Payload::Command(command) => format!("{}B@{}", command.len(), entry.term.0),
                    Payload::Stripped => format!("stripped@{}", entry.term.0),
                    Payload::Membership(membership) => {
                        format!("{}@{}", membership.describe(), entry.term.0)
                    }
                };
                let entries: Vec<String> = entries.iter().map(entry).collect();
                format!("after {after}: {}", entries.join(" "))
            }
            Record::Snapshot { cut, replaces } => {
                let how = if *replaces { "in place of the log" } else { "of the log" };
                format!("snapshot up to {}@{}, {how}", cut.index, cut.term)
            }
        }
    }
}

impl Judge<Raft> for Observer {
    fn recovered(&mut self, process: &Raft) -> Result<(), Broken> {
        Self::recovered(self, process).map_err(|violation| self.broken(&violation))
    }

    fn stepped(&mut self, process: &Raft, effects: &[Effect<Raft>]) -> Result<(), Broken> {
        self.observe(process, effects).map_err(|violation| self.broken(&violation))
    }

    fn leased(&mut self, node: NodeId, now: Time, until: Option<Time>) -> Result<(), Broken> {
        Self::leased(self, node, now, until).map_err(|violation| self.broken(&violation))
    }

    fn membership(&self) -> &Membership {
        Self::membership(self)
    }

    fn pending(&self) -> Vec<Membership> {
        Self::pending(self)
    }

    fn durable(&mut self, node: NodeId, upto: Token) -> Result<(), Broken> {
        Self::durable(self, node, upto).map_err(|violation| self.broken(&violation))
    }

    fn sent(&mut self, from: NodeId, to: NodeId, message: &Message) -> Result<(), Broken> {
        Self::sent(self, from, to, message).map_err(|violation| self.broken(&violation))
    }
}

impl Observer {
    /// Tells what does not hold, and what each replica has at the place where it shows.
    fn broken(&self, violation: &Violation) -> Broken {
        let at = match violation {
            Violation::LogMatching { at, .. }
            | Violation::LeaderCompleteness { at, .. }
            | Violation::StateMachineSafety { at, .. }
            | Violation::SnapshotOfCommitted { at, .. }
            | Violation::CommittedOnMajority { at, .. } => Some(*at),
            Violation::ElectionSafety { .. }
            | Violation::LeaseOverlap { .. }
            | Violation::LeaderAppendOnly { .. }
            | Violation::OneVote { .. }
            | Violation::Order { .. }
            | Violation::Promise { .. } => None,
        };
        let evidence = at.map_or_else(Vec::new, |at| self.holders(at));
        Broken { what: violation.to_string(), evidence }
    }
}
