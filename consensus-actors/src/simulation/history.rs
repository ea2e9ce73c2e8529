//! What callers of a run saw, as the JSON lines that `check --model kv` reads
//! (`docs/histories.md`).
//!
//! Of commands a history has what they change; that their replies are right is judged in the run
//! itself. Stamps have no place in it: they are about other state.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    ReadLevel, Time,
    sim::{Asked, Body, Change, Ended, Look, history::Moment, in_true_time},
};
use serde::Serialize;

/// A line of a history.
#[derive(Debug, Serialize)]
struct Event {
    process: u64,
    r#type: &'static str,
    op: &'static str,
    key: String,
    value: Option<String>,
    /// What a read was promised, if that is less than linearizability.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    /// How old the state may be that it saw, in nanoseconds of virtual time.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<u64>,
    /// In nanoseconds of virtual time.
    time: u64,
}

/// Writes the history of a run whose callers used a [`Store`](consensus_core::sim::Store).
///
/// # Errors
/// As writing a file has them.
pub(crate) fn write(path: &Path, history: &[Asked]) -> io::Result<()> {
    let mut events: Vec<(Moment, Event)> = history.iter().flat_map(events).flatten().collect();
    events.sort_by_key(|(moment, _)| *moment);
    let mut file = BufWriter::new(File::create(path)?);
    for (_, event) in &events {
        serde_json::to_writer(&mut file, event)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

/// Returns how an operation began, and how it ended if it has.
fn events(asked: &Asked) -> [Option<(Moment, Event)>; 2] {
    let Some((op, key, argument)) = called(&asked.body) else { return [None, None] };
    let event = |r#type, value, time: Time| {
        let time = nanoseconds(time.since(Time::ZERO));
        let (level, bound) = (None, None);
        Event { process: asked.process, r#type, op, key: key.clone(), value, level, bound, time }
    };
    // Only reads are promised less than commands are.
    let (level, bound) = match op {
        "get" => promised(asked.level, asked.clocks_betray),
        _ => (None, None),
    };
    let begun = Event { level, bound, ..event("invoke", argument, asked.invoked_at) };
    let begun = (asked.invoked, begun);
    let ended = asked.returned.as_ref().map(|(moment, at, ended)| {
        let (kind, value) = match ended {
            Ended::Ok(reply) if op == "get" => ("ok", answer(reply)),
            // What a read returned that has no answer is not known.
            Ended::Applied(_) | Ended::Unanswered(_) | Ended::Unknown(_) if op == "get" => {
                ("info", None)
            }
            // A command that panicked has changed what it had changed by then.
            Ended::Ok(_) | Ended::Applied(_) => ("ok", None),
            Ended::Unanswered(_) | Ended::NotApplied(_) => ("fail", None),
            Ended::Unknown(_) => ("info", None),
        };
        (*moment, event(kind, value, *at))
    });
    [Some(begun), ended]
}

/// Returns what a read was promised: its level, and how old the state may be that it saw.
fn promised(level: ReadLevel, clocks_betray: bool) -> (Option<&'static str>, Option<u64>) {
    match level {
        ReadLevel::Lease if clocks_betray => (Some("stale"), None),
        ReadLevel::Linearizable | ReadLevel::Lease => (None, None),
        ReadLevel::Stale { max_lag } => (Some("stale"), Some(nanoseconds(in_true_time(max_lag)))),
        // The format has no tokens; that they are kept is judged in the run.
        ReadLevel::After { .. } => (Some("stale"), None),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns operation, key and value of what was called; `None` for what is not about texts.
fn called(body: &Body) -> Option<(&'static str, String, Option<String>)> {
    match body {
        Body::Query(bytes) => {
            let Look::Get { key } = rmp_serde::from_slice(bytes).ok()?;
            Some(("get", key, None))
        }
        Body::Command(bytes) => match rmp_serde::from_slice(bytes).ok()? {
            // It sets the text before it panics, on every replica alike.
            Change::Put { key, value } | Change::Panic { key, value } => {
                Some(("put", key, Some(value)))
            }
            Change::Append { key, value } => Some(("append", key, Some(value))),
            Change::Delete { key } => Some(("delete", key, None)),
            Change::Stamp { .. } => None,
        },
    }
}

/// Returns what a query answered; what is no answer of a store is what nobody ever wrote.
fn answer(reply: &Bytes) -> Option<String> {
    rmp_serde::from_slice(reply).unwrap_or_else(|_| Some(format!("no text but {reply:?}")))
}
