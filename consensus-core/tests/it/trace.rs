//! How traces write things down: `3@2` is the entry at index 3 of term 2, `Vote@2` a message of
//! term 2.

use consensus_core::{
    Index, NodeId, SubmitError,
    raft::{AppendResult, Entry, Message, PRIORITY_DEFAULT, Payload, Record, SnapshotResult, Term},
    replica::Reply,
};

use crate::kv::{self, Answer};

/// Writes a position down.
pub(crate) fn position(index: Index, term: Term) -> String {
    format!("{index}@{}", term.0)
}

/// Writes an entry's payload down.
pub(crate) fn payload(payload: &Payload) -> String {
    match payload {
        Payload::NoOp => "noop".into(),
        Payload::Command(envelope) => kv::describe(envelope),
        Payload::Stripped => "stripped".into(),
        Payload::Membership(membership) => format!("[{}]", membership.describe()),
    }
}

fn entries(after: Index, entries: &[Entry]) -> String {
    let indices = after.0 + 1..;
    let entries = indices.zip(entries).map(|(index, entry)| {
        format!("{} {}", position(Index(index), entry.term), payload(&entry.payload))
    });
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}

/// Writes a message down.
pub(crate) fn message(message: &Message) -> String {
    let term = message.term().0;
    match message {
        Message::PreVote { last_index, last_term, .. } => {
            format!("PreVote@{term} last={}", position(*last_index, *last_term))
        }
        Message::PreVoteReply { granted, .. } => {
            format!("PreVoteReply@{term} {}", if *granted { "granted" } else { "refused" })
        }
        Message::Vote { last_index, last_term, transfer, .. } => {
            let how = if *transfer { " transfer" } else { "" };
            format!("Vote@{term} last={}{how}", position(*last_index, *last_term))
        }
        Message::VoteReply { granted, .. } => {
            format!("VoteReply@{term} {}", if *granted { "granted" } else { "refused" })
        }
        Message::Append { prev_index, prev_term, entries: list, commit, .. } => format!(
            "Append@{term} prev={} {} commit={commit}",
            position(*prev_index, *prev_term),
            entries(*prev_index, list)
        ),
        Message::AppendReply { result: AppendResult::Matched(index), .. } => {
            format!("AppendReply@{term} matched={index}")
        }
        Message::AppendReply {
            result: AppendResult::Conflict { refused, hint, hint_term },
            ..
        } => format!("AppendReply@{term} refused={refused} hint={}", position(*hint, *hint_term)),
        Message::Heartbeat { commit, round, .. } => {
            format!("Heartbeat@{term} commit={commit} round={round}")
        }
        Message::Rest { commit, .. } => format!("Rest@{term} commit={commit}"),
        Message::RestReply { commit, .. } => format!("RestReply@{term} commit={commit}"),
        Message::HeartbeatReply { round, priority, promise, .. } => {
            let priority = match priority {
                Some(PRIORITY_DEFAULT) => String::new(),
                Some(priority) => format!(" priority={priority}"),
                None => " unfit".into(),
            };
            let promise = promise.map_or_else(String::new, |it| format!(" loyal={it:?}"));
            format!("HeartbeatReply@{term} round={round}{priority}{promise}")
        }
        Message::ReadIndex { id, lease, .. } => {
            let lease = if *lease { " lease" } else { "" };
            format!("ReadIndex@{term} id={id}{lease}")
        }
        Message::ReadIndexReply { id, index, .. } => {
            format!("ReadIndexReply@{term} id={id} index={index}")
        }
        Message::TimeoutNow { last_index, last_term, .. } => {
            format!("TimeoutNow@{term} last={}", position(*last_index, *last_term))
        }
        Message::InstallSnapshot { snapshot, part, .. } => {
            format!("InstallSnapshot@{term} {snapshot} part={part}")
        }
        Message::SnapshotReply { result: SnapshotResult::Stored { snapshot, next }, .. } => {
            format!("SnapshotReply@{term} {snapshot} next={next}")
        }
        Message::SnapshotReply { result: SnapshotResult::Wanted { index }, .. } => {
            format!("SnapshotReply@{term} wanted={index}")
        }
    }
}

/// Writes a record down.
pub(crate) fn record(record: &Record) -> String {
    match record {
        Record::Vote { term, voted_for } => {
            format!("vote@{} for={}", term.0, node(*voted_for))
        }
        Record::Append { after, entries: list } => {
            format!("append after={after} {}", entries(*after, list))
        }
        Record::Snapshot { cut, replaces } => {
            let of = position(cut.index, Term(cut.term));
            format!("snapshot {of}{}", if *replaces { " replaces the log" } else { "" })
        }
    }
}

/// Writes a node down that may be none.
pub(crate) fn node(node: Option<NodeId>) -> String {
    node.map_or_else(|| "none".into(), |node| node.to_string())
}

/// Writes down what a command answered.
pub(crate) fn reply(reply: &Reply) -> String {
    match reply {
        Ok(reply) if reply.len() == 8 => "session".into(),
        Ok(reply) => match kv::number(reply) {
            Some(number) => number.to_string(),
            None => "none".into(),
        },
        Err(rejection) => format!("{rejection:?}"),
    }
}

/// Writes down what a query answered.
pub(crate) fn answer(reply: &Reply) -> String {
    match reply {
        Ok(reply) => match rmp_serde::from_slice(reply).expect("an answer of the state machine") {
            Answer::Value(Some(value)) => value.to_string(),
            Answer::Value(None) => "none".into(),
            Answer::History(keys) => keys.join(" "),
        },
        Err(rejection) => format!("{rejection:?}"),
    }
}

/// Writes down why something was not served, and what its caller may believe.
pub(crate) fn refusal(error: &SubmitError) -> String {
    let why = match error {
        SubmitError::NoState { leader } => format!("no state, leader={}", node(*leader)),
        SubmitError::NotLeader { leader } => format!("not leader, leader={}", node(*leader)),
        SubmitError::Busy { limit } => format!("busy, limit={limit}"),
        SubmitError::StorageFull => "storage full".into(),
        SubmitError::LeadershipLost => "leadership lost".into(),
        _ => format!("{error}"),
    };
    format!("{why} ({:?})", error.outcome())
}
