//! `decide`: what the cluster agrees upon once.

use std::process::ExitCode;

use serde_json::Value;

use super::{call, http, options, options::Output, say};
use crate::error::Result;

/// Has something decided, or tells what was; exits 0 with the value that is chosen, 1 if there is
/// none, 3 if nobody knows.
pub(super) fn decide(options: &options::Decide) -> Result<ExitCode> {
    let addr = &options.target.address()?;
    let path = http::path(&["v1", "decisions", &options.name]);
    let (status, body) = match &options.value {
        // What is no JSON is a text.
        Some(text) => {
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
            http::put(addr, &path, &value)?
        }
        None => http::get(addr, &path, &[])?,
    };
    if status != 200 {
        return Ok(call::refuse(&body, options.target.output));
    }
    match options.target.output {
        Output::Json => say(&body),
        Output::Table => say(call::bare(body.get("value").unwrap_or(&Value::Null))),
    }
    Ok(ExitCode::SUCCESS)
}
