//! Sagas of three steps, one after the other, at services in the process that carries them out: what
//! is measured is what it takes to write them down.

use std::{sync::Arc, time::Duration};

use consensus_actors::{
    Error, Node, Result,
    prelude::*,
    saga::{
        BoxFuture, Bytes, Class, Graph, Outcome, Retry, Saga, SagaCx, SagaDefinition, Sagas, Step,
        StepId, Undo,
    },
};

use crate::{
    cast::Cast,
    cluster::{Led, Scene, drive},
    load::Load,
    report::Row,
};

/// The name of the group of their logs.
const NAME: &str = "sagas";

/// A saga whose steps have nothing to do.
#[derive(Clone, Serialize, Deserialize)]
struct Trip {
    number: u64,
}

impl SagaDefinition for Trip {
    type Output = u64;

    fn graph() -> Graph {
        let step = |name: &str, class, after| Step {
            name: name.to_owned(),
            class,
            after,
            timeout: Duration::from_secs(30),
            retry: Retry::default(),
        };
        let steps = vec![
            step("flight", Class::Compensatable, Vec::new()),
            step("room", Class::Compensatable, vec![StepId(0)]),
            step("ticket", Class::Pivot, vec![StepId(1)]),
        ];
        Graph::new(("trip", 1), None, steps).expect("the steps make a saga")
    }

    fn act<'a>(&'a self, _: StepId, _: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
        Box::pin(std::future::ready(Outcome::<u64>::Done(self.number).encoded()))
    }

    fn undo<'a>(&'a self, _: StepId, _: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
        Box::pin(std::future::ready(Undo::Done))
    }
}

/// Hosts them.
pub(crate) async fn host(node: &Node) -> Result<Sagas> {
    node.sagas(NAME).register::<Trip>().await
}

/// Sagas on so many nodes; clients live in the process that carries them out.
pub(crate) fn trips(scene: &Scene<'_>, mode: &str, nodes: u64) -> Result<Row> {
    let led = Led::start(scene, (nodes, Cast::Sagas), async |node| {
        let sagas = host(&node).await?;
        sagas.transfer(Some(1)).deadline("20s").await?;
        Ok(sagas)
    })?;
    let load = Load::begin(scene.span.warm_up, scene.span.measured);
    let tally = drive(scene.clients, |number| {
        let sagas = led.hosted.clone();
        let trip = move |number| {
            let sagas = sagas.clone();
            async move {
                let ended = sagas.start(Trip { number }).await?.wait().await?;
                assert!(matches!(ended, Saga::Completed(of) if of == number), "{ended:?}");
                Ok::<_, Error>(())
            }
        };
        (led.arbiter(), Arc::clone(&load).client(number, trip))
    });
    Ok(scene.row(mode, &load, &tally))
}
