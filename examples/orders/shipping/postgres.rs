//! Parcels in a PostgreSQL database: a parcel, and that the request for it was answered, are one
//! transaction.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use actix_web::http::StatusCode;
use consensus_actors::saga::{
    Guarded, Request,
    postgres::{
        Barrier, Error,
        tokio_postgres::{Client, types::Type},
    },
};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use super::Parcel;
pub(crate) use super::database::Database;
use crate::{book::Book, serve::Refusal, stock::Goods};

/// How many connections there are at most, and so how many requests work in the database at once;
/// the others wait for their turn.
const CONNECTIONS_MAX: usize = 8;

/// How long a request to send something may take, with all that it waits for: whoever asks does not
/// wait longer.
const SHIP_WITHIN: Duration = Duration::from_millis(1_400);

/// How long it waits for a lock, so that it can say what it waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// How long a request for the whole book may take.
const BOOK_WITHIN: Duration = Duration::from_secs(8);

/// What was sent.
pub(super) struct Parcels {
    database: Database,
    barrier: Barrier,
    /// Whether the tables are known to be there.
    prepared: OnceCell<()>,
    turns: Semaphore,
    /// Connections that nobody uses at the moment.
    idle: Mutex<Vec<Client>>,
    note: String,
    send: String,
    read: String,
    asked: String,
}

impl Parcels {
    /// Makes one that connects when it is asked for something.
    pub(super) fn new(database: Database) -> Self {
        let schema = database.quoted();
        Self {
            barrier: database.barrier().patience(LOCK_PATIENCE),
            prepared: OnceCell::new(),
            turns: Semaphore::new(CONNECTIONS_MAX),
            idle: Mutex::default(),
            note: format!(
                "INSERT INTO {schema}.asked AS known (order_id, times) VALUES ($1, 1) \
                 ON CONFLICT (order_id) DO UPDATE SET times = known.times + 1"
            ),
            send: format!(
                "INSERT INTO {schema}.parcels (order_id, sku, units) VALUES ($1, $2, $3) \
                 RETURNING number"
            ),
            read: format!(
                "SELECT order_id, max(number), max(sku), count(*), sum(units)::bigint \
                 FROM {schema}.parcels GROUP BY order_id"
            ),
            asked: format!("SELECT coalesce(sum(times), 0)::bigint FROM {schema}.asked"),
            database,
        }
    }

    /// Sends the goods of an order, and returns the number of the parcel.
    pub(super) async fn ship(
        &self,
        of: Request,
        order: String,
        goods: Goods,
    ) -> actix_web::Result<Guarded<String>> {
        let shipped = self.connected(async |client| {
            // By itself, since what is asked for again has no transaction that changes anything.
            let noted = client.execute_typed(&self.note, &[(&order, Type::TEXT)]).await;
            noted.map_err(Error::Database)?;
            let units = i64::from(goods.quantity);
            let values = [
                (&order as _, Type::TEXT),
                (&goods.sku as _, Type::TEXT),
                (&units as _, Type::INT8),
            ];
            let send = self.barrier.act(client, of, async |transaction| {
                let row = transaction.query_typed_one(&self.send, &values).await?;
                Ok(format!("parcel-{}", row.try_get::<_, i64>(0)?))
            });
            send.await
        });
        answered(SHIP_WITHIN, shipped).await
    }

    /// Reads the whole book.
    pub(super) async fn book(&self) -> actix_web::Result<Book<Parcel>> {
        let read = self.connected(async |client| {
            let read = async {
                let asked = client.query_typed_one(&self.asked, &[]).await?.try_get::<_, i64>(0)?;
                let mut book = Book { asked: asked.unsigned_abs(), ..Book::default() };
                for row in client.query_typed(&self.read, &[]).await? {
                    let (number, parcels): (i64, i64) = (row.try_get(1)?, row.try_get(3)?);
                    let parcel = Parcel {
                        number: format!("parcel-{number}"),
                        sku: row.try_get(2)?,
                        parcels: u32::try_from(parcels).unwrap_or(u32::MAX),
                        units: row.try_get::<_, i64>(4)?.unsigned_abs(),
                    };
                    book.lines.insert(row.try_get(0)?, parcel);
                }
                Ok(book)
            };
            read.await.map_err(Error::Database)
        });
        answered(BOOK_WITHIN, read).await
    }

    /// Works with a connection that nobody else uses meanwhile. One that is lost, or that somebody
    /// left in the middle of something, is not used again.
    async fn connected<T>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _turn = self.turns.acquire().await;
        let mut client = match self.idle() {
            Some(client) => client,
            None => self.database.connect().await?,
        };
        self.prepared.get_or_try_init(async || self.database.prepare(&client).await).await?;
        let done = work(&mut client).await;
        if !client.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        }
        done
    }

    /// Returns a connection that nobody uses, if there is one; those that are lost go.
    fn idle(&self) -> Option<Client> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|client| !client.is_closed());
        idle.pop()
    }
}

/// Waits for what the database says. Whoever is told that it says nothing asks again.
async fn answered<T>(
    within: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> actix_web::Result<T> {
    match timeout(within, work).await {
        Ok(done) => Ok(done?),
        Err(_) => {
            let message = format!("the database does not answer within {within:?}; ask again");
            tracing::warn!("{message}");
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).into())
        }
    }
}
