//! Which PostgreSQL database shipping works in, and which schema of it.

use std::{
    fmt,
    future::Future,
    io::ErrorKind,
    path::Path,
    time::{Duration, SystemTime},
};

use consensus_actors::{
    Error as NodeError, Result,
    saga::postgres::{
        Barrier, Error,
        tokio_postgres::{Client, Config, NoTls},
    },
};
use tokio::time::timeout;

/// The schema of a process that is told no other.
const SCHEMA: &str = "orders_shipping";

/// The file that says which schema belongs to the data beside it.
const SCHEMA_FILE: &str = "shipping-schema";

/// How long a start, and an end, wait for the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// A schema of a database, and how that is reached.
#[derive(Clone)]
pub(crate) struct Database {
    text: String,
    config: Config,
    schema: String,
}

/// What is reached with a password does not show it.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Database {
    /// Reads how it is reached: `host=localhost user=postgres`, or a URL.
    pub(crate) fn named(text: &str) -> Result<Self, String> {
        let config: Config = text.parse().map_err(|error| {
            format!("{error}; write \"host=localhost user=postgres\", or a URL, postgres://..")
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("no host is named; write \"host=localhost user=postgres\"".to_owned());
        }
        Ok(Self { text: text.to_owned(), config, schema: SCHEMA.to_owned() })
    }

    /// Returns it with the schema that belongs to this data: new data has one of its own.
    pub(crate) fn of_data(self, data: &Path) -> Result<Self> {
        let file = data.join(SCHEMA_FILE);
        let schema = match std::fs::read_to_string(&file) {
            Ok(schema) => schema,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let now = now.map_err(NodeError::application)?.as_millis();
                let schema = format!("orders_{now}_{}", std::process::id());
                std::fs::create_dir_all(data)?;
                std::fs::write(&file, &schema)?;
                schema
            }
            Err(error) => return Err(error.into()),
        };
        Ok(self.in_schema(schema))
    }

    pub(crate) fn in_schema(self, schema: String) -> Self {
        Self { schema, ..self }
    }

    /// Returns how it is reached, as it was named.
    pub(crate) fn config(&self) -> &str {
        &self.text
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// Returns the schema as it stands in a statement.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.schema.replace('"', "\"\""))
    }

    pub(super) fn barrier(&self) -> Barrier {
        Barrier::in_schema(&self.schema)
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<Client, Error> {
        let mut config = self.config.clone();
        config.application_name(&self.schema);
        let (client, connection) = config.connect(NoTls).await.map_err(Error::Database)?;
        actix_web::rt::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!("a connection to the database is lost: {}", Error::Database(error));
            }
        });
        Ok(client)
    }

    /// Creates what is missing of the schema and its tables.
    pub(super) async fn prepare(&self, client: &Client) -> Result<(), Error> {
        self.barrier().create(client).await?;
        let schema = self.quoted();
        // A parcel has a row, not an order: what is sent twice is there twice.
        let tables = format!(
            "CREATE TABLE IF NOT EXISTS {schema}.parcels (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL,
    sku text NOT NULL,
    units bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS {schema}.asked (
    order_id text PRIMARY KEY,
    times bigint NOT NULL
);"
        );
        client.batch_execute(&tables).await.map_err(Error::Database)
    }

    /// Looks whether the database can be reached, and creates what is missing there.
    ///
    /// # Errors
    /// When it cannot be reached, or refuses.
    pub(crate) async fn create(&self) -> Result {
        let done = async { self.prepare(&self.connect().await?).await };
        in_time(done).await
    }

    /// Deletes the schema with all that is in it.
    ///
    /// # Errors
    /// When the database cannot be reached, or refuses.
    pub(crate) async fn discard(&self) -> Result {
        let statement = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.quoted());
        in_time(async {
            let client = self.connect().await?;
            client.batch_execute(&statement).await.map_err(Error::Database)
        })
        .await
    }
}

async fn in_time(work: impl Future<Output = Result<(), Error>>) -> Result {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(NodeError::application),
        Err(_) => {
            let message = format!("the database of --postgres does not answer within {PATIENCE:?}");
            Err(NodeError::application(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: what does not say how a database is reached is refused with an example of what does.
    #[test]
    fn what_names_no_database_is_refused() {
        for text in ["", "user=postgres", "localhost", "host=", "host=a port=b"] {
            let told = Database::named(text).map(drop);
            let told = told.err().unwrap_or_else(|| panic!("{text:?} is taken"));
            assert!(told.contains("host=localhost user=postgres"), "{text:?}: {told}");
        }
    }

    // Goal: data that is kept finds the parcels that belong to it, and new data finds none.
    #[test]
    fn data_has_a_schema_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let schema = |name: &str| {
            let database = Database::named("host=localhost user=postgres").unwrap();
            database.of_data(&folder.path().join(name)).unwrap().schema().to_owned()
        };
        let first = schema("first");
        assert_eq!(schema("first"), first);
        assert_ne!(first, SCHEMA);
        // Names carry the millisecond.
        std::thread::sleep(Duration::from_millis(2));
        assert_ne!(schema("second"), first);
    }
}
