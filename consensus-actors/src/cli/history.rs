//! Recorded histories: JSON lines, one event a line. `docs/histories.md` describes them to users.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use consensus_core::sim::{
    history::{Event, Moment, Operation, Recorder},
    levels::Level,
    models::{Call, Value},
};
use serde::Deserialize;
use serde_json::Value as Json;

use super::options::Model;
use crate::error::{Code, Error, Result};

/// A line of a history.
#[derive(Debug, Deserialize)]
struct Line {
    process: u64,
    r#type: Kind,
    op: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Json,
    #[serde(default)]
    time: Option<f64>,
    #[serde(default)]
    level: Option<Promise>,
    #[serde(default)]
    bound: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

/// What a read was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Promise {
    Linearizable,
    Session,
    Stale,
}

/// A history, key by key.
pub(super) struct History {
    pub(super) keys: BTreeMap<String, Part>,
    /// The line of each event.
    pub(super) lines: Vec<usize>,
}

/// The operations under one key.
#[derive(Default)]
pub(super) struct Part {
    pub(super) operations: Vec<Operation<Call, Value>>,
    /// What each is held to.
    pub(super) levels: Vec<Level>,
    /// Each as it stands in the file.
    pub(super) shown: Vec<String>,
}

/// What is called, before the keys are sorted out.
struct Called {
    key: String,
    call: Call,
    level: Level,
    shown: String,
}

/// Reads a file, key by key.
pub(super) fn read(model: Model, file: &Path) -> Result<History> {
    let wrong = |line: usize, reason: String| {
        let message = format!("{}, line {line}: {reason}", file.display());
        Error::new(Code::Config, message)
    };
    let opened = File::open(file).map_err(|error| {
        Error::new(Code::Config, format!("cannot read {}: {error}", file.display()))
    })?;
    let mut events = Vec::new();
    for (number, text) in (1..).zip(BufReader::new(opened).lines()) {
        let text = text.map_err(|error| wrong(number, error.to_string()))?;
        if !text.trim().is_empty() {
            let line: Line = serde_json::from_str(&text)
                .map_err(|error| wrong(number, format!("{error}; see the form of a history")))?;
            events.push((number, line));
        }
    }
    let mut times: Vec<f64> = events.iter().filter_map(|(_, line)| line.time).collect();
    if times.len() == events.len() {
        times.sort_by(f64::total_cmp);
        events.sort_by(|(_, a), (_, b)| a.time.unwrap_or(0.0).total_cmp(&b.time.unwrap_or(0.0)));
    } else {
        times.clear();
    }

    let mut recorder = Recorder::default();
    let mut lines = Vec::with_capacity(events.len());
    for (number, line) in events {
        let reads = recorder.calling(line.process).is_some_and(Called::is_read);
        let event = match line.r#type {
            Kind::Invoke => called(model, &line, &times).map(Event::Invoke),
            Kind::Ok if reads => value(model, &line.value).map(Event::Ok),
            Kind::Ok => Ok(Event::Ok(Value::Absent)),
            Kind::Fail => Ok(Event::Fail),
            Kind::Info => Ok(Event::Info),
        };
        let event = event.map_err(|reason| wrong(number, reason))?;
        recorder.record(line.process, event).map_err(|error| wrong(number, error.to_string()))?;
        lines.push(number);
    }
    let mut keys = BTreeMap::<_, Part>::new();
    for Operation { process, call, invoked, returned } in recorder.finish() {
        let Called { key, call, level, shown } = call;
        let part = keys.entry(key).or_default();
        part.operations.push(Operation { process, call, invoked, returned });
        part.levels.push(level);
        part.shown.push(shown);
    }
    Ok(History { keys, lines })
}

impl Called {
    fn is_read(&self) -> bool {
        self.call == Call::Read
    }
}

/// Reads what is called, and what it was promised; `times` are those of all events, in order.
fn called(model: Model, line: &Line, times: &[f64]) -> Result<Called, String> {
    let call = call(model, line)?;
    let since = match (line.bound, line.time) {
        (None, _) => None,
        (Some(_), _) if line.level != Some(Promise::Stale) => {
            return Err("a bound is for reads of the level \"stale\"".to_owned());
        }
        (Some(bound), Some(time)) if bound >= 0.0 && !times.is_empty() => {
            // The first event that is not before the bound: what ended earlier must be seen.
            let since = times.partition_point(|at| *at < time - bound);
            Some(Moment(since as u64))
        }
        (Some(_), _) => {
            return Err("a bound is not negative, and needs a time in every event".to_owned());
        }
    };
    let level = match line.level {
        None | Some(Promise::Linearizable) => Level::Linearizable,
        Some(_) if call != Call::Read => return Err(format!("{} has no level", line.op)),
        Some(Promise::Session) => Level::Session,
        Some(Promise::Stale) => Level::Stale { since },
    };
    let op = &line.op;
    let shown = if line.value.is_null() { op.clone() } else { format!("{op} {}", line.value) };
    Ok(Called { key: line.key.clone().unwrap_or_default(), call, level, shown })
}

/// Reads what is called.
fn call(model: Model, line: &Line) -> Result<Call, String> {
    let text = || text(&line.value).ok_or_else(|| format!("{} takes a value", line.op));
    match (model, line.op.as_str()) {
        (Model::Register | Model::Append, "read") | (Model::Kv | Model::Counter, "get") => {
            Ok(Call::Read)
        }
        (Model::Register, "write") | (Model::Kv, "put") => Ok(Call::Write(text()?)),
        (Model::Register, "cas") => match line.value.as_array().map(Vec::as_slice) {
            Some([from, to]) => {
                let to = self::text(to).ok_or("cas swaps to a value, not to null")?;
                Ok(Call::Swap { from: self::text(from), to })
            }
            Some(_) | None => Err("cas takes a value of the form [from, to]".to_owned()),
        },
        (Model::Kv, "append") => Ok(Call::Extend(text()?)),
        (Model::Kv, "delete") => Ok(Call::Delete),
        (Model::Counter, "add") => {
            let by = line.value.as_i64().ok_or("add takes a whole number")?;
            Ok(Call::Add(by))
        }
        (Model::Append, "append") => Ok(Call::Append(text()?)),
        (Model::Register, op) => Err(format!("{op:?} is none of: read, write, cas")),
        (Model::Kv, op) => Err(format!("{op:?} is none of: get, put, append, delete")),
        (Model::Counter, op) => Err(format!("{op:?} is none of: add, get")),
        (Model::Append, op) => Err(format!("{op:?} is none of: append, read")),
    }
}

/// Reads what a read returned.
fn value(model: Model, json: &Json) -> Result<Value, String> {
    match (model, json) {
        (_, Json::Null) => Ok(Value::Absent),
        (Model::Register | Model::Kv, json) => {
            text(json).map(Value::Text).ok_or_else(|| format!("{json} is no value"))
        }
        (Model::Counter, json) => {
            json.as_i64().map(Value::Number).ok_or_else(|| format!("{json} is no whole number"))
        }
        (Model::Append, json) => {
            let items = json.as_array().map(|items| items.iter().map(text).collect());
            items.flatten().map(Value::List).ok_or_else(|| format!("{json} is no list of values"))
        }
    }
}

/// Returns a value as a text; `None` for null.
fn text(json: &Json) -> Option<String> {
    match json {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
