//! The steps of a saga as its log has them, for who looks at one.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::saga::{Entry, Graph, Order, Record, StepId};
use serde_json::{Value, json};

use super::telling::{text, value};

/// What a log says of a step.
#[derive(Default)]
struct Known {
    asked: Option<Duration>,
    ended: Option<Duration>,
    undone: Option<Duration>,
    /// How often it was refused and asked for anew.
    rounds: u32,
    standing: &'static str,
    output: Option<Bytes>,
    cause: Option<Bytes>,
}

impl Known {
    fn note(&mut self, entry: &Entry, step: StepId) {
        let at = Some(entry.spent);
        match &entry.record {
            Record::Intended(id) if *id == step => {
                (self.asked, self.standing) = (at, "asked");
            }
            Record::Done { step: id, output, .. } if *id == step => {
                (self.ended, self.standing) = (at, "done");
                self.output = Some(output.clone());
            }
            Record::Rejected { step: id, cause, .. } if *id == step => {
                self.rounds += 1;
                (self.ended, self.standing) = (at, "rejected");
                self.cause = Some(cause.clone());
            }
            Record::Unresolved { step: id, .. } if *id == step => {
                (self.ended, self.standing) = (at, "unknown");
            }
            Record::Undone { step: id, .. } if *id == step => {
                (self.undone, self.standing) = (at, "undone");
            }
            Record::UndoFailed { step: id, cause, .. } if *id == step => {
                (self.undone, self.standing) = (at, "undo_failed");
                self.cause = Some(cause.clone());
            }
            Record::Ordered { order: Order::Skip(id), .. } if *id == step => {
                (self.ended, self.standing) = (self.ended.or(at), "skipped");
            }
            Record::Begun { .. }
            | Record::Intended(_)
            | Record::Done { .. }
            | Record::Rejected { .. }
            | Record::Unresolved { .. }
            | Record::Turned(_)
            | Record::Undone { .. }
            | Record::UndoFailed { .. }
            | Record::Resumed
            | Record::Ordered { .. } => {}
        }
    }
}

/// Tells of each step what it waits for, how deep that makes it, how it stands, and when by the
/// saga's own time.
pub(crate) fn steps(log: &[Entry], graph: &Graph) -> Value {
    let mut depths: Vec<usize> = Vec::new();
    let told = graph.steps().map(|(id, step)| {
        let mut known = Known { standing: "waits", ..Known::default() };
        log.iter().for_each(|entry| known.note(entry, id));
        let above = graph.before(id).filter_map(|it| depths.get(usize::from(it.0)).copied());
        let depth = above.max().map_or(0, |above| above + 1);
        depths.push(depth);
        let name = |id: StepId| Some(graph.step(id)?.name.clone());
        let millis = |at: Option<Duration>| at.map(|at| at.as_millis() as u64);
        json!({
            "step": step.name,
            "depth": depth,
            "class": format!("{:?}", step.class).to_lowercase(),
            "after": step.after.iter().filter_map(|id| name(*id)).collect::<Vec<_>>(),
            "standing": known.standing,
            "asked_ms": millis(known.asked),
            "ended_ms": millis(known.ended),
            "undone_ms": millis(known.undone),
            "refused": known.rounds,
            "output": known.output.as_ref().map(value),
            "cause": known.cause.as_ref().map(text),
        })
    });
    told.collect()
}
