//! Where a test works: a schema of its own, with a table in which effects leave their traces.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use consensus_actors::saga::{
    self, CoordinatorId, EffectKey, Epoch, Guarded, Op, Request, SagaId, StepId,
    postgres::{Abort, Barrier, Error},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, NoTls, Transaction};

use crate::server::Server;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) server: Arc<Server>,
    pub(crate) barrier: Barrier,
    schema: String,
}

impl Place {
    /// Opens one on the server that tests share; `None` if there is no PostgreSQL.
    pub(crate) async fn open() -> Option<Self> {
        Some(Self::on(Server::shared()?).await)
    }

    /// Opens one on a server.
    pub(crate) async fn on(server: Arc<Server>) -> Self {
        let place = Self::bare(server).await;
        let client = place.client().await;
        place.barrier.create(&client).await.unwrap();
        client.batch_execute("CREATE TABLE trace (what text NOT NULL)").await.unwrap();
        place
    }

    /// Opens one without tables. Who has waited for a lock for so long has waited in vain: tests
    /// that want to see that say so.
    pub(crate) async fn bare(server: Arc<Server>) -> Self {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let (process, place) = (process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let schema = format!("saga_test_{now}_{process}_{place}");
        let barrier = Barrier::default().patience(PATIENCE).idle(PATIENCE);
        let place = Self { server, barrier, schema };
        let client = place.client().await;
        client.batch_execute(&format!("CREATE SCHEMA {}", place.schema)).await.unwrap();
        place
    }

    /// Connects, and works in the schema from then on.
    pub(crate) async fn client(&self) -> Client {
        self.connect().await.0
    }

    /// Connects, and returns the task that the connection is, too.
    pub(crate) async fn connect(&self) -> (Client, JoinHandle<()>) {
        let mut config: Config = self.server.config().parse().expect("how to connect");
        config.application_name(&self.schema);
        config.options(format!("-c search_path={}", self.schema));
        let (client, connection) = config.connect(NoTls).await.expect("the server answers");
        let connection = tokio::spawn(async move {
            // That it ends is told to the client.
            let _ = connection.await;
        });
        (client, connection)
    }

    /// Counts the traces of effects.
    pub(crate) async fn traces(&self, what: &str) -> i64 {
        let client = self.client().await;
        let counted = "SELECT count(*) FROM trace WHERE what = $1";
        client.query_one(counted, &[&what]).await.unwrap().get(0)
    }

    /// Waits until so many sessions of this place wait for a lock of this kind.
    pub(crate) async fn wait_for_waiters(&self, kind: &str, count: i64) {
        let client = self.client().await;
        let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) \
                       WHERE NOT granted AND locktype = $1 AND application_name = $2";
        let counted = async || -> i64 {
            let counted = client.query_one(waiting, &[&kind, &self.schema]).await;
            counted.unwrap().get(0)
        };
        let waited = async {
            while counted().await < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waited).await.expect("somebody waits");
    }

    /// Has the step leave a trace, and bring a text.
    pub(crate) async fn act(
        &self,
        client: &mut Client,
        of: Request,
    ) -> Result<Guarded<String>, Error> {
        self.barrier.act(client, of, async |transaction| traced(transaction).await).await
    }

    /// Has the step's undoing leave a trace, which says what the step brought.
    pub(crate) async fn undo(
        &self,
        client: &mut Client,
        of: Request,
    ) -> Result<Guarded<()>, Error> {
        let undo = async |transaction: &mut Transaction<'_>, brought: String| {
            let what = format!("undone {brought}");
            transaction.execute("INSERT INTO trace VALUES ($1)", &[&what]).await?;
            Ok(())
        };
        self.barrier.undo(client, of, undo).await
    }
}

/// Leaves a trace.
pub(crate) async fn traced(transaction: &Transaction<'_>) -> Result<String, Abort> {
    transaction.execute("INSERT INTO trace VALUES ('done')", &[]).await?;
    Ok("seventeen".to_owned())
}

pub(crate) fn done() -> Guarded<String> {
    Guarded::Done("seventeen".to_owned())
}

/// Returns a request for the first step of a saga, by the first executor.
pub(crate) fn request(op: Op) -> Request {
    let key = EffectKey { saga: SagaId(7), step: StepId(0), op, round: 0 };
    let age = saga::Age { place: saga::Place(7), oldest: saga::Place(0) };
    Request { key, coordinator: CoordinatorId(u64::MAX), epoch: Epoch(1), age }
}

/// Returns the same request by an executor of this epoch.
pub(crate) fn by(of: Request, epoch: u64) -> Request {
    Request { epoch: Epoch(epoch), ..of }
}

/// Returns the same request for another saga.
pub(crate) fn of_saga(of: Request, saga: u128) -> Request {
    let place = saga::Place(u64::try_from(saga).expect("tests number sagas from zero on"));
    let age = saga::Age { place, ..of.age };
    Request { key: EffectKey { saga: SagaId(saga), ..of.key }, age, ..of }
}
