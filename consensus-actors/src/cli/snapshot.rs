//! `snapshot`: takes a snapshot of a group on a node, or lists those that are there.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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
        SnapshotAction::Save => http::post(&addr, &path, &[])?,
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
    table.set_header(["INDEX", "TERM", "BYTES", "STATE OF"]);
    let snapshots = body.get("snapshots").and_then(Value::as_array);
    for snapshot in snapshots.into_iter().flatten() {
        let [index, term, bytes] = ["index", "term", "bytes"].map(|name| number(snapshot, name));
        table.add_row([index, term, bytes, age(snapshot["time"].as_u64(), SystemTime::now())]);
    }
    say(table);
}

/// Says how long before `now` the moment is, which is in milliseconds since 1970.
fn age(moment: Option<u64>, now: SystemTime) -> String {
    let Some(moment) = moment else { return "-".to_owned() };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = now.saturating_sub(Duration::from_millis(moment)).as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn number(value: &Value, name: &str) -> String {
    value.get(name).map_or_else(|| "-".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: an operator reads at a glance how old a snapshot's state is; a clock that is behind
    // makes it new.
    #[test]
    fn age_is_said_in_its_own_unit() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let says = |before: u64| age(Some(1_000_000_000 - before * 1_000), now);
        assert_eq!(says(0), "0 s ago");
        assert_eq!(says(119), "119 s ago");
        assert_eq!(says(120), "2 min ago");
        assert_eq!(says(7_200), "2 h ago");
        assert_eq!(says(400_000), "4 days ago");
        assert_eq!(age(Some(2_000_000_000), now), "0 s ago");
        assert_eq!(age(None, now), "-");
    }
}
