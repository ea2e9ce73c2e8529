//! A PostgreSQL database as a participant of sagas: what a step changes there, and that it did, are
//! one transaction.
//!
//! It is there with the feature `postgres`. A program's statements go by [`tokio_postgres`], of the
//! version that stands here.
//!
//! ```no_run
//! use consensus_actors::saga::{
//!     Outcome, SagaCx, Undo,
//!     postgres::{Abort, Barrier},
//! };
//! use tokio_postgres::Client;
//!
//! async fn book(cx: &SagaCx, client: &mut Client, goods: i64) -> Outcome<i64> {
//!     let barrier = Barrier::default();
//!     barrier
//!         .act(client, cx.request(), async |transaction| {
//!             let taken = "UPDATE stock SET left_over = left_over - $1 WHERE left_over >= $1";
//!             if transaction.execute(taken, &[&goods]).await? == 0 {
//!                 return Err(Abort::rejected("not enough in stock"));
//!             }
//!             Ok(goods)
//!         })
//!         .await
//!         .into()
//! }
//!
//! async fn put_back(cx: &SagaCx, client: &mut Client) -> Undo {
//!     let barrier = Barrier::default();
//!     barrier
//!         .undo(client, cx.request(), async |transaction, goods: i64| {
//!             let back = "UPDATE stock SET left_over = left_over + $1";
//!             transaction.execute(back, &[&goods]).await?;
//!             Ok(())
//!         })
//!         .await
//!         .into()
//! }
//! ```
//!
//! # What holds
//!
//! * An effect is committed once and in its order, by the rules of
//!   [`consensus_core::saga::Barrier`], under `READ COMMITTED`, which the transaction has whatever
//!   the session's default is.
//! * Of several requests for a step one has its row; the others wait for it, no longer than
//!   [`Barrier::patience`], and are answered as it was.
//! * An executor that was replaced commits nothing once the database has heard of the next one.
//! * A commit whose reply is lost is unknown; the next attempt finds what came of it.
//! * A program that stands still in the middle of a transaction loses it after [`Barrier::idle`],
//!   so that it keeps nobody waiting.
//!
//! # What does not
//!
//! The database is as durable as it is set up to be: when a replica that lags becomes the primary,
//! it has forgotten the latest effects along with their rows, and sagas take them for done.

mod error;
mod tables;

use std::time::Duration;

use bytes::Bytes;
#[cfg(feature = "mutants")]
use consensus_core::saga::Mutant;
use consensus_core::saga::{self as core, Admission, Answer, Op, Request};
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::{Client, IsolationLevel, Transaction};

use self::tables::{Broken, Tables, bound};
use super::{
    guard::{Guarded, replayed},
    outcome::{PAYLOAD_BYTES_MAX, kept},
};
use crate::client::{decode, encode};

pub use tokio_postgres;

pub use self::error::{Abort, Error};

/// How long a transaction waits for others, and the server for a program in the middle of one.
#[derive(Clone, Copy, Debug)]
struct Settings {
    patience: Duration,
    idle: Duration,
}

/// After so many sagas that have ended their rows are deleted, all at once.
const FORGOTTEN_AT_ONCE: u64 = 1_000;

/// The memory of a participant in tables of its database: `saga_barrier`, a row a step, and
/// `saga_epoch`, a row a coordinator.
///
/// Rows go by themselves, about a thousand sagas at a time, once all sagas of the coordinator that
/// are as old have ended.
#[derive(Clone, Debug)]
pub struct Barrier {
    tables: Tables,
    settings: Settings,
    #[cfg(feature = "mutants")]
    mutant: Option<Mutant>,
}

impl Default for Barrier {
    /// Makes one whose tables are where the session's `search_path` says.
    fn default() -> Self {
        Self::with_tables(Tables::new(None))
    }
}

impl Barrier {
    /// Makes one whose tables are in this schema, whatever the session's `search_path` says.
    pub fn in_schema(name: &str) -> Self {
        Self::with_tables(Tables::new(Some(name)))
    }

    fn with_tables(tables: Tables) -> Self {
        let settings = Settings { patience: Duration::from_secs(2), idle: Duration::from_secs(10) };
        Self {
            tables,
            settings,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// Sets how long a transaction waits for a lock, 2 s by default: choose less than a step's
    /// timeout. It holds for what the effect waits for, too.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.settings.patience = patience;
        self
    }

    /// Sets for how long a transaction may do nothing, 10 s by default, before the server ends its
    /// session: a program that was stopped, or whose machine is gone, would keep the next executor
    /// waiting otherwise. Choose more than anything takes that an effect awaits besides the
    /// database.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.settings.idle = idle;
        self
    }

    /// Puts a known bug back.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }

    /// Creates what is missing of the schema and the tables, also when several services do so at
    /// once. A role that may not create runs on tables that another made: see [`Barrier::ddl`].
    ///
    /// # Errors
    /// [`Error::Database`] when the database refuses.
    pub async fn create(&self, client: &Client) -> Result<(), Error> {
        self.tables.create(client).await.map_err(Error::Database)
    }

    /// Returns the statements that create the tables, for who has migrations of their own.
    pub fn ddl(&self) -> &str {
        self.tables.ddl()
    }

    /// Carries a step out in a transaction of its own, unless it was answered or undone before.
    ///
    /// What `effect` does with the transaction is committed together with what it returns. When it
    /// returns [`Abort`], panics, or is dropped, it is rolled back; a refusal for good is committed
    /// alone. The client is to be in no transaction.
    ///
    /// # Errors
    /// [`Error`] when nobody can say: the step is to be asked for again.
    pub async fn act<T, F>(
        &self,
        client: &mut Client,
        of: Request,
        effect: F,
    ) -> Result<Guarded<T>, Error>
    where
        T: Serialize + DeserializeOwned,
        F: AsyncFnOnce(&mut Transaction<'_>) -> Result<T, Abort>,
    {
        if of.key.op != Op::Action {
            return Ok(Guarded::Refused);
        }
        self.carry_out(client, of, async |transaction, _| effect(transaction).await).await
    }

    /// Undoes a step in a transaction of its own, unless that was answered before or there is
    /// nothing to undo; `undo` gets what the step brought. Else as [`Barrier::act`].
    ///
    /// # Errors
    /// [`Error`] when nobody can say: the compensation is to be asked for again.
    pub async fn undo<T, F>(
        &self,
        client: &mut Client,
        of: Request,
        undo: F,
    ) -> Result<Guarded<()>, Error>
    where
        T: DeserializeOwned,
        F: AsyncFnOnce(&mut Transaction<'_>, T) -> Result<(), Abort>,
    {
        if of.key.op != Op::Undo {
            return Ok(Guarded::Refused);
        }
        let undo = async |transaction: &mut Transaction<'_>, output: Option<Bytes>| {
            let output = decode(&output.unwrap_or_default()).map_err(Abort::rejected)?;
            undo(transaction, output).await
        };
        self.carry_out(client, of, undo).await
    }

    async fn carry_out<T, F>(
        &self,
        client: &mut Client,
        of: Request,
        effect: F,
    ) -> Result<Guarded<T>, Error>
    where
        T: Serialize + DeserializeOwned,
        F: AsyncFnOnce(&mut Transaction<'_>, Option<Bytes>) -> Result<T, Abort>,
    {
        let mut transaction = self.begin(client).await?;
        let mut heard = self.heard(&transaction, of).await?;
        if heard.is_none_or(|heard| heard.epoch < of.epoch) {
            // In a transaction of its own, so that nobody waits for the effect to hear of it.
            transaction.rollback().await.map_err(|error| self.broken(error))?;
            self.raise(client, of).await?;
            transaction = self.begin(client).await?;
            heard = self.heard(&transaction, of).await?;
        }
        let heard = heard.ok_or_else(|| Error::Odd("the row of an epoch went away".to_owned()))?;
        let row = self.tables.recall(&transaction, of).await;
        let row = row.map_err(|error| self.broken(error))?;
        let mut memory = self.remembered(of, core::Recalled { heard, row });
        let output = match memory.admit(of) {
            Admission::Run(output) => output,
            Admission::Replay(answer) => {
                self.commit(transaction, &memory, of).await?;
                return Ok(replayed(of.key.op, answer));
            }
            Admission::Busy | Admission::Sealed | Admission::Stale { .. } => {
                return Ok(Guarded::Refused);
            }
        };
        let point = transaction.transaction().await;
        let mut point = point.map_err(|error| self.broken(error))?;
        let (answer, reply) = match effect(&mut point, output).await {
            Ok(value) => {
                let answer = Answer::Done(encoded(&value)?);
                point.commit().await.map_err(Error::Database)?;
                (answer, Guarded::Done(value))
            }
            Err(Abort::Rejected(cause)) => {
                point.rollback().await.map_err(Error::Database)?;
                let answer = Answer::Rejected(kept(&cause));
                (answer.clone(), replayed(of.key.op, answer))
            }
            Err(Abort::Failed(error)) => return Err(error),
        };
        memory.finish(of, Some(answer));
        self.commit(transaction, &memory, of).await?;
        self.forget(client, of, heard).await;
        Ok(reply)
    }

    async fn begin<'a>(&self, client: &'a mut Client) -> Result<Transaction<'a>, Error> {
        let builder = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
        let begun = builder.read_only(false).start().await;
        let transaction = begun.map_err(|error| self.broken(error))?;
        bound(&transaction, self.settings).await.map_err(|error| self.broken(error))?;
        Ok(transaction)
    }

    async fn heard(
        &self,
        transaction: &Transaction<'_>,
        of: Request,
    ) -> Result<Option<core::Heard>, Error> {
        let heard = self.tables.heard(transaction, of.coordinator).await;
        heard.map_err(|error| self.broken(error))
    }

    async fn raise(&self, client: &mut Client, of: Request) -> Result<(), Error> {
        let transaction = self.begin(client).await?;
        self.tables.raise(&transaction, of).await.map_err(|error| self.broken(error))?;
        transaction.commit().await.map_err(Error::Commit)
    }

    /// Forgets what has ended, once that is enough: it waits for all who are about something, and the
    /// step is done already. Whoever comes next tries again.
    async fn forget(&self, client: &mut Client, of: Request, heard: core::Heard) {
        if of.age.oldest.0 < heard.oldest.0.saturating_add(FORGOTTEN_AT_ONCE) {
            return;
        }
        let forgotten = async {
            let transaction = self.begin(client).await?;
            let done = self.tables.forget(&transaction, of).await;
            done.map_err(|error| self.broken(error))?;
            transaction.commit().await.map_err(Error::Commit)
        };
        if let Err(error) = forgotten.await {
            tracing::debug!("what sagas have done that ended is not forgotten yet: {error}");
        }
    }

    fn remembered(&self, of: Request, known: core::Recalled) -> core::Barrier {
        let memory = core::Barrier::recall(of, known);
        #[cfg(feature = "mutants")]
        if let Some(mutant) = self.mutant {
            return memory.with_mutant(mutant);
        }
        memory
    }

    /// Writes what is known of a step from now on, and makes all of the transaction durable.
    async fn commit(
        &self,
        transaction: Transaction<'_>,
        memory: &core::Barrier,
        of: Request,
    ) -> Result<(), Error> {
        if let Some(row) = memory.row(of) {
            let noted = self.tables.note(&transaction, of, row).await;
            noted.map_err(|error| self.broken(error))?;
        }
        transaction.commit().await.map_err(Error::Commit)
    }

    fn broken(&self, error: impl Into<Broken>) -> Error {
        match error.into() {
            Broken::Database(error) => Error::of_ours(error, self.settings.patience),
            Broken::Odd(what) => Error::Odd(what),
        }
    }
}

/// Returns what a step brings as it is kept, and as the log of its saga takes it.
fn encoded<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    let bytes = encode(value).map_err(|error| Error::Unencodable(error.to_string()))?;
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::TooLarge(bytes.len()));
    }
    Ok(bytes)
}
