//! The test of a saga: its real steps, asked by the planner of production, while everything goes
//! wrong that can.
//!
//! It has no node, no network and no clock. What is played in its runs is said by `script.rs`,
//! which of them there are by `runs.rs`; `stage.rs` is a saga in one of them.

mod case;
mod caught;
mod given;
mod profile;
mod report;
mod runs;
mod script;
mod stage;
mod story;

use std::{collections::BTreeSet, fmt, future::IntoFuture, pin::Pin};

use self::{case::Case, given::Given};
use super::{definition::SagaDefinition, handle::Saga};

pub use self::{
    report::{Broken, Report, Trial},
    runs::RUNS_MAX,
};

/// The test of a saga, about to be run: `.await` runs it.
///
/// Each of its runs carries the saga out with new values, by the planner that carries it out in
/// production, and asks its real steps; then it must have ended as it has to, and what is checked
/// must hold. Nothing is random: a run has a name, and is the same each time.
///
/// ```
/// use std::sync::Mutex;
///
/// use consensus_actors::{
///     prelude::*,
///     saga::{Guard, Guarded, Outcome, Request, Saga, SagaCx, Undo},
/// };
///
/// #[derive(Default)]
/// struct Stock {
///     left: u32,
///     guard: Guard,
/// }
///
/// impl Stock {
///     fn take(&mut self, of: Request, count: u32) -> Guarded<u32> {
///         let Self { left, guard } = self;
///         guard.act(of, || {
///             *left = left.checked_sub(count).ok_or("not enough in stock")?;
///             Ok::<_, &str>(count)
///         })
///     }
///
///     fn put_back(&mut self, of: Request) -> Guarded<()> {
///         let Self { left, guard } = self;
///         guard.undo(of, |taken: u32| {
///             *left += taken;
///             Ok::<_, &str>(())
///         })
///     }
/// }
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Fetch {
///     goods: u32,
/// }
///
/// #[saga]
/// impl Fetch {
///     #[step(undo = put_back)]
///     async fn take(&self, cx: &SagaCx) -> Outcome<u32> {
///         cx.get::<Mutex<Stock>>().lock().unwrap().take(cx.request(), self.goods).into()
///     }
///
///     async fn put_back(&self, cx: &SagaCx) -> Undo {
///         cx.get::<Mutex<Stock>>().lock().unwrap().put_back(cx.request()).into()
///     }
///
///     #[step(pivot)]
///     async fn hand_over(&self, take: &u32) -> Outcome<u32> {
///         Outcome::Done(*take)
///     }
/// }
///
/// # fn main() {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
/// # runtime.unwrap().block_on(async {
/// let report = Fetch { goods: 2 }
///     .test()
///     .with(async || Mutex::new(Stock { left: 10, ..Stock::default() }))
///     .check(async |stock: &Mutex<Stock>, ended: &Saga<u32>| {
///         let (left, took) = (stock.lock().unwrap().left, matches!(ended, Saga::Completed(2)));
///         match left == if took { 8 } else { 10 } {
///             true => Ok(()),
///             false => Err(format!("{left} are left")),
///         }
///     })
///     .all()
///     .await
///     .unwrap();
/// println!("{report}");
/// # })
/// # }
/// ```
///
/// # What goes wrong
/// Every test has the plain run, in which nothing does: it must complete. Each of these adds runs:
///
/// | | |
/// | --- | --- |
/// | [`fail_each_step`](Self::fail_each_step) | a step is refused, is not reached, or is not heard of |
/// | [`repeat_each_step`](Self::repeat_each_step) | requests come twice, and late |
/// | [`lose_each_reply`](Self::lose_each_reply) | a step is carried out and asked for again |
/// | [`crash_after_each_record`](Self::crash_after_each_record) | another executor goes on |
/// | [`fail_each_undo`](Self::fail_each_undo) | a compensation fails, until an operator helps |
///
/// A step may answer a request with [`Outcome::Unknown`](super::Outcome::Unknown) whenever it is
/// repeated or late; but what it answers under one key must be one answer.
///
/// # What it does not do
/// * Steps are asked one at a time: what waits for another step without an edge waits in vain.
/// * Pauses between attempts take no time, and there are no deadlines. Steps have their timeouts, on
///   tokio's clock, and eight attempts at most.
/// * Of each kind there are [`RUNS_MAX`] runs at most.
/// * Nothing comes about at the same time. That is what the simulator of sagas plays
///   (`consensus sim --protocol saga`), with participants of its own.
#[must_use = "a test is run once this is awaited"]
pub struct SagaTest<S> {
    input: S,
    given: Given,
    trials: BTreeSet<Trial>,
}

impl<S: SagaDefinition> SagaTest<S> {
    pub(super) fn new(input: S) -> Self {
        Self { input, given: Given::default(), trials: BTreeSet::new() }
    }

    /// Gives steps a value, as [`HostingSagas::with`](super::HostingSagas::with) does: a new one
    /// for each run.
    pub fn with<T: Send + Sync + 'static>(mut self, make: impl AsyncFn() -> T + 'static) -> Self {
        self.given.add_value(make);
        self
    }

    /// Says what must hold when a saga has ended, completed or compensated: of one of the values
    /// that steps are given, by its type. It is looked at when the saga has ended and, where
    /// requests come late, again behind each of them. What panics does not hold either.
    ///
    /// A test checks something; it may check several values.
    pub fn check<V: 'static>(
        mut self,
        check: impl AsyncFn(&V, &Saga<S::Output>) -> Result<(), String> + 'static,
    ) -> Self {
        self.given.add_check(check);
        self
    }

    /// Has each step fail, in three ways.
    ///
    /// * It is refused, and its method is not called. The saga must be undone because of it; one
    ///   that is retriable is refused twice (or as often as there are attempts but one), and the
    ///   saga must complete.
    /// * No request for it arrives, however often it is asked for. The saga must be undone because
    ///   of it, and what undoes the step is called though the step was not; then the requests
    ///   arrive after all, too late. Nothing is undone because of the pivot, or what is behind it:
    ///   the saga must get stuck there, and complete when an operator has it tried again.
    /// * It is carried out each time, and no reply arrives. The same must come of it.
    pub fn fail_each_step(self) -> Self {
        self.having(Trial::FailEachStep)
    }

    /// Has each request come twice, one right behind the other, those for compensations too; and
    /// when the saga has ended, all that it had asked for comes once more: steps behind their
    /// compensations.
    ///
    /// There is a run for each request of the plain run, of those in which a step is refused, and
    /// of one in which everything is undone.
    pub fn repeat_each_step(self) -> Self {
        self.having(Trial::RepeatEachStep)
    }

    /// Has each request of these runs carried out and its first reply lost, so that it is made
    /// again. Requests that are made once at most are left to the others.
    pub fn lose_each_reply(self) -> Self {
        self.having(Trial::LoseEachReply)
    }

    /// Has the executor stop behind each record of the log, in each of these runs, with what it had
    /// asked for lost, or carried out and not heard of. Another goes on from the log; when the saga
    /// has ended, all requests of the former come once more, in its epoch.
    pub fn crash_after_each_record(self) -> Self {
        self.having(Trial::CrashAfterEachRecord)
    }

    /// Has each compensation fail, in two ways: it is refused without being called, or carried out
    /// and not heard of, however often it is asked for. The saga must get stuck there, with all
    /// else undone, and be undone when an operator has it tried again: as another effect.
    pub fn fail_each_undo(self) -> Self {
        self.having(Trial::FailEachUndo)
    }

    /// Has all of that go wrong, each in a run of its own.
    pub fn all(self) -> Self {
        self.fail_each_step()
            .repeat_each_step()
            .lose_each_reply()
            .crash_after_each_record()
            .fail_each_undo()
    }

    fn having(mut self, trial: Trial) -> Self {
        self.trials.insert(trial);
        self
    }
}

impl<S> fmt::Debug for SagaTest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SagaTest").field("trials", &self.trials).finish_non_exhaustive()
    }
}

impl<S: SagaDefinition> IntoFuture for SagaTest<S> {
    type Output = Result<Report, Broken>;
    /// It stays on its thread, as what users give may.
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let case = Case::new(&self.input, self.given)?;
            runs::play_all(&case, &self.trials).await
        })
    }
}
