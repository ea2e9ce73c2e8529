//! Sagas as tools are told of them, in JSON.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::saga::{Entry, Graph, Order, Reason, Record, SagaId, StepId};
use serde_json::{Value, json};

use super::{
    handle::{Listed, Saga},
    tree::{Now, Shown, ShownStep},
};
use crate::{
    arguments::to_json,
    error::{Code, Error, Result},
};

/// Reads an id as it is written.
pub(crate) fn read_id(text: &str) -> Result<SagaId> {
    let id = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
    id.map(SagaId).ok_or_else(|| {
        let message = format!("{text:?} is no saga; its id has 32 hexadecimal digits");
        Error::new(Code::InvalidArgument, message)
    })
}

/// Tells how a saga stands.
pub(crate) fn row(listed: &Listed) -> Value {
    let Listed { id, definition, records, standing, waits } = listed;
    let mut told = json!({
        "id": format!("{:032x}", id.0),
        "saga": definition,
        "records": records,
    });
    let rest = match standing {
        None => match waits {
            None => json!({ "standing": "under_way" }),
            Some((key, holder)) => json!({
                "standing": "waiting", "for": key, "held_by": format!("{:032x}", holder.0),
            }),
        },
        Some(Saga::Completed(output)) => {
            json!({ "standing": "completed", "output": value(output) })
        }
        Some(Saga::Compensated { failed, cause }) => {
            json!({ "standing": "compensated", "failed": failed, "cause": cause })
        }
        Some(Saga::Stuck { step, cause, hint }) => {
            json!({ "standing": "stuck", "step": step, "cause": cause, "hint": hint })
        }
        Some(Saga::Abandoned) => json!({ "standing": "abandoned" }),
    };
    if let (Some(told), Value::Object(rest)) = (told.as_object_mut(), rest) {
        told.extend(rest);
    }
    told
}

/// Tells all that is known of a saga; what its log says in names where the definition is known.
pub(crate) fn shown(shown: &Shown, graph: Option<&Graph>) -> Value {
    let mut told = row(&shown.listed);
    told["input"] = shown.input.as_ref().map_or(Value::Null, value);
    told["in_charge"] = shown.in_charge.into();
    told["is_live"] = shown.is_live.into();
    told["steps"] = shown.steps.iter().map(step).collect();
    told["log"] = log(&shown.log, graph);
    told
}

/// Tells how a step stands.
fn step(step: &ShownStep) -> Value {
    json!({
        "step": step.name,
        "depth": step.depth,
        "class": format!("{:?}", step.class).to_lowercase(),
        "after": step.after,
        "standing": step.stands.name(),
        "asked_ms": step.asked.map(millis),
        "ended_ms": step.ended.map(millis),
        "undone_ms": step.undone.map(millis),
        "attempts": step.attempts,
        "undo_attempts": step.undo_attempts,
        "refused": step.refused,
        "now": step.now.map(|now| match now {
            Now::Asked(of, since) => json!({ "op": of.name(), "asked_ms_ago": millis(since) }),
            Now::Rests(of, left) => json!({ "op": of.name(), "next_in_ms": millis(left) }),
        }),
        "output": step.output.as_ref().map(value),
        "cause": step.cause,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Tells what a log says; steps have names where the definition is known.
fn log(log: &[Entry], graph: Option<&Graph>) -> Value {
    log.iter().map(|entry| one(entry, graph)).collect()
}

/// Tells what a record says.
pub(super) fn one(entry: &Entry, graph: Option<&Graph>) -> Value {
    let name = |step: &StepId| {
        let known = graph.and_then(|graph| graph.step(*step));
        known.map_or_else(|| Value::from(step.0), |step| Value::from(step.name.as_str()))
    };
    let (what, step, detail) = match &entry.record {
        Record::Begun { input, parent: None, .. } => ("begun", None, value(input)),
        Record::Begun { input, parent: Some(step), .. } => {
            let detail =
                json!({ "step_of": format!("{:032x}", step.saga.0), "input": value(input) });
            ("begun", None, detail)
        }
        Record::Intended(step) => ("intended", Some(step), Value::Null),
        Record::Done { step, output, .. } => ("done", Some(step), value(output)),
        Record::Rejected { step, cause, .. } => ("rejected", Some(step), text(cause).into()),
        Record::Unresolved { step, .. } => ("unresolved", Some(step), Value::Null),
        Record::Turned(reason) => match reason {
            Reason::Rejected(step) | Reason::Unresolved(step) => {
                ("turned", Some(step), Value::Null)
            }
            Reason::Deadline => ("turned", None, "deadline".into()),
            Reason::Cancelled => ("turned", None, "cancelled".into()),
            Reason::Revoked => ("turned", None, "revoked".into()),
        },
        Record::Undone { step, .. } => ("undone", Some(step), Value::Null),
        Record::UndoFailed { step, cause, .. } => ("undo_failed", Some(step), text(cause).into()),
        Record::Resumed => ("resumed", None, Value::Null),
        Record::Ordered { order, reason } => match order {
            Order::Cancel => ("cancel", None, reason.as_str().into()),
            Order::Retry(step) => ("retry", step.as_ref(), reason.as_str().into()),
            Order::Skip(step) => ("skip", Some(step), reason.as_str().into()),
            Order::Abandon => ("abandon", None, reason.as_str().into()),
            Order::Revoke => ("revoke", None, reason.as_str().into()),
        },
    };
    json!({
        "seq": entry.seq.0,
        "epoch": entry.epoch.0,
        "spent_ms": millis(entry.spent),
        "record": what,
        "step": step.map(name),
        "detail": detail,
        "attempts": entry.record.attempts().map(|(_, attempts)| attempts),
    })
}

/// Tells what is encoded there.
pub(super) fn value(bytes: &Bytes) -> Value {
    to_json(bytes).unwrap_or(Value::Null)
}

/// Returns a cause as it is told.
pub(super) fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
