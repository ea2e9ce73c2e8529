//! `saga`: what has not ended, and what operators do about it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::Value;

use super::{
    call::refuse,
    http,
    options::{Output, Target},
    say,
};
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists sagas that have not ended.
    List {
        /// The group of their logs.
        group: String,
        /// Only those that wait for an operator.
        #[arg(long)]
        stuck: bool,
        /// Those behind this one, by their ids; a list has 1,024.
        #[arg(long)]
        after: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Shows how a saga and its steps stand, what is being asked for, and its log.
    Show(Named),
    /// Tries again what is stuck.
    Retry(Ordered),
    /// Goes on as if a step, or its compensation, had been done.
    Skip {
        #[command(flatten)]
        ordered: Ordered,
        /// The step.
        #[arg(long)]
        step: String,
    },
    /// Has a saga undone, unless it has reached its pivot.
    Cancel(Ordered),
    /// Gives a saga up, whatever is half done.
    Abandon(Ordered),
}

#[derive(Debug, Args)]
struct Named {
    /// The group of its log.
    group: String,
    /// The saga, by its id.
    id: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Ordered {
    #[command(flatten)]
    named: Named,
    /// Why; it is kept in the saga's log.
    #[arg(long)]
    reason: String,
}

impl Verb {
    fn target(&self) -> &Target {
        match self {
            Self::List { target, .. } => target,
            Self::Show(named) => &named.target,
            Self::Skip { ordered, .. } => &ordered.named.target,
            Self::Retry(ordered) | Self::Cancel(ordered) | Self::Abandon(ordered) => {
                &ordered.named.target
            }
        }
    }
}

/// Asks a node about sagas, or to do something about one.
pub(super) fn saga(options: &Options) -> Result<ExitCode> {
    let target = options.verb.target();
    let (addr, output) = (&target.address()?, target.output);
    let (status, body) = match &options.verb {
        Verb::List { group, stuck, after, .. } => {
            let mut query = vec![("stuck".to_owned(), stuck.to_string())];
            query.extend(after.iter().map(|after| ("after".to_owned(), after.clone())));
            http::get(addr, &http::path(&["v1", "sagas", group]), &query)?
        }
        Verb::Show(Named { group, id, .. }) => {
            http::get(addr, &http::path(&["v1", "sagas", group, id]), &[])?
        }
        Verb::Retry(ordered) => order(addr, ordered, "retry", None)?,
        Verb::Skip { ordered, step } => order(addr, ordered, "skip", Some(step))?,
        Verb::Cancel(ordered) => order(addr, ordered, "cancel", None)?,
        Verb::Abandon(ordered) => order(addr, ordered, "abandon", None)?,
    };
    if status != 200 {
        return Ok(refuse(&body, output));
    }
    match (output, &options.verb) {
        (Output::Json, _) => say(&body),
        (Output::Table, Verb::List { .. }) => print_list(&body),
        (Output::Table, Verb::Show(_)) => print_one(&body),
        (
            Output::Table,
            Verb::Retry(_) | Verb::Skip { .. } | Verb::Cancel(_) | Verb::Abandon(_),
        ) => say(format_args!("done: {}", text(&body, "done"))),
    }
    Ok(ExitCode::SUCCESS)
}

fn order(addr: &str, ordered: &Ordered, order: &str, step: Option<&str>) -> Result<http::Answered> {
    let Ordered { named: Named { group, id, .. }, reason } = ordered;
    let mut query = vec![("reason".to_owned(), reason.clone())];
    query.extend(step.map(|step| ("step".to_owned(), step.to_owned())));
    http::post(addr, &http::path(&["v1", "sagas", group, id, order]), &query)
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Returns a text bare, nothing as nothing, all else as JSON.
fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn print_list(body: &Value) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["ID", "SAGA", "RECORDS", "STANDING", "STEP", "CAUSE"]);
    for saga in list(body, "sagas") {
        let columns = ["id", "saga", "records", "standing", "step", "cause"];
        table.add_row(columns.map(|column| text(saga, column)));
    }
    say(table);
}

/// The columns of the tree behind a step's name.
const COLUMNS: [(&str, &str); 10] = [
    ("CLASS", "class"),
    ("STANDING", "standing"),
    ("ASKED MS", "asked_ms"),
    ("ENDED MS", "ended_ms"),
    ("UNDONE MS", "undone_ms"),
    ("ATTEMPTS", "attempts"),
    ("UNDO ATTEMPTS", "undo_attempts"),
    ("REFUSED", "refused"),
    ("OUTPUT", "output"),
    ("CAUSE", "cause"),
];

/// How much of an output or a cause is printed with the tree, in characters; the log has all.
const CLIP: usize = 60;

/// Returns what a column says of a step; counts of nothing are left out.
fn cell(step: &Value, column: &str) -> String {
    let told = text(step, column);
    let counts = matches!(column, "attempts" | "undo_attempts" | "refused");
    if counts && told == "0" { String::new() } else { clipped(told) }
}

fn clipped(text: String) -> String {
    match text.char_indices().nth(CLIP) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns what is being asked for, like `undo asked 120 ms ago` or `next in 300 ms`.
fn now(step: &Value) -> String {
    let Some(now) = step.get("now").filter(|now| now.is_object()) else { return String::new() };
    let undo = if text(now, "op") == "undo" { "undo " } else { "" };
    match now.get("asked_ms_ago") {
        Some(ago) => format!("{undo}asked {ago} ms ago"),
        None => format!("{undo}next in {} ms", text(now, "next_in_ms")),
    }
}

/// Prints the steps as a tree: each stands deeper than those that it waits for. Columns that have
/// nothing to say are left out.
fn print_steps(body: &Value) {
    let steps: Vec<&Value> = list(body, "steps").collect();
    if steps.is_empty() {
        return;
    }
    let cells = COLUMNS.map(|(title, column)| {
        (title, steps.iter().map(|step| cell(step, column)).collect::<Vec<_>>())
    });
    let mut columns = vec![("STEP", steps.iter().map(|step| branch(step)).collect::<Vec<_>>())];
    columns.extend(cells);
    columns.insert(columns.len() - 2, ("NOW", steps.iter().map(|step| now(step)).collect()));
    columns.retain(|(_, cells)| cells.iter().any(|cell| !cell.is_empty()));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|(title, _)| *title));
    for row in 0..steps.len() {
        table.add_row(columns.iter().map(|(_, cells)| &cells[row]));
    }
    say(table);
    say("");
}

/// Returns the name of a step, as deep as it stands.
fn branch(step: &Value) -> String {
    let depth = step.get("depth").and_then(Value::as_u64).unwrap_or_default();
    let depth = usize::try_from(depth).unwrap_or_default();
    let branch = if depth == 0 { "" } else { "└ " };
    format!("{}{branch}{}", "  ".repeat(depth.saturating_sub(1)), text(step, "step"))
}

/// Says who knows what is being asked for, unless that is printed.
fn print_in_charge(body: &Value) {
    let goes_on = matches!(&*text(body, "standing"), "under_way" | "stuck");
    let is_live = body.get("is_live").and_then(Value::as_bool).unwrap_or_default();
    if !goes_on || is_live {
        return;
    }
    match &*text(body, "in_charge") {
        "" => say("in charge: no node at the moment"),
        node => say(format_args!("in charge: node {node}; it tells what is being asked for now")),
    }
}

fn print_one(body: &Value) {
    say(format_args!("{} is {}", text(body, "saga"), text(body, "standing")));
    for (name, label) in [
        ("failed", "failed"),
        ("step", "step"),
        ("cause", "cause"),
        ("hint", "do"),
        ("input", "input"),
        ("output", "output"),
    ] {
        let what = text(body, name);
        if !what.is_empty() {
            say(format_args!("{label}: {what}"));
        }
    }
    print_in_charge(body);
    if list(body, "log").next().is_none() {
        return say("no log of it is kept");
    }
    print_steps(body);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SEQ", "EPOCH", "AFTER MS", "RECORD", "STEP", "DETAIL"]);
    for entry in list(body, "log") {
        let columns = ["seq", "epoch", "spent_ms", "record", "step", "detail"];
        table.add_row(columns.map(|column| text(entry, column)));
    }
    say(table);
}
