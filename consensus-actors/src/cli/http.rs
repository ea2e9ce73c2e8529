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
        .build()
        .into()
}

fn unreachable(addr: &str, error: &ureq::Error, outcome: Outcome) -> Error {
    let message = format!(
        "no node answers at {addr}: {error}; start one, or name another with --addr or CONSENSUS_ADDR"
    );
    Error::new(Code::Unreachable, message).with_outcome(outcome)
}

fn read(addr: &str, mut response: ureq::http::Response<ureq::Body>) -> Result<Answered> {
    let status = response.status().as_u16();
    let body = response.body_mut().read_json().map_err(|error| {
        let message = format!("what answers at {addr} is no node: {error}; check --addr");
        Error::new(Code::Unreachable, message)
    })?;
    Ok((status, body))
}

/// Gets a path of the node at `addr`.
pub(super) fn get(addr: &str, path: &str, query: &[(String, String)]) -> Result<Answered> {
    let request = agent().get(format!("http://{addr}{path}"));
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    let response =
        request.call().map_err(|error| unreachable(addr, &error, Outcome::NotApplied))?;
    read(addr, response)
}

/// Posts to a path of the node at `addr`, with the arguments in the URL.
pub(super) fn post(
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
    let response = request.send_empty().map_err(|error| {
        let sent = !matches!(error, ureq::Error::ConnectionFailed | ureq::Error::Io(_));
        let outcome = if sent { Outcome::Unknown } else { Outcome::NotApplied };
        unreachable(addr, &error, outcome)
    })?;
    read(addr, response)
}
