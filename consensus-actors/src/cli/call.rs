//! `call`: a command or a query of a group, by name.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::Value;

use super::{
    http,
    options::{self, Output},
    say,
};
use crate::error::{Code, Error, Result};

/// Calls a command or query; exits 0 with its reply, 1 if it was not applied or failed, 3 if nobody
/// knows.
pub(super) fn call(options: &options::Call) -> Result<ExitCode> {
    let (addr, group, name) = (&options.target.address()?, &options.group, &options.name);
    let (status, interface) = http::get(addr, &http::path(&["v1", "groups", group]), &[])?;
    if status != 200 {
        return Ok(refuse(&interface, options.target.output));
    }
    let queries = interface.get("queries").and_then(Value::as_array).into_iter().flatten();
    let named = |operation: &&Value| operation.get("name").and_then(Value::as_str) == Some(name);
    let path = |kind| http::path(&["v1", "groups", group, kind, name]);
    // What is neither is asked for as a command: the node says what there is.
    let level = options.level().map_err(|text| Error::new(Code::InvalidArgument, text))?;
    let (status, body) = if queries.into_iter().find(named).is_some() {
        http::read(addr, &path("queries"), &options.arguments, level.as_deref())?
    } else if level.is_some() {
        let message = format!("{name:?} is no query, and only queries are read at a level");
        return Err(Error::new(Code::InvalidArgument, message));
    } else {
        http::command(
            addr,
            &path("commands"),
            &options.arguments,
            options.idempotency_key.as_deref(),
        )?
    };
    if status != 200 {
        return Ok(refuse(&body, options.target.output));
    }
    match options.target.output {
        Output::Json => say(&body),
        Output::Table => print_reply(body.get("reply").unwrap_or(&Value::Null)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a problem and turns its outcome into an exit code.
pub(super) fn refuse(problem: &Value, output: Output) -> ExitCode {
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    match output {
        Output::Json => say(problem),
        Output::Table => {
            eprintln!("error: {} {} ({})", text("code"), text("detail"), text("outcome"))
        }
    }
    if text("outcome") == "unknown" { ExitCode::from(3) } else { ExitCode::FAILURE }
}

/// Prints a reply for people: a list of lists as a table, a text bare, all else as JSON.
fn print_reply(reply: &Value) {
    let rows: Option<Vec<&Vec<Value>>> = reply
        .as_array()
        .filter(|rows| !rows.is_empty())
        .and_then(|rows| rows.iter().map(Value::as_array).collect());
    match (rows, reply) {
        (Some(rows), _) => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            for row in rows {
                table.add_row(row.iter().map(bare));
            }
            say(table);
        }
        (None, reply) => say(bare(reply)),
    }
}

/// Returns a value for people: a text without quotes, all else as JSON.
pub(super) fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
