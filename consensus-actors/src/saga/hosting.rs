//! Hosting sagas: the group of their logs, their definitions, and the coordinator.

use std::{future::IntoFuture, pin::Pin, sync::Arc};

use actix::ArbiterHandle;
use consensus_core::saga::CoordinatorId;

use super::{
    book::Book,
    coordinator::{Coordinator, Office},
    cx::Common,
    definition::{Definitions, SagaDefinition},
    handle::Sagas,
    survey::Survey,
};
use crate::{
    Protocol,
    clock::{MachineCalendar, NodeClock},
    error::Result,
    node::{Hosting, Node},
};

/// Sagas about to be hosted: `.await` hosts them.
#[must_use = "sagas are hosted once this is awaited"]
pub struct HostingSagas {
    node: Node,
    name: String,
    hosting: Hosting<Book>,
    definitions: Result<Definitions>,
    common: Common,
    steps: Option<ArbiterHandle>,
}

impl Node {
    /// Hosts sagas, and the group `name` that keeps their logs:
    /// `node.sagas("orders").register::<PlaceOrder>().await?`.
    ///
    /// The node that leads the group carries out the sagas of all nodes, so each is to register the
    /// same; any of them starts sagas and waits for them. See [`mod@crate::saga`].
    pub fn sagas(&self, name: impl Into<String>) -> HostingSagas {
        let name = name.into();
        HostingSagas {
            node: self.clone(),
            hosting: self.host(name.clone()),
            name,
            definitions: Ok(Definitions::default()),
            common: Common::default(),
            steps: None,
        }
    }
}

impl HostingSagas {
    /// Registers a saga. Two of one name and version are refused.
    pub fn register<S: SagaDefinition>(mut self) -> Self {
        self.definitions = self.definitions.and_then(|mut definitions| {
            definitions.add::<S>()?;
            Ok(definitions)
        });
        self
    }

    /// Gives steps a value, such as a client, to be had by its type:
    /// [`SagaCx::get`](super::SagaCx::get).
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.common.add(value);
        self
    }

    /// Has steps run on this arbiter, not on the node's: what blocks there holds up the node.
    pub fn steps_on(mut self, arbiter: ArbiterHandle) -> Self {
        self.steps = Some(arbiter);
        self
    }

    /// Sets the protocol that replicates the logs, whatever flags, environment and file say.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.hosting = self.hosting.protocol(protocol);
        self
    }

    /// Sets after how many entries a snapshot of the logs is taken, whatever flags, environment and
    /// file say.
    pub fn snapshot_every(mut self, entries: u64) -> Self {
        self.hosting = self.hosting.snapshot_every(entries);
        self
    }
}

impl std::fmt::Debug for HostingSagas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostingSagas").field("name", &self.name).finish_non_exhaustive()
    }
}

impl IntoFuture for HostingSagas {
    type Output = Result<Sagas>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { node, name, hosting, definitions, common, steps } = self;
            let definitions = Arc::new(definitions?);
            let client = hosting.await?;
            let (group, name) = (node.shared.group(&name)?, Arc::<str>::from(name));
            let salt = salt(&node.shared.cluster, &name);
            // Drawn once in the life of the node's data.
            let incarnation = node.shared.identity.incarnation;
            let id = CoordinatorId(salt ^ incarnation as u64 ^ (incarnation >> 64) as u64);
            let common = Arc::new(common);
            let arbiter = node.shared.arbiter.clone();
            let office = Office {
                node: node.shared.id,
                id,
                name: Arc::clone(&name),
                client: client.clone(),
                group,
                definitions: Arc::clone(&definitions),
                common: Arc::clone(&common),
                steps: steps.or_else(|| arbiter.clone()),
                clock: NodeClock::start(Arc::new(MachineCalendar)),
            };
            let survey = Survey::new(&office);
            match &arbiter {
                Some(arbiter) => drop(arbiter.spawn(survey.run())),
                None => drop(actix_rt::spawn(survey.run())),
            }
            let coordinator = Coordinator::launch(office, arbiter.as_ref());
            let sagas = Sagas::new((Arc::clone(&name), salt), client, coordinator, definitions);
            // Steps run from now on; one that is earlier asks again.
            common.sagas.set(sagas.clone()).ok();
            node.shared.add_sagas(&name, &sagas);
            Ok(sagas)
        })
    }
}

/// Returns what the ids of these sagas are drawn with, so that those of other groups and clusters have
/// others: services that know them by their ids may serve several.
fn salt(cluster: &str, group: &str) -> u64 {
    twox_hash::XxHash3_64::oneshot(format!("{cluster:?}{group:?}").as_bytes())
}
