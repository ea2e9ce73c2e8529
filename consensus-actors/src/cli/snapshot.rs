//! `snapshot`: takes a snapshot of a group on a node, or lists those that are there.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::Value;

use super::{
    call::refuse,
    http,
    options::{Output, Snapshot, SnapshotAction},
    say,
};
use crate::error::Result;

/// Takes one, or lists them.
pub(super) fn snapshot(options: &Snapshot) -> Result<ExitCode> {
    let (addr, output) = (options.target.address()?, options.target.output);
    let path = http::path(&["v1", "groups", &options.group, "snapshots"]);
    let (status, body) = match options.action {
        SnapshotAction::Save => http::post(&addr, &path, &[], None)?,
        SnapshotAction::List => http::get(&addr, &path, &[])?,
    };
    if status != 200 {
        return Ok(refuse(&body, output));
    }
    match (output, options.action) {
        (Output::Json, _) => say(&body),
        (Output::Table, SnapshotAction::Save) => {
            say(format_args!("snapshot of {} up to {}", options.group, number(&body, "index")));
        }
        (Output::Table, SnapshotAction::List) => print_table(&body),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(body: &Value) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["INDEX", "TERM", "BYTES", "TIME"]);
    let snapshots = body.get("snapshots").and_then(Value::as_array);
    for snapshot in snapshots.into_iter().flatten() {
        table.add_row(["index", "term", "bytes", "time"].map(|name| number(snapshot, name)));
    }
    say(table);
}

fn number(value: &Value, name: &str) -> String {
    value.get(name).map_or_else(|| "-".to_owned(), Value::to_string)
}
