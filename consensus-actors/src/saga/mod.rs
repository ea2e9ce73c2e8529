//! Sagas: transactions across services and replicated actors that always end, carried out or
//! undone.
//!
//! A saga is a type, its input, with steps, each of which can be undone, or decides, or comes after
//! what decided. [`#[saga]`](macro@crate::saga) makes it of an impl block; what it makes is a
//! [`SagaDefinition`], which can be written by hand.
//! `node.sagas("orders").register::<PlaceOrder>().await?` hosts a group that replicates the logs of
//! all sagas, under either protocol. The node that leads it carries them out; when it fails, or
//! another leads, the next goes on from the logs. [`Sagas::start`] works on any node, and what it
//! started is durable when it returns.
//!
//! ```no_run
//! use consensus_actors::{
//!     prelude::*,
//!     saga::{Outcome, Saga, SagaCx},
//! };
//!
//! /// Somebody else's service.
//! struct Hotels;
//!
//! impl Hotels {
//!     async fn book(&self, idempotency_key: String, nights: u32) -> Result<u64, String> {
//!         # let _ = (idempotency_key, nights);
//!         # Ok(17)
//!         // ..
//!     }
//!     async fn cancel(&self, idempotency_key: String) -> Result<(), String> {
//!         # let _ = idempotency_key;
//!         # Ok(())
//!         // ..
//!     }
//!     async fn confirm(&self, booking: u64) -> Result<u64, String> {
//!         # Ok(booking)
//!         // ..
//!     }
//! }
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Travel {
//!     nights: u32,
//! }
//!
//! #[saga(version = 1, deadline = "2m")]
//! impl Travel {
//!     #[step(undo = cancel)]
//!     async fn book(&self, cx: &SagaCx) -> Outcome<u64> {
//!         cx.get::<Hotels>().book(cx.key().to_string(), self.nights).await.into()
//!     }
//!
//!     async fn cancel(&self, cx: &SagaCx) -> Outcome<()> {
//!         cx.get::<Hotels>().cancel(cx.action().to_string()).await.into()
//!     }
//!
//!     #[step(pivot)]
//!     async fn confirm(&self, cx: &SagaCx, book: &u64) -> Outcome<u64> {
//!         cx.get::<Hotels>().confirm(*book).await.into()
//!     }
//! }
//!
//! # fn main() {}
//! # async fn example(node: Node) -> consensus_actors::Result {
//! let sagas = node.sagas("travels").with(Hotels).register::<Travel>().await?;
//! let run = sagas.start(Travel { nights: 3 }).await?;
//! if let Saga::Completed(booking) = run.wait().await? {
//!     println!("booked: {booking}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A definition, with its participants, is tested by [`SagaDefinition::test`].
//!
//! # What holds
//!
//! * What [`consensus_core::saga`] says of the log, of outcomes and of compensations.
//! * Whoever executes has claimed an epoch in the replicated log. What an executor that was
//!   replaced still writes is refused there; what it still asks for is refused by every [`Guard`]
//!   that has heard of a later one.
//! * A saga that cannot be gone on with (its definition is not registered, its log contradicts it)
//!   is stuck, and concerns no other. What a node lacks it says in its log, and a node that knows
//!   all that is needed takes the lead from one that does not.
//!
//! # What does not
//!
//! Sagas are not isolated: others see what is done before it is undone. What a step changes at a
//! service without a [`Guard`] comes about once only if the service keeps to the key of the effect.

mod attempt;
mod book;
mod coordinator;
mod cx;
mod definition;
mod desk;
mod guard;
mod handle;
mod holds;
mod hosting;
pub mod http;
mod lock;
mod nested;
mod outcome;
#[cfg(feature = "postgres")]
pub mod postgres;
mod reign;
mod survey;
pub(crate) mod telling;
mod testing;
#[cfg(test)]
mod tests;
mod tree;
#[doc(hidden)]
pub mod written;

pub use bytes::Bytes;
pub use consensus_core::saga::{
    Age, Class, CoordinatorId, EffectKey, Entry, Epoch, Graph, GraphError, Op, Order, Place,
    Reason, Record, Request, Retry, SagaId, Seq, Step, StepId,
};

pub use cx::SagaCx;
pub use definition::{BoxFuture, SagaDefinition};
pub use guard::{Guard, Guarded};
pub use handle::{Listed, Run, Saga, Sagas};
pub use holds::Holds;
pub use hosting::HostingSagas;
pub use http::FromSaga;
pub use outcome::{Outcome, PAYLOAD_BYTES_MAX, Undo};
pub use testing::{Broken, RUNS_MAX, Report, SagaTest, Trial};
pub use tree::{Now, Shown, ShownStep, Stands};
