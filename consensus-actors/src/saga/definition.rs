//! What users say of a saga, and how it is called whatever its type.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use consensus_core::saga::{self as core, Graph, Op, StepId};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    cx::SagaCx,
    holds::Holds,
    outcome::{Outcome, Undo, of_action, of_undo},
    testing::SagaTest,
};
use crate::{
    client::decode,
    error::{Code, Error, Result},
};

/// A step under way.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A saga: the type is its input, and says which steps there are and what each does.
///
/// A step may be asked for more than once, by executors that do not know of each other; all that
/// mean one effect bring the same key ([`SagaCx::key`]). What must come about once has to look at
/// it: a replicated state by a [`Guard`](super::Guard), a service of others by an idempotency key.
/// A step that panics, takes longer than its timeout, or whose node ends, has an unknown outcome.
///
/// [`#[saga]`](macro@crate::saga) makes it of an impl block. By hand it is this:
/// ```no_run
/// use std::time::Duration;
///
/// use consensus_actors::{
///     prelude::*,
///     saga::{
///         BoxFuture, Bytes, Class, Graph, Outcome, Retry, SagaCx, SagaDefinition, Step, StepId,
///         Undo,
///     },
/// };
///
/// # struct Hotels;
/// # impl Hotels {
/// #     async fn book(&self, idempotency_key: String, nights: u32) -> Result<u64, String> {
///         # let _ = (idempotency_key, nights);
///         # Ok(17)
/// #     }
/// #     async fn cancel(&self, idempotency_key: String) -> Result<(), String> {
///         # let _ = idempotency_key;
///         # Ok(())
/// #     }
/// # }
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Travel {
///     nights: u32,
/// }
///
/// impl SagaDefinition for Travel {
///     type Output = u64;
///
///     fn graph() -> Graph {
///         let (timeout, retry) = (Duration::from_secs(5), Retry::default());
///         let (name, class) = ("hotel".to_owned(), Class::Compensatable);
///         let hotel = Step { name, class, after: Vec::new(), timeout, retry };
///         Graph::new(("travel", 1), None, vec![hotel]).expect("the steps fit together")
///     }
///
///     fn act<'a>(&'a self, _: StepId, cx: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
///         let key = cx.key().to_string();
///         Box::pin(async {
///             Outcome::from(cx.get::<Hotels>().book(key, self.nights).await).encoded()
///         })
///     }
///
///     fn undo<'a>(&'a self, _: StepId, cx: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
///         let key = cx.action().to_string();
///         Box::pin(async { Outcome::from(cx.get::<Hotels>().cancel(key).await).into() })
///     }
/// }
/// # fn main() {}
/// ```
pub trait SagaDefinition: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// What the last step brings, and with it the saga.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Returns the steps. A saga that is under way rests on all but their times and retries: give
    /// the graph another version when they change, and keep the former type registered until none
    /// of its sagas is left.
    fn graph() -> Graph;

    /// Returns what the saga keeps others from while it is under way: nothing, if this is left out.
    fn holds(&self) -> Holds {
        Holds::nothing()
    }

    /// Carries a step out.
    fn act<'a>(&'a self, step: StepId, cx: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>>;

    /// Undoes a step, which brought `output` if that is known: it may never have been carried out,
    /// and then there is nothing to undo.
    fn undo<'a>(
        &'a self,
        step: StepId,
        cx: &'a SagaCx,
        output: Option<Bytes>,
    ) -> BoxFuture<'a, Undo>;

    /// Tests the saga with this input, with which all steps succeed: its steps fail, are repeated
    /// and lost, and its executors crash, each where they can. It needs no node.
    fn test(self) -> SagaTest<Self> {
        SagaTest::new(self)
    }
}

/// A definition, whatever its type.
pub(super) trait Definition: Send + Sync {
    fn graph(&self) -> &Arc<Graph>;

    /// Tells whether this can be the input.
    fn check(&self, input: &Bytes) -> Result;

    /// Carries a step out, or undoes it, whichever the key says.
    fn run(
        &self,
        input: Bytes,
        cx: SagaCx,
        output: Option<Bytes>,
    ) -> BoxFuture<'static, core::Outcome>;
}

struct Typed<S> {
    graph: Arc<Graph>,
    input: PhantomData<fn() -> S>,
}

impl<S: SagaDefinition> Definition for Typed<S> {
    fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    fn check(&self, input: &Bytes) -> Result {
        decode::<S>(input).map(drop)
    }

    fn run(
        &self,
        input: Bytes,
        cx: SagaCx,
        output: Option<Bytes>,
    ) -> BoxFuture<'static, core::Outcome> {
        Box::pin(async move {
            let Ok(input) = decode::<S>(&input) else { return core::Outcome::Unknown };
            let step = cx.key().step;
            match cx.key().op {
                Op::Action => of_action(input.act(step, &cx).await),
                Op::Undo => of_undo(input.undo(step, &cx, output).await),
            }
        })
    }
}

/// A definition that is registered.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) definition: Arc<dyn Definition>,
    /// The steps that each waits for, itself or through others.
    before: Arc<BTreeMap<StepId, BTreeSet<StepId>>>,
}

impl Registered {
    pub(super) fn new<S: SagaDefinition>() -> Self {
        let graph = Arc::new(S::graph());
        let mut before: BTreeMap<StepId, BTreeSet<StepId>> = BTreeMap::new();
        for (id, _) in graph.steps() {
            let mut all: BTreeSet<StepId> = graph.before(id).collect();
            let through: Vec<StepId> = all.iter().copied().collect();
            all.extend(through.iter().filter_map(|step| before.get(step)).flatten());
            before.insert(id, all);
        }
        let definition = Arc::new(Typed::<S> { graph, input: PhantomData });
        Self { definition, before: Arc::new(before) }
    }

    pub(super) fn graph(&self) -> &Arc<Graph> {
        self.definition.graph()
    }

    /// Returns the steps that one waits for, itself or through others.
    pub(super) fn before(&self, step: StepId) -> impl Iterator<Item = StepId> {
        self.before.get(&step).into_iter().flatten().copied()
    }
}

/// The definitions that a node knows, by their digests.
#[derive(Clone, Default)]
pub(super) struct Definitions(BTreeMap<u128, Registered>);

impl Definitions {
    pub(super) fn add<S: SagaDefinition>(&mut self) -> Result {
        let registered = Registered::new::<S>();
        let graph = Arc::clone(registered.graph());
        let same = |other: &Registered| {
            let other = other.graph();
            (other.name(), other.version()) == (graph.name(), graph.version())
        };
        if self.0.values().any(same) {
            let message = format!(
                "two sagas are registered as {graph}; give one of them another name or version"
            );
            return Err(Error::new(Code::Config, message));
        }
        self.0.insert(graph.digest(), registered);
        Ok(())
    }

    pub(super) fn find(&self, digest: u128) -> Option<&Registered> {
        self.0.get(&digest)
    }
}
