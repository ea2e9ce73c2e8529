//! The tables, and how a row of theirs becomes what the rules of the barrier speak of.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::saga::{Answer, CoordinatorId, Epoch, Heard, Place, Progress, Request, Row};
use tokio_postgres::{Client, Transaction, types::Type};

use super::Settings;

const ABSENT: &str = "absent";
const DONE: &str = "done";
const REJECTED: &str = "rejected";

/// Services that create the tables at once do so one after the other: `IF NOT EXISTS` alone lets
/// two of them try. Any number serves, as long as it is this one.
const CREATING: i64 = 0x5a6a_ba44_1e40;

/// The statements, for tables of one schema.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    create: String,
    ddl: String,
    heard: String,
    raise: String,
    recall: String,
    note: String,
    age: String,
    forget: String,
}

impl Tables {
    pub(super) fn new(schema: Option<&str>) -> Self {
        let schema = schema.map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
        let place = schema.as_ref().map(|name| format!("{name}.")).unwrap_or_default();
        let (barrier, epoch) = (format!("{place}saga_barrier"), format!("{place}saga_epoch"));
        let known = format!("CHECK (%s IN ('{ABSENT}', '{DONE}', '{REJECTED}'))");
        let (action, undo) = (known.replace("%s", "action"), known.replace("%s", "undo"));
        let schema = schema.map(|name| format!("CREATE SCHEMA IF NOT EXISTS {name};\n"));
        let ddl = format!(
            "{}CREATE TABLE IF NOT EXISTS {epoch} (
    coordinator text PRIMARY KEY,
    epoch bigint NOT NULL,
    oldest bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS {barrier} (
    coordinator text NOT NULL,
    place bigint NOT NULL,
    step integer NOT NULL,
    saga uuid NOT NULL,
    round bigint NOT NULL DEFAULT 0,
    action text NOT NULL DEFAULT '{ABSENT}' {action},
    answer bytea NOT NULL DEFAULT '',
    undo_round bigint NOT NULL DEFAULT 0,
    undo text NOT NULL DEFAULT '{ABSENT}' {undo},
    undo_answer bytea NOT NULL DEFAULT '',
    PRIMARY KEY (coordinator, place, step)
);
",
            schema.unwrap_or_default()
        );
        Self {
            create: format!("SELECT pg_advisory_xact_lock({CREATING});\n{ddl}"),
            ddl,
            heard: format!("SELECT epoch, oldest FROM {epoch} WHERE coordinator = $1 FOR SHARE"),
            raise: format!(
                "INSERT INTO {epoch} AS known (coordinator, epoch) VALUES ($1, $2) \
                 ON CONFLICT (coordinator) DO UPDATE SET epoch = excluded.epoch \
                 WHERE known.epoch < excluded.epoch"
            ),
            // Whether the row is there or not, it is this transaction's when the statement is done:
            // who else wants it waits, and sees it as it is committed.
            recall: format!(
                "INSERT INTO {barrier} AS known (coordinator, place, step, saga) \
                 VALUES ($1, $2, $3, $4::uuid) \
                 ON CONFLICT (coordinator, place, step) DO UPDATE SET step = known.step \
                 RETURNING round, action, answer, undo_round, undo, undo_answer"
            ),
            note: format!(
                "UPDATE {barrier} SET round = $4, action = $5, answer = $6, undo_round = $7, \
                 undo = $8, undo_answer = $9 WHERE coordinator = $1 AND place = $2 AND step = $3"
            ),
            age: format!("UPDATE {epoch} SET oldest = $2 WHERE coordinator = $1 AND oldest < $2"),
            forget: format!("DELETE FROM {barrier} WHERE coordinator = $1 AND place < $2"),
        }
    }

    pub(super) fn ddl(&self) -> &str {
        &self.ddl
    }

    /// Creates what is missing. The statements go together, and so are one transaction.
    pub(super) async fn create(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        client.batch_execute(&self.create).await
    }

    /// Returns the latest epoch that was heard of. Nobody hears of a later one before this
    /// transaction ends: an executor that is being replaced commits before that, or not at all.
    pub(super) async fn heard(
        &self,
        transaction: &Transaction<'_>,
        coordinator: CoordinatorId,
    ) -> Result<Option<Heard>, Broken> {
        let name = named(coordinator);
        let found = transaction.query_typed_opt(&self.heard, &[(&name, Type::TEXT)]).await?;
        let heard = found.map(|row| {
            let epoch = Epoch(number(row.try_get::<_, i64>(0)?, "an epoch")?);
            let oldest = Place(number(row.try_get::<_, i64>(1)?, "a place")?);
            Ok(Heard { epoch, oldest })
        });
        heard.transpose()
    }

    /// Notes that an epoch was heard of.
    pub(super) async fn raise(
        &self,
        transaction: &Transaction<'_>,
        of: Request,
    ) -> Result<(), Broken> {
        let (name, epoch) = (named(of.coordinator), signed(of.epoch.0, "epoch")?);
        let values = [(&name as _, Type::TEXT), (&epoch as _, Type::INT8)];
        transaction.execute_typed(&self.raise, &values).await?;
        Ok(())
    }

    /// Waits until the step's row is this transaction's, and returns what is known of the step.
    pub(super) async fn recall(
        &self,
        transaction: &Transaction<'_>,
        of: Request,
    ) -> Result<Row, Broken> {
        let ((name, place, step), saga) = (row_of(of)?, format!("{:032x}", of.key.saga.0));
        let values = [
            (&name as _, Type::TEXT),
            (&place as _, Type::INT8),
            (&step as _, Type::INT4),
            (&saga as _, Type::TEXT),
        ];
        let row = transaction.query_typed_one(&self.recall, &values).await?;
        Ok(Row {
            round: number(row.try_get::<_, i64>(0)?, "a round")?,
            action: progress(row.try_get(1)?, row.try_get(2)?)?,
            undo_round: number(row.try_get::<_, i64>(3)?, "a round")?,
            undo: progress(row.try_get(4)?, row.try_get(5)?)?,
        })
    }

    /// Writes what is known of a step from now on.
    pub(super) async fn note(
        &self,
        transaction: &Transaction<'_>,
        of: Request,
        row: &Row,
    ) -> Result<(), Broken> {
        let (name, place, step) = row_of(of)?;
        let (round, undo_round) = (i64::from(row.round), i64::from(row.undo_round));
        let ((action, answer), (undo, undo_answer)) = (written(&row.action), written(&row.undo));
        let values = [
            (&name as _, Type::TEXT),
            (&place as _, Type::INT8),
            (&step as _, Type::INT4),
            (&round as _, Type::INT8),
            (&action as _, Type::TEXT),
            (&answer as _, Type::BYTEA),
            (&undo_round as _, Type::INT8),
            (&undo as _, Type::TEXT),
            (&undo_answer as _, Type::BYTEA),
        ];
        transaction.execute_typed(&self.note, &values).await?;
        Ok(())
    }

    /// Forgets what sagas have done that a request says have ended, and refuses them from now on.
    /// Who was let through before that commits first.
    pub(super) async fn forget(
        &self,
        transaction: &Transaction<'_>,
        of: Request,
    ) -> Result<(), Broken> {
        let (name, oldest) = (named(of.coordinator), signed(of.age.oldest.0, "place")?);
        let values = [(&name as _, Type::TEXT), (&oldest as _, Type::INT8)];
        transaction.execute_typed(&self.age, &values).await?;
        transaction.execute_typed(&self.forget, &values).await?;
        Ok(())
    }
}

/// Has this transaction wait for others, and the server for this program, no longer than that; and
/// commit what is durable when the server says so, whatever the session does otherwise.
pub(super) async fn bound(
    transaction: &Transaction<'_>,
    Settings { patience, idle }: Settings,
) -> Result<(), Broken> {
    // Zero would be no bound.
    let millis = |time: Duration| time.as_millis().clamp(1, i32::MAX as u128).to_string();
    let statement = "SELECT set_config('lock_timeout', $1, true), \
                     set_config('idle_in_transaction_session_timeout', $2, true), \
                     CASE WHEN current_setting('synchronous_commit') = 'off' \
                     THEN set_config('synchronous_commit', 'on', true) END";
    let (patience, idle) = (millis(patience), millis(idle));
    let values = [(&patience as _, Type::TEXT), (&idle as _, Type::TEXT)];
    transaction.query_typed_one(statement, &values).await?;
    Ok(())
}

/// Why one of the barrier's own statements came to nothing.
pub(super) enum Broken {
    Database(tokio_postgres::Error),
    Odd(String),
}

impl From<tokio_postgres::Error> for Broken {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

fn named(coordinator: CoordinatorId) -> String {
    format!("{:016x}", coordinator.0)
}

fn row_of(of: Request) -> Result<(String, i64, i32), Broken> {
    let place = signed(of.age.place.0, "place")?;
    Ok((named(of.coordinator), place, i32::from(of.key.step.0)))
}

fn signed(value: u64, what: &str) -> Result<i64, Broken> {
    i64::try_from(value).map_err(|_| Broken::Odd(format!("the {what} {value}")))
}

fn number<T: TryFrom<i64>>(value: i64, what: &str) -> Result<T, Broken> {
    T::try_from(value).map_err(|_| Broken::Odd(format!("{what} is {value}")))
}

fn progress(name: &str, answer: &[u8]) -> Result<Progress, Broken> {
    let answer = Bytes::copy_from_slice(answer);
    match name {
        ABSENT => Ok(Progress::Absent),
        DONE => Ok(Progress::Answered(Answer::Done(answer))),
        REJECTED => Ok(Progress::Answered(Answer::Rejected(answer))),
        _ => Err(Broken::Odd(format!("a step is {name:?}"))),
    }
}

/// Returns what stands for it in a row. What is running in a transaction nobody else sees.
fn written(progress: &Progress) -> (&'static str, &[u8]) {
    match progress {
        Progress::Absent | Progress::Running => (ABSENT, &[]),
        Progress::Answered(Answer::Done(answer)) => (DONE, answer),
        Progress::Answered(Answer::Rejected(answer)) => (REJECTED, answer),
    }
}
