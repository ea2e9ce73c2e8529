//! What operators ask of a group.

use std::process::ExitCode;

use serde_json::Value;

use super::{
    call::refuse,
    http,
    options::{Output, TransferLeader},
    say,
};
use crate::error::Result;

/// Hands the lead of a group over, and says who leads then.
pub(super) fn transfer_leader(options: &TransferLeader) -> Result<ExitCode> {
    let path = http::path(&["v1", "groups", &options.group, "transfer"]);
    let to: Vec<_> = options.to.iter().map(|to| ("to".to_owned(), to.to_string())).collect();
    let (status, body) = http::post(&options.target.address()?, &path, &to)?;
    if status != 200 {
        return Ok(refuse(&body, options.target.output));
    }
    match (options.target.output, body.get("leader").and_then(Value::as_u64)) {
        (Output::Json, _) => say(&body),
        (Output::Table, Some(leader)) => say(format_args!("n{leader} leads {}", options.group)),
        (Output::Table, None) => say(format_args!("the lead of {} is handed over", options.group)),
    }
    Ok(ExitCode::SUCCESS)
}
