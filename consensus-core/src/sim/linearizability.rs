//! Whether a history can be explained by operations that took effect one at a time, each between
//! its invocation and its end.
//!
//! The search is Wing and Gong's ("Testing and Verifying Concurrent Objects", 1993) with Lowe's
//! memoization ("Testing for Linearizability", 2017): a depth-first walk over the operations that
//! may come next, which never visits the same set of operations with the same state twice. A
//! history over independent keys is checked key by key (Herlihy and Wing 1990: linearizability is
//! local).
//!
//! Operations of unknown outcome may take effect at any moment after their invocation, or never. So
//! the walk is done when all operations that returned are placed.
//!
//! Reads may be held to less ([`super::levels`]), and a history may fall into parts by key
//! ([`super::partition`]).

use super::{
    history::Operation,
    search::{Found, Problem, Strength},
    window::{self, Window},
};

/// A sequential object: what histories are checked against.
pub trait Model {
    /// Its state.
    type State: Clone;
    /// What is called.
    type Call;
    /// What a call returns.
    type Return;

    /// Returns the state before the first operation.
    fn initial(&self) -> Self::State;

    /// Applies `call`; `None` if it could not have returned `returned` in this state. With
    /// `returned` unknown, whatever it returns is possible.
    fn apply(
        &self,
        state: &Self::State,
        call: &Self::Call,
        returned: Option<&Self::Return>,
    ) -> Option<Self::State>;

    /// Returns a digest of the state; equal states have equal digests, and different ones different
    /// digests but for chances that do not matter.
    fn digest(&self, state: &Self::State) -> u128;

    /// Tells whether `call` never changes any state. A read is placed as soon as it fits, which
    /// spares the search all other places; `false` is always right.
    fn is_read(&self, call: &Self::Call) -> bool {
        let _ = call;
        false
    }

    /// Tells whether some calls might lead from `state` to one in which `call` returns `returned`.
    /// Where they cannot, the search does not try; `true` is always right.
    fn may_reach(&self, state: &Self::State, call: &Self::Call, returned: &Self::Return) -> bool {
        let _ = (state, call, returned);
        true
    }
}

/// The answer to whether a history is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Linearizable,
    /// It is not.
    NotLinearizable {
        /// The operations that cannot be reconciled.
        window: Window,
    },
    /// The search was given up: too many steps. Count it as a failure.
    Unknown,
}

/// Checks `history` against `model`, giving up after `steps_max` applications of the model.
///
/// The steps bound the time. The memory is bounded by [`super::REMEMBERED_MAX`] points that the
/// search remembers, and by one state for each operation that is placed.
pub fn check<M: Model>(
    model: &M,
    history: &[Operation<M::Call, M::Return>],
    steps_max: u64,
) -> Verdict {
    check_problem(&Problem::new(model, history), steps_max)
}

/// Checks the operations of a problem, and finds the window where they have no order.
pub(super) fn check_problem<M: Model>(problem: &Problem<'_, M>, steps_max: u64) -> Verdict {
    match problem.search(|_| Strength::Kept).run(&mut { steps_max }) {
        Found::Order => Verdict::Linearizable,
        Found::GaveUp => Verdict::Unknown,
        Found::NoOrder => Verdict::NotLinearizable { window: window::find(problem, steps_max) },
    }
}
