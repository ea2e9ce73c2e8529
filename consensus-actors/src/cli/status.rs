//! `status`: one line a group, as the node that is asked sees it.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::Value;

use super::{
    http,
    options::{self, Output},
    say,
};
use crate::error::{Code, Error, Result};

/// Shows how the groups stand; exits 0 if each has a leader, 1 if one has none.
pub(super) fn status(options: &options::Status) -> Result<ExitCode> {
    let addr = &options.target.address()?;
    let (code, body) = http::get(addr, "/v1/status", &[])?;
    let groups = body.get("groups").and_then(Value::as_array).filter(|_| code == 200);
    let groups = groups.ok_or_else(|| {
        Error::new(Code::Unreachable, format!("what answers at {addr} is no node; check --addr"))
    })?;
    match options.target.output {
        Output::Json => say(&body),
        Output::Table => print_table(&body, groups),
    }
    let led =
        groups.iter().all(|group| group.get("leader").is_some_and(|leader| !leader.is_null()));
    Ok(if led { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_table(body: &Value, groups: &[Value]) {
    let text = |value: &Value, name: &str| match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let clients = |name: &str| body.get("clients")?.get(name)?.as_u64();
    let clients = match clients("connected").zip(clients("max")) {
        None | Some((0, _)) => String::new(),
        Some((connected, max)) => format!(", {connected} of {max} remote clients"),
    };
    say(format_args!("node {} of cluster {}{clients}", text(body, "node"), text(body, "cluster")));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "GROUP",
        "PROTOCOL",
        "ROLE",
        "LEADER",
        "TERM",
        "COMMITTED",
        "APPLIED",
        "SNAPSHOT",
        "MEMBERS",
    ]);
    for group in groups {
        let members = group.get("members").and_then(Value::as_array);
        let members: Vec<String> = members.into_iter().flatten().map(Value::to_string).collect();
        let leader = group.get("leader").filter(|leader| !leader.is_null());
        let is_witness = group.get("witness").and_then(Value::as_bool).unwrap_or_default();
        let role = if is_witness { "witness".to_owned() } else { text(group, "role") };
        table.add_row([
            text(group, "name"),
            text(group, "protocol"),
            role,
            leader.map_or_else(|| "none".to_owned(), |leader| format!("n{leader}")),
            text(group, "term"),
            text(group, "committed"),
            text(group, "applied"),
            text(group, "snapshot"),
            members.join(","),
        ]);
    }
    say(table);
}
