//! `check`: whether recorded histories are linearizable.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use consensus_core::sim::{
    history::Moment,
    levels::{self, LevelError},
    linearizability::{self, Verdict},
    models::{Call, Cell, List, Value},
};
use serde_json::{Value as Json, json};

use super::{
    history::{self, History, Part},
    options::{Check, Model, Output},
    say,
};
use crate::error::{Code, Error, Result};

/// How many steps are tried before the clock is looked at: well below a second.
const STEPS_MIN: u64 = 500_000;

/// Checks each file; exits 0 only if all are linearizable.
pub(super) fn check(options: &Check) -> Result<ExitCode> {
    let mut all = true;
    for file in &options.files {
        let history = history::read(options.model, file)?;
        let report = judge(options, &history)
            .map_err(|error| Error::new(Code::Config, format!("{}: {error}", file.display())))?;
        all &= report.verdict == "linearizable";
        match options.output {
            Output::Json => say(report.json(file)),
            Output::Table => report.print(file),
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of a file.
struct Report {
    verdict: &'static str,
    operations: usize,
    keys: usize,
    /// The key that is not linearizable, or was given up, and what to look at.
    key: Option<String>,
    window: Vec<String>,
    context: Vec<String>,
    minimal: bool,
}

fn judge(options: &Check, history: &History) -> Result<Report, LevelError> {
    let History { keys, lines } = history;
    let mut report = Report {
        verdict: "linearizable",
        operations: keys.values().map(|part| part.operations.len()).sum(),
        keys: keys.len(),
        key: None,
        window: Vec::new(),
        context: Vec::new(),
        minimal: false,
    };
    let limit = Limit { began: Instant::now(), time: options.time_limit, steps: options.steps_max };
    for (key, part) in keys {
        let verdict = match options.model {
            // Lists only grow, which spares the search much.
            Model::Append => limit.check(&List, part)?,
            Model::Register | Model::Kv | Model::Counter => limit.check(&Cell, part)?,
        };
        match verdict {
            Verdict::Linearizable => {}
            Verdict::Unknown => (report.verdict, report.key) = ("unknown", Some(key.clone())),
            Verdict::NotLinearizable { window } => {
                let shown = |places: &[usize]| {
                    places.iter().filter_map(|place| describe(part, *place, lines)).collect()
                };
                report.window = shown(&window.operations);
                report.context = shown(&window.context);
                report.minimal = window.minimal;
                (report.verdict, report.key) = ("not linearizable", Some(key.clone()));
                return Ok(report);
            }
        }
    }
    Ok(report)
}

/// How long to search.
struct Limit {
    began: Instant,
    /// For all keys of a file.
    time: Duration,
    /// For each key.
    steps: Option<u64>,
}

impl Limit {
    /// Checks the operations under one key.
    ///
    /// The search knows no clock but counts steps. So a key is tried with few of them, and again
    /// with as many as the rest of the time allows by the pace so far.
    fn check<M>(&self, model: &M, part: &Part) -> Result<Verdict, LevelError>
    where
        M: linearizability::Model<Call = Call, Return = Value>,
    {
        let steps_max = self.steps.unwrap_or(u64::MAX);
        let mut steps = steps_max.min(STEPS_MIN);
        loop {
            let began = Instant::now();
            let verdict = levels::check(model, &part.operations, &part.levels, steps)?;
            if verdict != Verdict::Unknown || steps == steps_max {
                return Ok(verdict);
            }
            let left = self.time.saturating_sub(self.began.elapsed());
            let pace = began.elapsed().as_micros().max(1);
            let allowed = u128::from(steps) * left.as_micros() / pace;
            // The pace falls with the length of a search, so it is measured again.
            let next = u64::try_from(allowed).unwrap_or(u64::MAX).min(steps.saturating_mul(8));
            if next <= steps {
                return Ok(Verdict::Unknown);
            }
            steps = next.min(steps_max);
        }
    }
}

/// Describes an operation by its lines.
fn describe(part: &Part, place: usize, lines: &[usize]) -> Option<String> {
    let line = |Moment(at): Moment| {
        let line = usize::try_from(at).ok().and_then(|at| lines.get(at));
        line.map_or_else(|| "?".to_owned(), ToString::to_string)
    };
    let (operation, shown) = (part.operations.get(place)?, part.shown.get(place)?);
    let (process, invoked) = (operation.process, line(operation.invoked));
    Some(match &operation.returned {
        Some((ended, value)) if operation.call == Call::Read => {
            let value = as_json(value);
            format!("lines {invoked} to {}: process {process} {shown} -> {value}", line(*ended))
        }
        Some((ended, _)) => {
            format!("lines {invoked} to {}: process {process} {shown}", line(*ended))
        }
        None => format!("line {invoked} on: process {process} {shown}, of unknown outcome"),
    })
}

/// Returns a value as a history has it.
fn as_json(value: &Value) -> Json {
    match value {
        Value::Absent => Json::Null,
        Value::Text(text) => json!(text),
        Value::Number(number) => json!(number),
        Value::List(items) => json!(items),
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
            "context": self.context,
            "minimal": self.minimal,
        })
    }

    fn print(&self, file: &Path) {
        let Self { verdict, operations, keys, .. } = self;
        say(format_args!("{}: {verdict} ({operations} operations, {keys} keys)", file.display()));
        match (&self.key, *verdict) {
            (Some(key), "unknown") => say(format_args!(
                "  key {key:?}: given up, which counts as a failure; allow more with --time-limit"
            )),
            (Some(key), _) => say(format_args!("  key {key:?}: these cannot be ordered")),
            (None, _) => {}
        }
        self.window.iter().for_each(|line| say(format_args!("    {line}")));
        if !self.context.is_empty() {
            say("  beside them");
            self.context.iter().for_each(|line| say(format_args!("    {line}")));
        }
    }
}
