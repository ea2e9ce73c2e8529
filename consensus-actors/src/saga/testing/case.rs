//! What is tested: a definition, an input, and what users give, whatever their types.

use std::{panic::catch_unwind, sync::Arc};

use bytes::Bytes;
use consensus_core::saga::{Graph, Retry, Step};

use super::{caught::said, given::Given, report::Broken};
use crate::{
    client::encode,
    saga::{PAYLOAD_BYTES_MAX, SagaDefinition, cx::Common, definition::Registered},
};

/// How often a step is asked for at most: more attempts show nothing that these do not.
const ATTEMPTS_MAX: u32 = 8;

/// What is tested.
pub(super) struct Case {
    pub(super) registered: Registered,
    /// The definition without its deadline, since there is no time, and with so many attempts.
    pub(super) graph: Arc<Graph>,
    pub(super) input: Bytes,
    pub(super) given: Given,
}

impl Case {
    /// Makes the case of an input.
    ///
    /// # Errors
    /// [`Broken`] when no run can begin.
    pub(super) fn new<S: SagaDefinition>(input: &S, given: Given) -> Result<Self, Broken> {
        let registered = catch_unwind(Registered::new::<S>).map_err(|panic| {
            let expected = "the definition makes a graph of its steps";
            refused(std::any::type_name::<S>(), expected, said(&*panic))
        })?;
        let saga = registered.graph().to_string();
        if given.checks_nothing() {
            let came = "nothing is checked: say by .check(..) what must hold when it has ended";
            return Err(refused(&saga, "the test checks something", came.to_owned()));
        }
        let expected = "the input can be kept in a log, and read there";
        let input = encode(input).map_err(|error| refused(&saga, expected, error.to_string()))?;
        if input.len() > PAYLOAD_BYTES_MAX {
            let came = format!("it takes {} bytes, more than {PAYLOAD_BYTES_MAX}", input.len());
            return Err(refused(&saga, expected, came));
        }
        let read = registered.definition.check(&input);
        read.map_err(|error| refused(&saga, expected, error.message().to_owned()))?;
        let graph = registered.graph();
        let steps = graph.steps().map(|(_, step)| {
            let attempts_max = step.retry.attempts_max.min(ATTEMPTS_MAX);
            Step { retry: Retry { attempts_max, ..step.retry }, ..step.clone() }
        });
        let graph = Graph::new((graph.name(), graph.version()), None, steps.collect());
        let graph = Arc::new(graph.expect("times and retries do not make a graph"));
        Ok(Self { registered, graph, input, given })
    }

    /// Returns what all steps of a run know.
    ///
    /// # Errors
    /// What was to be, and what came.
    pub(super) async fn common(&self) -> Result<Common, (String, String)> {
        let values = self.given.values().await;
        values.map_err(|said| {
            let expected = "what is given by .with(..) can be made";
            (expected.to_owned(), format!("it panicked: {said}"))
        })
    }

    /// Says what a run shows.
    pub(super) fn broken(&self, run: String, (expected, came): (String, String)) -> Broken {
        Broken { saga: self.graph.to_string(), run, expected, came, story: Vec::new() }
    }
}

fn refused(saga: &str, expected: &str, came: String) -> Broken {
    let (run, expected) = ("none can begin".to_owned(), expected.to_owned());
    Broken { saga: saga.to_owned(), run, expected, came, story: Vec::new() }
}
