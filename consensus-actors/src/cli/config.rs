//! `config`: what the settings are and where each comes from, and whether they can work.

use std::process::ExitCode;

use serde_json::Value;

use super::{
    USAGE, complain, flags, http,
    options::{Config, ConfigVerb, Output, Show},
    say, serve,
};
use crate::{
    config::{Layers, enumerated, table::ID, toml_string},
    error::{Code, Error, Result},
};

/// Shows or checks the configuration; exits 2, with all that is wrong, if it cannot be read.
pub(super) fn config(options: &Config) -> Result<ExitCode> {
    let problems = match &options.verb {
        ConfigVerb::Show(show @ Show { addr: Some(addr), .. }) => {
            print(&ask(addr, &show.settings)?, show);
            Ok(())
        }
        ConfigVerb::Show(show) => show.settings.0.read().map(|layers| print(&layers.json(), show)),
        ConfigVerb::Check(check) => check.settings.0.read().and_then(|layers| verify(&layers)),
    };
    Ok(match problems {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            problems.iter().for_each(complain);
            ExitCode::from(USAGE)
        }
    })
}

/// Checks the settings of this node, or of every node that is named if nothing says which one this
/// is.
fn verify(layers: &Layers) -> Result<(), Vec<Error>> {
    let mut ids = layers.nodes();
    ids.extend(layers.peers().iter().map(|(id, _)| *id));
    ids.sort_unstable();
    ids.dedup();
    if layers.id().is_some() || ids.is_empty() {
        ids = layers.id().into_iter().collect();
    }
    let check = |id: Option<u64>| {
        let mut layers = layers.clone();
        if let Some(id) = id {
            layers.set_default(&ID, id);
        }
        serve::complete(layers).map(drop)
    };
    let mut problems: Vec<Error> = match &ids[..] {
        [] => check(None).err().into_iter().collect(),
        ids => ids.iter().filter_map(|id| check(Some(*id)).err()).collect(),
    };
    problems.dedup();
    if !problems.is_empty() {
        return Err(problems);
    }
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let of = layers.file().map(|file| format!("{file} ")).unwrap_or_default();
    let nodes = if ids.len() == 1 { "node" } else { "nodes" };
    say(format_args!("{of}can work, for {nodes} {}", enumerated(&ids)));
    Ok(())
}

/// Asks a node that runs what counts there.
fn ask(addr: &str, settings: &flags::Settings) -> Result<Value> {
    if settings.0.file.is_some() || !settings.0.flags.is_empty() {
        let message = "a node that runs has its settings; with --addr give no others";
        return Err(Error::new(Code::Config, message));
    }
    let (code, body) = http::get(addr, "/v1/config", &[])?;
    if code == 200 && body.get("settings").is_some_and(Value::is_array) {
        return Ok(body);
    }
    let message = format!("what answers at {addr} is no node; check --addr");
    Err(Error::new(Code::Unreachable, message))
}

fn print(settings: &Value, show: &Show) {
    match show.output {
        Output::Json => say(settings),
        Output::Table => {
            let rows = settings.get("settings").and_then(Value::as_array);
            print_file(rows.map(Vec::as_slice).unwrap_or_default(), show.origin);
        }
    }
}

/// Prints a file that says the same, and behind each value where it comes from.
fn print_file(rows: &[Value], origin: bool) {
    let lines: Vec<String> = rows.iter().map(line).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    let mut above = String::new();
    for (row, line) in rows.iter().zip(&lines) {
        let parts = row["section"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let section = parts.map(name).collect::<Vec<_>>().join(".");
        if section != above {
            say(format_args!("\n[{section}]"));
            above = section;
        }
        match row["origin"].as_str().filter(|_| origin) {
            Some(origin) => say(format_args!("{line:width$}  # {origin}")),
            None => say(line),
        }
    }
}

fn line(row: &Value) -> String {
    let name = name(row["name"].as_str().unwrap_or_default());
    match &row["value"] {
        Value::Null => format!("# {name} is not set"),
        Value::String(text) => format!("{name} = {}", toml_string(text)),
        value => format!("{name} = {value}"),
    }
}

/// Writes a name as a file has it: quoted where it must be.
fn name(part: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if !part.is_empty() && part.bytes().all(bare) { part.to_owned() } else { toml_string(part) }
}
