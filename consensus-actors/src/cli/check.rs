//! `check`: whether recorded histories are linearizable.
//!
//! A history is a file of JSON lines, one event a line, in the order in which they happened (or with
//! a `time` by which they are ordered):
//!
//! ```json
//! {"process":3,"type":"invoke","op":"put","key":"x","value":"1","time":123}
//! {"process":3,"type":"ok","op":"put","key":"x","value":"1","time":456}
//! ```
//!
//! A process has one operation at a time. `invoke` begins it; `ok` ends it with its result, `fail`
//! says that it took no effect, `info` that nobody knows; one that never ends counts as `info`.
//!
//! | model | operations |
//! | --- | --- |
//! | `register` | `read` (ok: `value`), `write` `value`, `cas` `value: [from, to]` (ok: it swapped) |
//! | `kv` | `get` (ok: `value`), `put` `value`, `append` `value` to the text, `delete` |
//! | `counter` | `add` `value`, `get` (ok: `value`) |
//! | `append` | `append` `value` to the list, `read` (ok: `value`, a list) |
//!
//! Keys are independent, and without a `key` there is one. A value of `null` is an absent one.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::ExitCode,
};

use consensus_core::sim::{
    history::{Event, Moment, Operation, Recorder},
    linearizability::{self, Verdict},
    models::{Call, Cell, Value},
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    options::{Check, Model, Output},
    say,
};
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

/// Checks each file; exits 0 only if all are linearizable.
pub(super) fn check(options: &Check) -> Result<ExitCode> {
    let mut all = true;
    for file in &options.files {
        let history = read(options.model, file)?;
        let report = judge(&history, options.steps_max);
        all &= report.verdict == "linearizable";
        match options.output {
            Output::Json => say(report.json(file)),
            Output::Table => report.print(file),
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A history, key by key.
struct History {
    keys: BTreeMap<String, Vec<Operation<Call, Value>>>,
    /// The line of each event.
    lines: Vec<usize>,
}

/// Reads a file, key by key.
fn read(model: Model, file: &Path) -> Result<History> {
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
    if events.iter().all(|(_, line)| line.time.is_some()) {
        events.sort_by(|(_, a), (_, b)| a.time.unwrap_or(0.0).total_cmp(&b.time.unwrap_or(0.0)));
    }

    let mut recorder = Recorder::default();
    let mut lines = Vec::with_capacity(events.len());
    for (number, line) in events {
        let reads = recorder.calling(line.process).is_some_and(|(_, call)| *call == Call::Read);
        let event = match line.r#type {
            Kind::Invoke => call(model, &line)
                .map(|call| Event::Invoke((line.key.clone().unwrap_or_default(), call))),
            Kind::Ok if reads => value(model, &line.value).map(Event::Ok),
            Kind::Ok => Ok(Event::Ok(Value::Absent)),
            Kind::Fail => Ok(Event::Fail),
            Kind::Info => Ok(Event::Info),
        };
        let event = event.map_err(|reason| wrong(number, reason))?;
        recorder.record(line.process, event).map_err(|error| wrong(number, error.to_string()))?;
        lines.push(number);
    }
    let mut keys = BTreeMap::<_, Vec<_>>::new();
    for Operation { process, call: (key, call), invoked, returned } in recorder.finish() {
        keys.entry(key).or_default().push(Operation { process, call, invoked, returned });
    }
    Ok(History { keys, lines })
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

/// What became of a file.
struct Report {
    verdict: &'static str,
    operations: usize,
    keys: usize,
    /// The key that is not linearizable, or was given up, and what to look at.
    key: Option<String>,
    window: Vec<String>,
}

fn judge(history: &History, steps_max: u64) -> Report {
    let History { keys, lines } = history;
    let operations = keys.values().map(Vec::len).sum();
    let report =
        |verdict, key, window| Report { verdict, operations, keys: keys.len(), key, window };
    let mut unknown = None;
    for (key, history) in keys {
        match linearizability::check(&Cell, history, steps_max) {
            Verdict::Linearizable => {}
            Verdict::Unknown => unknown = Some(key.clone()),
            Verdict::NotLinearizable { window } => {
                let shown = window.iter().filter_map(|place| history.get(*place));
                let window = shown.map(|operation| describe(operation, lines)).collect();
                return report("not linearizable", Some(key.clone()), window);
            }
        }
    }
    match unknown {
        Some(key) => report("unknown", Some(key), Vec::new()),
        None => report("linearizable", None, Vec::new()),
    }
}

fn describe(operation: &Operation<Call, Value>, lines: &[usize]) -> String {
    let line = |Moment(at): Moment| {
        let line = usize::try_from(at).ok().and_then(|at| lines.get(at));
        line.map_or_else(|| "?".to_owned(), ToString::to_string)
    };
    let (process, call) = (operation.process, &operation.call);
    let invoked = line(operation.invoked);
    match &operation.returned {
        Some((ended, Value::Absent)) if *call != Call::Read => {
            format!("lines {invoked} to {}: process {process} {call:?}", line(*ended))
        }
        Some((ended, value)) => {
            format!("lines {invoked} to {}: process {process} {call:?} -> {value:?}", line(*ended))
        }
        None => format!("line {invoked} on: process {process} {call:?}, of unknown outcome"),
    }
}

impl Report {
    fn json(&self, file: &Path) -> Json {
        json!({
            "file": file.display().to_string(),
            "verdict": self.verdict,
            "operations": self.operations,
            "keys": self.keys,
            "key": self.key,
            "window": self.window,
        })
    }

    fn print(&self, file: &Path) {
        let Self { verdict, operations, keys, .. } = self;
        say(format_args!("{}: {verdict} ({operations} operations, {keys} keys)", file.display()));
        match (&self.key, *verdict) {
            (Some(key), "unknown") => say(format_args!(
                "  key {key:?}: given up, which counts as a failure; allow more with --steps-max"
            )),
            (Some(key), _) => say(format_args!("  key {key:?}: these cannot be ordered")),
            (None, _) => {}
        }
        self.window.iter().for_each(|line| say(format_args!("    {line}")));
    }
}
