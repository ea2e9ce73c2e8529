//! What calls services over HTTP: steps, and whoever places orders.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use consensus_actors::saga::{Outcome, SagaCx};
use serde::{Serialize, de::DeserializeOwned};

use crate::layout::{Layout, Service};

/// How long one replica may take: all three of a service fit into an attempt of a step.
const REPLICA_TIMEOUT: Duration = Duration::from_millis(1_500);

/// An answer: its status and body.
pub(crate) type Answer = (u16, Vec<u8>);

/// Makes a client that keeps connections.
pub(crate) fn agent(timeout: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(timeout)).build().into()
}

/// Posts JSON and reads the answer, whatever its status. It blocks.
pub(crate) fn post(
    agent: &ureq::Agent,
    url: &str,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> Result<Answer, ureq::Error> {
    let request = agent.post(url).header("content-type", "application/json");
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
    read(request.send(body)?)
}

/// Gets a page, whatever its status. It blocks.
pub(crate) fn get(agent: &ureq::Agent, url: &str) -> Result<Answer, ureq::Error> {
    read(agent.get(url).call()?)
}

/// A book is longer than what is read unless one says so.
const BODY_BYTES_MAX: u64 = 64 << 20;

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec()?;
    Ok((status, body))
}

/// The services, as steps call them.
pub(crate) struct Services {
    layout: Layout,
    agent: ureq::Agent,
    /// Which replica of each answered last.
    last: [AtomicUsize; Service::ALL.len()],
}

impl Services {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, agent: agent(REPLICA_TIMEOUT), last: Default::default() }
    }

    /// Asks a service to do `what` about an order, on behalf of a saga: one replica after the other
    /// until one answers. To ask several is safe, since all have one state with one guard.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        cx: &SagaCx,
        (service, what): (Service, &str),
        order: &str,
        body: &impl Serialize,
    ) -> Outcome<T> {
        let Ok(body) = serde_json::to_vec(body) else { return Outcome::Unknown };
        let (agent, headers, path) =
            (self.agent.clone(), cx.headers(), format!("/orders/{order}/{what}"));
        let last = self.last.get(service as usize);
        let first = last.map_or(0, |last| last.load(Ordering::Relaxed));
        let replicas: Vec<_> = service.members().map(|member| self.layout.http(member)).collect();
        let mut places: Vec<usize> = (0..replicas.len()).collect();
        places.rotate_left(first);
        // The client blocks, and what blocks the node's own thread would hold up its groups.
        let asked = tokio::task::spawn_blocking(move || {
            places.into_iter().find_map(|place| {
                let url = format!("http://{}{path}", replicas.get(place)?);
                let answer = post(&agent, &url, &headers, &body).ok()?;
                // It has no leader, or is ending: another may know more.
                (answer.0 < 500).then_some((place, answer))
            })
        });
        match asked.await {
            Ok(Some((place, (status, body)))) => {
                if let Some(last) = last {
                    last.store(place, Ordering::Relaxed);
                }
                Outcome::from_response(status, &body)
            }
            Ok(None) | Err(_) => Outcome::Unknown,
        }
    }
}
