//! The caller's side: what a request says of itself, and what a response means.

use serde::de::DeserializeOwned;

use super::{
    super::{Outcome, Request, SagaCx},
    IDEMPOTENCY_KEY, REJECTED, Rejected, SAGA_COORDINATOR, SAGA_EPOCH, SAGA_OLDEST, SAGA_PLACE,
    TRACEPARENT,
};

impl SagaCx {
    /// Returns the headers that tell a service which effect a request asks for, and on whose
    /// behalf. A service that knows nothing of sagas finds an idempotency key among them, and any
    /// that traces has the saga as the trace.
    pub fn headers(&self) -> [(&'static str, String); 6] {
        let Request { key, coordinator, epoch, age } = self.request();
        let attempt = format!("{key}-{}-{}", epoch.0, self.attempt());
        // No span is zero.
        let span = twox_hash::XxHash3_64::oneshot(attempt.as_bytes()) | 1;
        [
            (IDEMPOTENCY_KEY, key.to_string()),
            (SAGA_COORDINATOR, format!("{:016x}", coordinator.0)),
            (SAGA_EPOCH, epoch.0.to_string()),
            (SAGA_PLACE, age.place.0.to_string()),
            (SAGA_OLDEST, age.oldest.0.to_string()),
            (TRACEPARENT, format!("00-{:032x}-{span:016x}-01", key.saga.0)),
        ]
    }
}

impl<T: DeserializeOwned> Outcome<T> {
    /// Judges the response of a service that keeps to [`http`](mod@crate::saga::http): done with
    /// the body read as JSON, rejected for the reason that it gives, or unknown.
    ///
    /// Whatever else a service says is no refusal: a proxy, a service that is starting or one that
    /// is older may have said it, after the effect. A body that is no `T` is unknown, too. A service
    /// of others has rules of its own: judge its responses by those.
    pub fn from_response(status: u16, body: &[u8]) -> Self {
        match status {
            200..=299 => serde_json::from_slice(body).map_or_else(
                |error| {
                    tracing::error!(
                        status,
                        "a service answered a step what it cannot read: {error}"
                    );
                    Self::Unknown
                },
                Self::Done,
            ),
            REJECTED => serde_json::from_slice(body)
                .map_or(Self::Unknown, |Rejected { rejected }| Self::Rejected(rejected)),
            _ => Self::Unknown,
        }
    }
}
