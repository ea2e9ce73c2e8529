//! Why a request was not carried out, and what an effect ends with when it is not to stand.

use std::{error::Error as StdError, fmt::Write, time::Duration};

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use tokio_postgres::error::SqlState;

use super::super::{Guarded, Outcome, PAYLOAD_BYTES_MAX, Undo};

/// Why a step was neither carried out nor refused. The effect is rolled back, but for
/// [`Error::Commit`], where nobody can say. Either way the outcome is unknown: the step is asked
/// for again, and what was committed is found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A transaction for the same step, or of an executor that was replaced, took too long.
    #[error(
        "another transaction for the step, or of an executor that was replaced, did not end within \
         {0:?}; nothing was done, ask again"
    )]
    Busy(Duration),
    /// The barrier's tables are not there.
    #[error(
        "the tables of the barrier are missing; call Barrier::create at the start, or run what \
         Barrier::ddl returns: {0}"
    )]
    NoTables(String),
    /// The database refused a statement, or was not reached.
    #[error("the database did not carry a statement out: {}", told(.0))]
    Database(#[source] tokio_postgres::Error),
    /// The connection ended while the transaction was being committed.
    #[error("whether the transaction was committed is not known; ask again: {}", told(.0))]
    Commit(#[source] tokio_postgres::Error),
    /// What the program says of an effect that did not work out.
    #[error("the effect did not work out, and is rolled back: {0}")]
    Effect(#[source] Box<dyn StdError + Send + Sync>),
    /// What a step brings cannot be encoded.
    #[error("what the step brings cannot be encoded, and the step is rolled back: {0}")]
    Unencodable(String),
    /// What a step brings is larger than the log of its saga takes.
    #[error(
        "what the step brings takes {0} bytes, more than {PAYLOAD_BYTES_MAX}, and the step is \
         rolled back; return where it is instead"
    )]
    TooLarge(usize),
    /// A number that the tables have no room for, or a row that the barrier did not write.
    #[error("{0}; the barrier wrote no such thing")]
    Odd(String),
}

impl Error {
    /// Judges an error of one of the barrier's own statements.
    pub(super) fn of_ours(error: tokio_postgres::Error, patience: Duration) -> Self {
        match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Self::Busy(patience),
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN) => {
                Self::NoTables(told(&error))
            }
            _ => Self::Database(error),
        }
    }
}

/// Returns what an error says, with its causes: that of the database itself is one.
fn told(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // A text has room for what is written to it.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Nobody can say what came of it: see [`Error`].
impl<T> From<Result<Guarded<T>, Error>> for Outcome<T> {
    fn from(result: Result<Guarded<T>, Error>) -> Self {
        match result {
            Ok(guarded) => guarded.into(),
            Err(error) => {
                tracing::warn!("a step is to be asked for again: {error}");
                Self::Unknown
            }
        }
    }
}

impl From<Result<Guarded<()>, Error>> for Undo {
    fn from(result: Result<Guarded<()>, Error>) -> Self {
        Outcome::from(result).into()
    }
}

/// Answers what a step takes for unknown.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Busy(_) | Self::Database(_) | Self::Commit(_) | Self::Effect(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoTables(_) | Self::Unencodable(_) | Self::TooLarge(_) | Self::Odd(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    fn error_response(&self) -> HttpResponse {
        // What the database says may tell more than a caller is to know.
        tracing::warn!("a step is answered with {}: {self}", self.status_code());
        HttpResponse::build(self.status_code()).finish()
    }
}

/// Ends an effect that is not to stand: all that it changed is rolled back.
#[derive(Debug)]
pub enum Abort {
    /// For good: the reason is kept, and answered whenever the step is asked for again.
    Rejected(String),
    /// For now: nothing is kept, and the step may be tried again.
    Failed(Error),
}

impl Abort {
    /// Refuses for good: `return Err(Abort::rejected("none left"))`.
    pub fn rejected(cause: impl ToString) -> Self {
        Self::Rejected(cause.to_string())
    }

    /// Breaks off for now: `rate().await.map_err(Abort::failed)?`.
    pub fn failed(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Failed(Error::Effect(error.into()))
    }
}

/// What the database refuses is no refusal of the step, unless the program says so: a constraint
/// may be violated, but a deadlock or a server that stops is an error, too.
impl From<tokio_postgres::Error> for Abort {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(Error::Database(error))
    }
}
