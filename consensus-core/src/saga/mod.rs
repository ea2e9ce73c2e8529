//! Sagas: transactions across services that always end, carried out or undone (Garcia-Molina and
//! Salem, "Sagas", 1987).
//!
//! * [`Graph`]: the steps, which of them must wait for which, and what is done about each when the
//!   saga cannot go on.
//! * [`Saga`]: the planner of one saga. It is told what happened and says what to append and whom to
//!   ask.
//! * [`Ledger`]: the logs of all sagas, which lets the latest executor append and no other.
//! * [`Families`]: which sagas are steps of others, who holds which keys, and who waits for them.
//! * [`Barrier`]: what a participant remembers, so that each effect comes about once and in its
//!   order.
//!
//! # What holds
//!
//! * A step is in the log before anybody is asked for it, and its compensation needs no registration
//!   of its own: whatever may have been carried out is undone.
//! * An outcome is done, rejected or unknown. What is unknown is asked for again under the same key,
//!   and nothing is undone before everything that was asked for is resolved.
//! * Compensations run after those of all steps that rest on theirs. One that fails leaves the saga
//!   stuck, visibly, while the others go on.
//! * Once the pivot has been asked for, the saga goes on to its end or waits for an operator.
//! * A step that is a saga is one saga, which is undone with it; two sagas that name one key are not
//!   under way at the same time, and none wait for each other in a circle.
//! * Deadlines are measured by monotonic clocks, and each record says how much was spent: clocks that
//!   jump make none come early.

mod barrier;
mod event;
mod families;
mod flight;
mod graph;
mod ledger;
mod mutant;
mod planner;
mod queues;
mod record;
mod retry;
mod state;

pub use barrier::{
    Admission, Answer, Barrier, CoordinatorId, EffectKey, Heard, NoEffectKey, Progress, Recalled,
    Request, Row, SagaId,
};
pub use event::{Call, Effect, Event, Op, Outcome};
pub use families::{Families, Parent, Start, StartError};
pub use flight::{Phase, UnderWay};
pub use graph::{Class, Graph, GraphError, STEPS_MAX, Step, StepId};
pub use ledger::{AppendError, Ledger};
#[cfg(not(feature = "mutants"))]
pub(crate) use mutant::Mutant;
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use planner::Saga;
pub use record::{Age, Entry, Epoch, Order, Place, Reason, Record, Seq};
pub use retry::Retry;
pub use state::{
    Contradiction, Course, OrderError, RESUMES_MAX, Standing, State, StepState, Verdict,
};
