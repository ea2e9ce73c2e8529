//! What happened in a run, a line each.

use bytes::Bytes;
use consensus_core::saga::{Entry, Graph, Outcome};
use serde_json::Value;

use super::script::told;
use crate::saga::{Saga, reign::Attempt, telling};

/// What happened.
#[derive(Default)]
pub(super) struct Story(Vec<String>);

impl Story {
    /// A record is durable.
    pub(super) fn record(&mut self, entry: &Entry, graph: &Graph) {
        let told = telling::one(entry, Some(graph));
        let detail = match &told["detail"] {
            Value::Null => String::new(),
            detail => format!(" {detail}"),
        };
        self.0.push(format!("{:>4}  {}{detail}", entry.seq.0, Self::record_told(entry, graph)));
    }

    /// Returns what a record says, like `goods done`.
    pub(super) fn record_told(entry: &Entry, graph: &Graph) -> String {
        let told = telling::one(entry, Some(graph));
        let words = ["step", "record"].map(|word| told[word].as_str().unwrap_or_default());
        words.join(" ").trim_start().replace('_', " ")
    }

    /// Something happens.
    pub(super) fn note(&mut self, text: &str) {
        self.0.push(format!("      ({text})"));
    }

    /// A request comes to nobody.
    pub(super) fn unasked(&mut self, attempt: &Attempt, graph: &Graph, why: &str) {
        self.0.push(format!("      ask for {}: {why}", Self::asked(attempt, graph)));
    }

    /// A participant answers.
    pub(super) fn answered(
        &mut self,
        (attempt, graph): (&Attempt, &Graph),
        (outcome, why): (&Outcome, Option<String>),
        is_unheard: bool,
    ) {
        let (asked, outcome) = (Self::asked(attempt, graph), Self::outcome(outcome));
        let why = why.map(|why| format!(", {why}")).unwrap_or_default();
        let heard = if is_unheard { " (nobody hears of it)" } else { "" };
        self.0.push(format!("      ask for {asked}: {outcome}{why}{heard}"));
    }

    fn asked(attempt: &Attempt, graph: &Graph) -> String {
        let call = &attempt.call;
        let what = told(graph, (call.key.step, call.key.op));
        let epoch = call.epoch.0;
        if epoch > 1 { format!("{what} in epoch {epoch}") } else { what }
    }

    /// Returns what came of a request.
    pub(super) fn outcome(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Done(output) if output.is_empty() => "done".to_owned(),
            Outcome::Done(output) => format!("done {}", telling::value(output)),
            Outcome::Rejected(cause) => format!("refused: {}", String::from_utf8_lossy(cause)),
            Outcome::Unknown => "unknown".to_owned(),
        }
    }

    /// Returns how a saga ended.
    pub(super) fn ending(ended: &Saga<Bytes>) -> String {
        match ended {
            Saga::Completed(_) => "has completed".to_owned(),
            Saga::Compensated { failed: Some(failed), cause } => {
                format!("is undone because of {failed} ({cause})")
            }
            Saga::Compensated { failed: None, cause } => format!("is undone ({cause})"),
            Saga::Stuck { cause, .. } => format!("is stuck: {cause}"),
            Saga::Abandoned => "is abandoned".to_owned(),
        }
    }

    /// Returns all of it.
    pub(super) fn lines(self) -> Vec<String> {
        self.0
    }
}
