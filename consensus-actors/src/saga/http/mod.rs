//! Steps that call services over HTTP, and services that are called so.
//!
//! A step sends [`SagaCx::headers`](super::SagaCx::headers) with its request, by whatever client it
//! likes, and makes an outcome of what comes back:
//! [`Outcome::from_response`](super::Outcome::from_response). A service of this framework has
//! [`FromSaga`] among the arguments of its handler, hands it to the [`Guard`](super::Guard) of a
//! replicated state, and responds with what that says.
//!
//! ```
//! use actix_web::web;
//! use consensus_actors::{
//!     prelude::*,
//!     saga::{FromSaga, Guard, Guarded, Request},
//! };
//!
//! #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
//! struct Stock {
//!     left: u32,
//!     guard: Guard,
//! }
//!
//! #[replicated]
//! impl Stock {
//!     #[command]
//!     fn take(&mut self, of: Request, count: u32) -> Guarded<u32> {
//!         self.guard.act(of, || {
//!             self.left = self.left.checked_sub(count).ok_or("not enough in stock")?;
//!             Ok::<_, &str>(count)
//!         })
//!     }
//! }
//!
//! async fn take(
//!     FromSaga(of): FromSaga,
//!     stock: web::Data<StockClient>,
//!     count: web::Json<u32>,
//! ) -> consensus_actors::Result<Guarded<u32>> {
//!     stock.take(of, *count).await
//! }
//! # fn main() { let _ = web::post().to(take); }
//! ```
//!
//! A service that holds its state elsewhere has its handlers run behind [`Once`].
//!
//! | header | |
//! | --- | --- |
//! | `idempotency-key` | the effect, the same for all attempts: [`EffectKey`](super::EffectKey) as text |
//! | `saga-coordinator` | whose saga it is, 16 hexadecimal digits |
//! | `saga-epoch` | the epoch of the executor that asks |
//! | `saga-place` | the place of the saga among all of its coordinator, in the order of their beginnings |
//! | `saga-oldest` | the place before which all have ended, so that a service may forget them |
//! | `traceparent` | W3C Trace Context: the saga is the trace, an attempt the span |
//!
//! | status | outcome |
//! | --- | --- |
//! | 2xx, what the step brings as JSON | done |
//! | 409, `{"rejected": "why"}` | rejected |
//! | anything else | unknown |

mod brought;
mod calling;
mod carrying;
mod once;
mod requests;
mod serving;

pub use brought::Brought;
pub use carrying::Carrying;
pub use once::Once;
pub use serving::FromSaga;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const SAGA_COORDINATOR: &str = "saga-coordinator";
const SAGA_EPOCH: &str = "saga-epoch";
const SAGA_PLACE: &str = "saga-place";
const SAGA_OLDEST: &str = "saga-oldest";
const TRACEPARENT: &str = "traceparent";

/// The status of what was rejected for good, with a body that says why.
const REJECTED: u16 = 409;

/// The body of what was rejected.
#[derive(serde::Serialize, serde::Deserialize)]
struct Rejected {
    rejected: String,
}
