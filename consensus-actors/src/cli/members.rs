//! `members`: who takes part in the cluster, as the node that is asked sees it.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::Value;

use super::{
    http,
    options::{self, Output},
    say,
};
use crate::error::{Code, Error, Result};

/// Shows who takes part.
pub(super) fn members(options: &options::Members) -> Result<ExitCode> {
    let body = ask(&options.target.address()?)?;
    match options.target.output {
        Output::Json => say(&body),
        Output::Table => print(&body, options.group.as_deref()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Gets the members from a node.
pub(super) fn ask(addr: &str) -> Result<Value> {
    let (code, body) = http::get(addr, "/v1/members", &[])?;
    if code == 200 && body.get("members").is_some_and(Value::is_array) {
        return Ok(body);
    }
    let message = format!("what answers at {addr} is no node; check --addr");
    Err(Error::new(Code::Unreachable, message))
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + Clone {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("-")
}

fn print(body: &Value, group: Option<&str>) {
    say(format_args!("cluster {}, as n{} sees it", text(body, "cluster"), body["node"]));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NODE", "ADDRESS", "ROLE", "LEADS", "BEHIND", "HEARD"]);
    for member in list(body, "members") {
        let parts = list(member, "groups");
        let parts = parts.filter(|part| group.is_none_or(|group| text(part, "group") == group));
        if parts.clone().next().is_none() {
            continue;
        }
        let leads = parts.clone().filter(|part| part["leads"] == true);
        let leads: Vec<&str> = leads.map(|part| text(part, "group")).collect();
        let behind = parts.clone().filter_map(|part| part["behind"].as_u64()).max();
        table.add_row([
            format!("n{}", member["id"]),
            text(member, "address").to_owned(),
            roles(parts),
            if leads.is_empty() { "-".to_owned() } else { leads.join(", ") },
            behind.map_or_else(|| "-".to_owned(), |behind| behind.to_string()),
            heard(member),
        ]);
    }
    say(table);
    for node in list(body, "waiting") {
        let (id, address) = (&node["id"], text(node, "address"));
        say(format_args!("n{id} waits to be added: `add {id} {address}`"));
    }
    let removed: Vec<String> = list(body, "removed").map(|id| format!("n{id}")).collect();
    if !removed.is_empty() {
        say(format_args!("removed, never to be used again: {}", removed.join(", ")));
    }
}

/// Returns how many log entries a member lacks at most, where the node that was asked leads.
pub(super) fn behind(body: &Value, node: u64) -> Option<u64> {
    let member = list(body, "members").find(|member| member["id"] == node)?;
    list(member, "groups").filter_map(|part| part["behind"].as_u64()).max()
}

/// Says what a member is: in one word where it is the same to all groups.
fn roles<'a>(parts: impl Iterator<Item = &'a Value>) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for part in parts {
        let role = text(part, "role");
        let role = match (part["joining"].as_bool(), part["replaces"].as_u64()) {
            (Some(true), Some(replaced)) => format!("{role}, to replace n{replaced}"),
            (Some(true), None) => format!("{role}, to vote"),
            (Some(false) | None, _) => role.to_owned(),
        };
        match counts.iter_mut().find(|(counted, _)| *counted == role) {
            Some((_, count)) => *count += 1,
            None => counts.push((role, 1)),
        }
    }
    match &counts[..] {
        [(role, _)] => role.clone(),
        _ => {
            let each = counts.iter().map(|(role, count)| format!("{role} in {count}"));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

/// Says when the node that was asked heard of a member last.
fn heard(member: &Value) -> String {
    if member["answers_here"] == true {
        return "answers".to_owned();
    }
    match member["heard_ms_ago"].as_u64().filter(|_| member["up"] == true) {
        Some(ago) => format!("{:.1} s ago", ago as f64 / 1_000.0),
        None => "is down".to_owned(),
    }
}
