//! One attempt at a step, on the arbiter of steps, until it has an outcome or its executor is
//! replaced.

use std::time::Duration;

use actix::{Addr, ArbiterHandle};
use consensus_core::saga::{Call, Outcome};
use tokio::{sync::watch, time::timeout};

use super::{
    coordinator::{Coordinator, Replied},
    reign::Attempt,
};

/// The way back to the coordinator. Whatever becomes of an attempt it is told: what was dropped,
/// with its actor or its arbiter, is unknown.
struct Report {
    coordinator: Addr<Coordinator>,
    call: Call,
    outcome: Outcome,
}

impl Drop for Report {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Unknown);
        self.coordinator.do_send(Replied { call: self.call.clone(), outcome });
    }
}

/// Makes an attempt, until the reign is over.
pub(super) fn launch(
    attempt: Attempt,
    arbiter: Option<&ArbiterHandle>,
    coordinator: Addr<Coordinator>,
    mut reign: watch::Receiver<()>,
) {
    let Attempt { registered, input, cx, call } = attempt;
    let step = registered.graph().step(call.key.step);
    let limit = step.map_or(Duration::ZERO, |step| step.timeout);
    let output = call.output.clone();
    let mut report = Report { coordinator, call, outcome: Outcome::Unknown };
    let attempt = async move {
        let key = report.call.key;
        // A task of its own: its panic is its own, too.
        let work = async move { registered.definition.run(input, cx, output).await };
        let mut work = actix_rt::spawn(work);
        tokio::select! {
            biased;
            ended = timeout(limit, &mut work) => match ended {
                Ok(Ok(outcome)) => report.outcome = outcome,
                Ok(Err(error)) => {
                    tracing::error!(%key, "a step panicked, what came of it is unknown: {error}");
                }
                Err(_) => work.abort(),
            },
            // The reign is over when its end of the watch is gone.
            _ = reign.changed() => work.abort(),
        }
        drop(report);
    };
    match arbiter {
        Some(arbiter) => drop(arbiter.spawn(attempt)),
        None => drop(actix_rt::spawn(attempt)),
    }
}
