//! `add`, `promote`, `remove` and `replace`: changing who takes part.
//!
//! What a change would do to the quorum is told by the node that is asked, and nothing happens
//! before that is agreed to. The change goes on without whoever asked for it: the same verb joins
//! it again.

use std::{
    io::{BufRead, IsTerminal, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    USAGE,
    call::refuse,
    http::{self, Answered},
    members,
    options::{Add, Changing, Output, Promote, Remove, Replace},
    say,
};
use crate::error::Result;

/// How often a change that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Exit code 3: it is not over, and nobody knows whether it will be.
const UNFINISHED: u8 = 3;

/// A change as it is asked for over HTTP.
struct Request {
    method: &'static str,
    path: String,
    arguments: Vec<(String, String)>,
    /// The node that has to catch up.
    newcomer: Option<u64>,
}

/// Adds a node.
pub(super) fn add(options: &Add) -> Result<ExitCode> {
    let part = match (options.learner, options.witness) {
        (true, _) => "learner",
        (_, true) => "witness",
        (false, false) => "voter",
    };
    let mut arguments = newcomer(options.id, options.address.as_deref());
    arguments.push(("as".to_owned(), part.to_owned()));
    let path = "/v1/members".to_owned();
    let request = Request { method: "POST", path, arguments, newcomer: Some(options.id) };
    change(request, &options.changing)
}

/// Lets a learner vote.
pub(super) fn promote(options: &Promote) -> Result<ExitCode> {
    let path = http::path(&["v1", "members", &options.id.to_string(), "promote"]);
    let request = Request { method: "POST", path, arguments: Vec::new(), newcomer: None };
    change(request, &options.changing)
}

/// Removes a member.
pub(super) fn remove(options: &Remove) -> Result<ExitCode> {
    let path = http::path(&["v1", "members", &options.id.to_string()]);
    let request = Request { method: "DELETE", path, arguments: Vec::new(), newcomer: None };
    change(request, &options.changing)
}

/// Puts a node in the place of a member.
pub(super) fn replace(options: &Replace) -> Result<ExitCode> {
    let path = http::path(&["v1", "members", &options.dead.to_string(), "replace"]);
    let arguments = newcomer(options.new, options.address.as_deref());
    let request = Request { method: "POST", path, arguments, newcomer: Some(options.new) };
    change(request, &options.changing)
}

fn newcomer(id: u64, address: Option<&str>) -> Vec<(String, String)> {
    let address = address.map(|address| ("address".to_owned(), address.to_owned()));
    [("id".to_owned(), id.to_string())].into_iter().chain(address).collect()
}

/// Shows what a change would do, asks, asks for it, and waits until it is over.
fn change(mut request: Request, options: &Changing) -> Result<ExitCode> {
    let (addr, output) = (&options.target.address()?, options.target.output);
    let group = options.group.iter().map(|group| ("group".to_owned(), group.clone()));
    request.arguments.extend(group);
    let (status, preview) = request.send(addr, true)?;
    if status >= 300 {
        return Ok(refuse(&preview, output));
    }
    let effect = preview.get("effect").and_then(Value::as_str).unwrap_or_default();
    let is_done = preview.get("done") == Some(&Value::Bool(true));
    if is_done || options.yes {
        if output == Output::Table {
            say(effect);
        }
    } else if !is_agreed(effect)? {
        return Ok(ExitCode::from(USAGE));
    }

    let until = Instant::now() + options.wait;
    let mut shown = String::new();
    loop {
        let (status, body) = request.send(addr, false)?;
        if status >= 300 {
            return Ok(refuse(&body, output));
        }
        let is_over = Instant::now() >= until;
        let is_done = body.get("done") == Some(&Value::Bool(true));
        if is_done || is_over {
            return Ok(finish(&body, is_done, output));
        }
        if output == Output::Table {
            show_progress(addr, &request, &mut shown)?;
        }
        thread::sleep(LOOK_EVERY);
    }
}

impl Request {
    fn send(&self, addr: &str, is_preview: bool) -> Result<Answered> {
        let mut arguments = self.arguments.clone();
        if is_preview {
            arguments.push(("preview".to_owned(), "true".to_owned()));
        }
        match self.method {
            "DELETE" => http::delete(addr, &self.path, &arguments),
            _ => http::post(addr, &self.path, &arguments),
        }
    }
}

/// Asks whether a change is to happen.
fn is_agreed(effect: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        eprintln!("{effect}. Nothing was changed: repeat it with --yes to agree");
        return Ok(false);
    }
    eprint!("{effect}. Continue? [y/N] ");
    std::io::stderr().flush().ok();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// Says how far the node that comes has caught up, as the node that is asked knows it.
fn show_progress(addr: &str, request: &Request, shown: &mut String) -> Result {
    let Some(newcomer) = request.newcomer else { return Ok(()) };
    let line = match members::behind(&members::ask(addr)?, newcomer) {
        Some(0) => format!("n{newcomer} has caught up"),
        Some(behind) => format!("n{newcomer} is catching up: {behind} entries behind"),
        None => format!("n{newcomer} is catching up"),
    };
    if *shown != line {
        say(&line);
        *shown = line;
    }
    Ok(())
}

/// Says how it ended.
fn finish(body: &Value, is_done: bool, output: Output) -> ExitCode {
    match output {
        Output::Json => say(body),
        Output::Table if is_done => say("done"),
        Output::Table => {
            say("it is not over, and goes on by itself; the same command waits for it again");
        }
    }
    if is_done { ExitCode::SUCCESS } else { ExitCode::from(UNFINISHED) }
}
