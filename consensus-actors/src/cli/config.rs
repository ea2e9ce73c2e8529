//! `config`: what the settings are and where each comes from, and whether they can work.

use std::process::ExitCode;

use serde_json::json;

use super::{
    USAGE, complain, flags,
    options::{Config, ConfigVerb, Output, Show},
    say, serve,
};
use crate::{
    config::{Layers, Row, Sourced, Value, enumerated, table::ID, toml_string},
    error::{Error, Result},
};

/// Shows or checks the configuration; exits 2, with all that is wrong, if it cannot be read.
pub(super) fn config(options: &Config) -> Result<ExitCode> {
    let problems = match &options.verb {
        ConfigVerb::Show(show) => read(&show.settings).map(|layers| print(&layers, show)),
        ConfigVerb::Check(check) => read(&check.settings).and_then(|layers| verify(&layers)),
    };
    Ok(match problems {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            problems.iter().for_each(complain);
            ExitCode::from(USAGE)
        }
    })
}

fn read(settings: &flags::Settings) -> Result<Layers, Vec<Error>> {
    settings.0.read()
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

fn print(layers: &Layers, show: &Show) {
    let rows = layers.effective();
    match show.output {
        Output::Table => print_file(&rows, show.origin),
        Output::Json => {
            let settings: Vec<_> = rows.iter().map(object).collect();
            let file = layers.file().map(|file| &**file);
            say(json!({ "file": file, "settings": settings }));
        }
    }
}

/// A setting for programs.
fn object(row: &Row) -> serde_json::Value {
    let key = [&row.section[..], std::slice::from_ref(&row.name)].concat().join(".");
    match &row.found {
        None => json!({ "key": key, "value": null, "layer": null, "origin": null }),
        Some(Sourced { value, origin }) => {
            let value = match value {
                Value::Count(count) => json!(count),
                Value::Switch(on) => json!(on),
                Value::Duration(_) | Value::Size(_) | Value::Text(_) => json!(value.to_string()),
            };
            let (layer, origin) = (origin.layer(), origin.to_string());
            json!({ "key": key, "value": value, "layer": layer, "origin": origin })
        }
    }
}

/// Prints a file that says the same, and behind each value where it comes from.
fn print_file(rows: &[Row], origin: bool) {
    let lines: Vec<String> = rows.iter().map(line).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    let mut section: &[String] = &[];
    for (row, line) in rows.iter().zip(&lines) {
        if row.section != section {
            section = &row.section;
            let parts: Vec<String> = section.iter().map(|part| name(part)).collect();
            say(format_args!("\n[{}]", parts.join(".")));
        }
        match &row.found {
            Some(Sourced { origin: from, .. }) if origin => {
                say(format_args!("{line:width$}  # {from}"))
            }
            _ => say(line),
        }
    }
}

fn line(row: &Row) -> String {
    let name = name(&row.name);
    match &row.found {
        None => format!("# {name} is not set"),
        Some(Sourced { value, .. }) if value.is_bare() => format!("{name} = {value}"),
        Some(Sourced { value, .. }) => format!("{name} = {}", toml_string(&value.to_string())),
    }
}

/// Writes a name as a file has it: quoted where it must be.
fn name(part: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if !part.is_empty() && part.bytes().all(bare) { part.to_owned() } else { toml_string(part) }
}
