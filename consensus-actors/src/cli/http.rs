//! Asking a node over HTTP.

use std::time::Duration;

use consensus_core::Outcome;
use serde_json::Value;

use crate::error::{Code, Error, Result};

/// How long a node may take to answer: longer than it gives a call itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// A node's answer: its HTTP status and the JSON body.
pub(super) type Answered = (u16, Value);

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        // A proxy for the world outside must not stand between a node and its operator.
        .proxy(None)
        .build()
        .into()
}

/// Makes a path of these segments, whatever characters they have.
pub(super) fn path(segments: &[&str]) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    path
}

/// Words an error that came before the node can have seen the request; `None` if it may have.
fn unsent(addr: &str, error: &ureq::Error) -> Option<Error> {
    use std::io::ErrorKind;
    let message = match error {
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
            format!("the request cannot be made: {error}; check --addr and --idempotency-key")
        }
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => no_node(addr, error),
        ureq::Error::Io(io) => match io.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::InvalidInput => no_node(addr, error),
            _ => return None,
        },
        _ => return None,
    };
    Some(Error::new(Code::Unreachable, message))
}

fn no_node(addr: &str, error: &ureq::Error) -> String {
    format!(
        "no node answers at {addr}: {error}; start one, or name another with --addr or \
         CONSENSUS_ADDR"
    )
}

/// Takes an answer that is JSON, as all answers of a node are, with the commit token that it has.
fn taken(mut response: ureq::http::Response<ureq::Body>) -> Result<Answered, ureq::Error> {
    let status = response.status().as_u16();
    let mut body: Value = response.body_mut().read_json()?;
    let token = response.headers().get("Commit-Token").and_then(|token| token.to_str().ok());
    if let (Some(token), Some(body)) = (token, body.as_object_mut()) {
        body.insert("token".to_owned(), token.into());
    }
    Ok((status, body))
}

/// Gets a path of the node at `addr`.
pub(super) fn get(addr: &str, path: &str, query: &[(String, String)]) -> Result<Answered> {
    read(addr, path, query, None)
}

/// Gets a path of the node at `addr` that is read at a level.
pub(super) fn read(
    addr: &str,
    path: &str,
    query: &[(String, String)],
    level: Option<&str>,
) -> Result<Answered> {
    let request = agent().get(format!("http://{addr}{path}"));
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    let request = match level {
        Some(level) => request.header("Consensus-Read", level),
        None => request,
    };
    let response = request.call().map_err(|error| {
        let lost = || Error::new(Code::Unreachable, no_node(addr, &error));
        unsent(addr, &error).unwrap_or_else(lost)
    })?;
    taken(response).map_err(|error| {
        let message = format!("what answers at {addr} is no node: {error}; check --addr");
        Error::new(Code::Unreachable, message)
    })
}

/// Deletes at a path of the node at `addr`, with the arguments in the URL.
pub(super) fn delete(addr: &str, path: &str, query: &[(String, String)]) -> Result<Answered> {
    let request = agent().delete(format!("http://{addr}{path}"));
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    request.call().and_then(taken).map_err(|error| lost(addr, &error, MAY_BE_REPEATED))
}

/// Posts what an operator asks for to a path of the node at `addr`, with the arguments in the URL.
pub(super) fn post(addr: &str, path: &str, query: &[(String, String)]) -> Result<Answered> {
    let request = agent().post(format!("http://{addr}{path}"));
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    request.send_empty().and_then(taken).map_err(|error| lost(addr, &error, MAY_BE_REPEATED))
}

/// Puts a value at a path of the node at `addr`.
pub(super) fn put(addr: &str, path: &str, value: &Value) -> Result<Answered> {
    let request = agent().put(format!("http://{addr}{path}"));
    request.send_json(value).and_then(taken).map_err(|error| lost(addr, &error, MAY_BE_REPEATED))
}

/// Posts a command of a group, which is applied once for `key` if there is one.
pub(super) fn command(
    addr: &str,
    path: &str,
    query: &[(String, String)],
    key: Option<&str>,
) -> Result<Answered> {
    let request = agent().post(format!("http://{addr}{path}"));
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    let request = match key {
        Some(key) => request.header("Idempotency-Key", key),
        None => request,
    };
    request.send_empty().and_then(taken).map_err(|error| lost(addr, &error, NOT_TO_BE_REPEATED))
}

/// What operators ask for is done once, however often they do.
const MAY_BE_REPEATED: &str = "repeat the command to see what became of it";

const NOT_TO_BE_REPEATED: &str = "the command may be applied or not: read the state before you \
                                  repeat it, or repeat it with the --idempotency-key that it had";

fn lost(addr: &str, error: &ureq::Error, advice: &str) -> Error {
    unsent(addr, error).unwrap_or_else(|| {
        let message = format!("the answer of the node at {addr} was lost: {error}; {advice}");
        Error::new(Code::Unreachable, message).with_outcome(Outcome::Unknown)
    })
}
