//! Histories in which some reads were promised less than linearizability.
//!
//! Writes, and reads at [`Level::Linearizable`], have one order that fits real time (Herlihy and
//! Wing 1990, "Linearizability: A Correctness Condition for Concurrent Objects"). A weaker read
//! sees a state of that order too, but one that may be older than its invocation:
//!
//! * at [`Level::Session`] none older than what its own process has completed: it reads its writes,
//!   and its reads are monotonic (Terry et al. 1994, "Session Guarantees for Weakly Consistent
//!   Replicated Data");
//! * at [`Level::Stale`] any that was current at some moment from `since` on.
//!
//! No read sees what was invoked after it had returned. So a weaker read is one that may take
//! effect earlier than it was invoked, and the search is that of [`super::linearizability`] with
//! other bounds: it is as exact, and a window means the same.
//!
//! Sessions are judged over the whole of a history. If one is checked key by key, each key has its
//! sessions of its own, as in Terry et al., where a read concerns the writes relevant to it.

use super::{
    history::{Moment, Operation},
    linearizability::{Model, Verdict, check_problem},
    search::Problem,
};

/// What an operation is held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// It took effect between its invocation and its end. Whatever is no read is held to this.
    #[default]
    Linearizable,
    /// It read a state that holds every write that its process had completed, and that is no older
    /// than what its process had read, at whatever level.
    Session,
    /// It read a state that was current at some moment between `since`, or ever, and its end.
    Stale {
        /// The moment; the caller knows what it means by the clock.
        since: Option<Moment>,
    },
}

/// Why levels do not fit a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LevelError {
    /// There is not one level for each operation.
    #[error("there are {levels} levels for {operations} operations")]
    Count {
        /// How many levels there are.
        levels: usize,
        /// How many operations there are.
        operations: usize,
    },
    /// An operation that may change the state has a level for reads.
    #[error("operation {place} is no read, so it must be linearizable")]
    NotARead {
        /// Its place in the history.
        place: usize,
    },
}

/// Checks `history` against `model`, each operation at the level at its place in `levels`, giving
/// up after `steps_max` applications of the model.
///
/// # Errors
/// [`LevelError`] if there is not one level for each operation, or one of a read for an operation
/// that is none by [`Model::is_read`].
pub fn check<M: Model>(
    model: &M,
    history: &[Operation<M::Call, M::Return>],
    levels: &[Level],
    steps_max: u64,
) -> Result<Verdict, LevelError> {
    if levels.len() != history.len() {
        let (levels, operations) = (levels.len(), history.len());
        return Err(LevelError::Count { levels, operations });
    }
    let wrong = history.iter().zip(levels).position(|(operation, level)| {
        *level != Level::Linearizable && !model.is_read(&operation.call)
    });
    if let Some(place) = wrong {
        return Err(LevelError::NotARead { place });
    }
    Ok(check_problem(&Problem { levels, ..Problem::new(model, history) }, steps_max))
}
