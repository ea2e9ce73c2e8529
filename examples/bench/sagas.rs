//! Sagas of three steps, one after the other, at services in the process that carries them out: what
//! is measured is what it takes to write them down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use consensus_actors::{
    Error, Node, Result,
    prelude::*,
    saga::{
        BoxFuture, Bytes, Class, Graph, Outcome, Retry, Saga, SagaCx, SagaDefinition, Sagas, Step,
        StepId, Undo,
    },
};
use serde_json::{Value, json};

use crate::{
    cast::Cast,
    cluster::{Led, Scene, drive},
    load::Load,
    report::{Report, rounded},
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

/// Returns how many commands the log of a node's group holds, as the node says.
fn committed(address: &str) -> Result<u64> {
    let response = ureq::get(format!("http://{address}/v1/status")).call();
    let mut response = response.map_err(Error::application)?;
    let status: Value = response.body_mut().read_json().map_err(Error::application)?;
    let group = status["groups"].as_array().and_then(|groups| {
        groups.iter().find(|group| group["name"] == NAME).and_then(|it| it["committed"].as_u64())
    });
    Ok(group.expect("the node hosts them"))
}

/// Sagas on so many nodes; clients live in the process that carries them out. Says, too, how many
/// commands to the group of the logs each saga took, of which many share all but one.
pub(crate) fn trips(scene: &Scene<'_>, (mode, nodes): (&str, u64), report: &mut Report) -> Result {
    let led = Led::start(scene, (nodes, Cast::Sagas), async |node| {
        let sagas = host(&node).await?;
        sagas.transfer(Some(1)).deadline("20s").await?;
        Ok(sagas)
    })?;
    let address = led.members.told.http_address(1);
    let (before, ended) = (committed(&address)?, Arc::new(AtomicU64::new(0)));
    let load = Load::begin(scene.span.warm_up, scene.span.measured);
    let tally = drive(scene.clients, |number| {
        let (sagas, count) = (led.hosted.clone(), Arc::clone(&ended));
        let trip = move |number| {
            let (sagas, count) = (sagas.clone(), Arc::clone(&count));
            async move {
                let ended = sagas.start(Trip { number }).await?.wait().await?;
                assert!(matches!(ended, Saga::Completed(of) if of == number), "{ended:?}");
                count.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Error>(())
            }
        };
        (led.arbiter(), Arc::clone(&load).client(number, trip))
    });
    let commands = committed(&address)?.saturating_sub(before) as f64;
    let each = commands / ended.load(Ordering::Relaxed).max(1) as f64;
    report.add(scene.row(mode, &load, &tally));
    report.fact(json!({
        "mode": mode, "clients": scene.clients, "log_commands_per_saga": rounded(each),
    }));
    Ok(())
}
