//! What callers and operators have of sagas.

use std::{marker::PhantomData, sync::Arc};

use actix::Addr;
use bytes::Bytes;
use consensus_core::{
    Index,
    saga::{Entry, Graph, Order, Parent, Record, SagaId, Seq},
};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{
    book::{
        ACTIVE_MAX, Answer, Begin, Book, Command, Ending, Query, Refusal, Reply, Row, Standing,
        Wish,
    },
    coordinator::{Coordinator, Look, Wait, Wanted},
    definition::{Definitions, SagaDefinition},
    desk::unknown,
    outcome::PAYLOAD_BYTES_MAX,
    tree::Shown,
};
use crate::{
    call::Call,
    client::{Client, decode, encode},
    error::{Code, Error, Result},
};

/// The longest reason of an operator that is kept.
const REASON_BYTES_MAX: usize = 1 << 10;

/// The sagas of a group, from this node: cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Sagas {
    name: Arc<str>,
    salt: u64,
    pub(super) client: Client<Book>,
    coordinator: Addr<Coordinator>,
    definitions: Arc<Definitions>,
}

/// How a saga did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saga<T> {
    /// All steps are done; this is what the last one brought.
    Completed(T),
    /// Everything that was done is undone.
    Compensated {
        /// The step that was rejected or lost; `None` if it was cancelled or came to its deadline.
        failed: Option<String>,
        /// Why.
        cause: String,
    },
    /// It waits for an operator, who may retry, skip or abandon.
    Stuck {
        /// The step that cannot go on, or back; `None` if the whole saga cannot.
        step: Option<String>,
        /// Why.
        cause: String,
        /// What to do.
        hint: String,
    },
    /// An operator gave it up, whatever was half done.
    Abandoned,
}

/// A saga in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which it is.
    pub id: SagaId,
    /// Its name and version.
    pub definition: String,
    /// How many records its log has; none if it has ended and its log is kept no longer.
    pub records: u64,
    /// How it did; `None` while it is under way. What it brought is as it is encoded.
    pub standing: Option<Saga<Bytes>>,
    /// A key that it waits for before it begins, and the saga that holds it.
    pub waits: Option<(String, SagaId)>,
}

/// A saga that was started.
#[must_use = "a saga goes on without its caller; `wait` tells how it did"]
pub struct Run<S> {
    sagas: Sagas,
    id: SagaId,
    /// From when on it is known.
    since: Index,
    definition: PhantomData<fn() -> S>,
}

impl Sagas {
    pub(super) fn new(
        (name, salt): (Arc<str>, u64),
        client: Client<Book>,
        coordinator: Addr<Coordinator>,
        definitions: Arc<Definitions>,
    ) -> Self {
        Self { name, salt, client, coordinator, definitions }
    }

    /// Starts a saga: it will be carried out or undone when this returns, whatever becomes of the
    /// caller and of this node.
    ///
    /// # Errors
    /// Those of any command; of one whose outcome is unknown the saga may have been started.
    /// [`Code::Busy`] with too many under way, [`Code::TooLarge`] with an input of more than
    /// [`PAYLOAD_BYTES_MAX`], [`Code::UnknownOperation`] if the type is not registered here.
    pub async fn start<S: SagaDefinition>(&self, input: S) -> Result<Run<S>> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(Error::application)?;
        self.begin(SagaId(u128::from_le_bytes(id)), &input, None).await
    }

    /// Starts a saga once for a key of the caller's, whoever repeats it, until it has ended and is
    /// forgotten: the last 65,536 that ended are remembered, or the last 32 MiB of what they
    /// brought.
    ///
    /// # Errors
    /// As [`Sagas::start`], and [`Code::KeyReused`] when the key was used with another input.
    pub async fn start_once<S: SagaDefinition>(&self, key: &str, input: S) -> Result<Run<S>> {
        let name = S::graph().name().to_owned();
        let text = format!("{}{name:?}{key}", self.salt);
        self.begin(SagaId(twox_hash::XxHash3_128::oneshot(text.as_bytes())), &input, None).await
    }

    /// Returns a saga that was started before, by its id.
    pub fn run<S: SagaDefinition>(&self, id: SagaId) -> Run<S> {
        Run::of(self, id)
    }

    /// Returns sagas that have not ended, by their ids: up to 1,024 behind `after`.
    ///
    /// # Errors
    /// Those of any query.
    pub async fn list(&self, after: Option<SagaId>) -> Result<Vec<Listed>> {
        self.rows(after, false).await
    }

    /// Returns sagas that wait for an operator, by their ids: up to 1,024 behind `after`.
    ///
    /// # Errors
    /// Those of any query.
    pub async fn stuck(&self, after: Option<SagaId>) -> Result<Vec<Listed>> {
        self.rows(after, true).await
    }

    /// Returns how a saga and its steps stand, and its log; on the node in charge also what is
    /// being asked for. [`Shown`] says for how long after its end there is more than how it ended.
    ///
    /// # Errors
    /// [`Code::UnknownSaga`] when there is none; and those of any query.
    pub async fn show(&self, id: SagaId) -> Result<Shown> {
        let row = match self.client.answer(&Query::Look(id)).await? {
            Answer::Row(row) => row.ok_or_else(|| unknown(id))?,
            other => return Err(odd(&other)),
        };
        let (mut log, mut from) = (Vec::new(), Seq(1));
        loop {
            let query = Query::Records { from: (id, from), only: true };
            let page = match self.client.answer(&query).await? {
                Answer::Records(page) => page,
                other => return Err(odd(&other)),
            };
            let Some((.., last)) = page.last() else { break };
            from = last.seq.next();
            log.extend(page.into_iter().map(|(.., entry)| entry));
        }
        // What is under way is looked at behind the log, so that it is no older.
        let (to, live) = oneshot::channel();
        self.coordinator.do_send(Look { saga: id, to });
        let live = live.await.map_err(|_| Error::stopping(consensus_core::Outcome::NotApplied))?;
        let graph = self.graph_of(&log);
        Ok(Shown::new(self.listed(row), log, graph, live))
    }

    /// Has a saga undone, unless it has passed its pivot. The reason is kept in its log.
    ///
    /// # Errors [`Code::OrderRefused`] with what speaks against it, [`Code::InvalidArgument`]
    /// without a reason, [`Code::UnknownSaga`] when there is no such saga; and those of any
    /// command.
    pub async fn cancel(&self, id: SagaId, reason: &str) -> Result {
        self.order(id, Order::Cancel, reason).await
    }

    /// Tries again what is stuck: the steps, the compensations, or the saga as a whole.
    ///
    /// # Errors
    /// As [`Sagas::cancel`].
    pub async fn retry(&self, id: SagaId, reason: &str) -> Result {
        self.order(id, Order::Retry(None), reason).await
    }

    /// Goes on as if a step that is stuck, or its compensation, had been done: whoever asks for it
    /// has seen to that by other means.
    ///
    /// # Errors
    /// As [`Sagas::cancel`].
    pub async fn skip(&self, id: SagaId, step: &str, reason: &str) -> Result {
        let shown = self.show(id).await?;
        let Some(found) = shown.steps.iter().find(|it| it.name == step) else {
            let message = format!("the saga has no step {step:?}, as far as this node knows it");
            return Err(Error::new(Code::InvalidArgument, message));
        };
        self.order(id, Order::Skip(found.id), reason).await
    }

    /// Gives a saga up, whatever is half done.
    ///
    /// # Errors
    /// As [`Sagas::cancel`].
    pub async fn abandon(&self, id: SagaId, reason: &str) -> Result {
        self.order(id, Order::Abandon, reason).await
    }

    /// Hands the sagas over, with the lead of the group of their logs: to this node, or to
    /// whichever is fit best. Returns the node that carries them out then.
    ///
    /// # Errors
    /// As [`Client::transfer`].
    pub fn transfer(&self, to: Option<u64>) -> Call<Option<u64>> {
        self.client.transfer(to)
    }

    /// Returns the definition that a log was begun with, if it is registered here.
    pub(crate) fn graph_of(&self, log: &[Entry]) -> Option<&Graph> {
        let Record::Begun { digest, .. } = log.first()?.record else { return None };
        Some(self.definitions.find(digest)?.graph())
    }

    pub(super) async fn begin<S: SagaDefinition>(
        &self,
        saga: SagaId,
        input: &S,
        parent: Option<Parent>,
    ) -> Result<Run<S>> {
        let graph = S::graph();
        let (definition, digest) = (graph.to_string(), graph.digest());
        if self.definitions.find(digest).is_none() {
            let message = format!(
                "{definition} is not registered with the sagas {:?} of this node; register it \
                 where they are hosted, on all nodes",
                self.name
            );
            return Err(Error::new(Code::UnknownOperation, message));
        }
        let holds = input.holds();
        holds.check()?;
        let input = encode(input)?;
        if input.len() > PAYLOAD_BYTES_MAX {
            let message = format!(
                "the input of the saga takes {} bytes, more than {PAYLOAD_BYTES_MAX}; pass where \
                 it is instead",
                input.len()
            );
            return Err(Error::new(Code::TooLarge, message));
        }
        let begin = Begin { definition, digest, input, holds, parent };
        let (reply, token) = self.client.apply(&Command::Begin(saga, begin)).token().await?;
        match reply {
            Reply::Begun(Ok(())) => {
                let (sagas, since) = (self.clone(), token.index());
                Ok(Run { sagas, id: saga, since, definition: PhantomData })
            }
            Reply::Begun(Err(refusal)) => Err(refused(refusal, saga)),
            other => Err(odd(&other)),
        }
    }

    pub(super) async fn order(&self, saga: SagaId, order: Order, reason: &str) -> Result {
        if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
            let message = format!(
                "say why, in up to {REASON_BYTES_MAX} bytes: the reason is kept in the saga's log"
            );
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let wish = Wish { saga, order, reason: reason.to_owned() };
        let wish = match self.client.apply(&Command::Want(wish)).await? {
            Reply::Wanted(Ok(wish)) => wish,
            Reply::Wanted(Err(refusal)) => return Err(refused(refusal, saga)),
            other => return Err(odd(&other)),
        };
        let (to, answer) = oneshot::channel();
        self.coordinator.do_send(Wanted { wish, to });
        let stopping = |_| Error::stopping(consensus_core::Outcome::Unknown);
        match answer.await.map_err(stopping)?? {
            None => Ok(()),
            Some(refusal) => Err(Error::new(Code::OrderRefused, refusal)),
        }
    }

    async fn rows(&self, after: Option<SagaId>, stuck: bool) -> Result<Vec<Listed>> {
        match self.client.answer(&Query::List { after, stuck }).await? {
            Answer::Rows(rows) => Ok(rows.into_iter().map(|row| self.listed(row)).collect()),
            other => Err(odd(&other)),
        }
    }

    fn listed(&self, Row { saga, definition, records, standing, waits }: Row) -> Listed {
        Listed { id: saga, definition, records, standing: judged(saga, standing), waits }
    }
}

impl std::fmt::Debug for Sagas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sagas({:?})", self.name)
    }
}

impl<S> Run<S> {
    /// Returns one that was started before.
    pub(super) fn of(sagas: &Sagas, id: SagaId) -> Self {
        Self { sagas: sagas.clone(), id, since: Index::ZERO, definition: PhantomData }
    }

    /// Returns which saga it is.
    pub fn id(&self) -> SagaId {
        self.id
    }

    /// Waits until the saga has ended, or is stuck. Whoever stops waiting changes nothing for it.
    ///
    /// # Errors [`Code::UnknownSaga`] when there is no such saga, or it ended so long ago that it
    /// is forgotten; [`Code::Undecodable`] when what it brought is of another type, or its last
    /// step was skipped; [`Code::Busy`] with too many that wait.
    pub async fn wait(&self) -> Result<Saga<S::Output>>
    where
        S: SagaDefinition,
    {
        self.standing().await?.decoded()
    }

    /// Waits as [`Run::wait`] does; what it brought is as it is encoded.
    pub(super) async fn standing(&self) -> Result<Saga<Bytes>> {
        let since = match self.since {
            // Whether there is such a saga is not known before the group is asked.
            Index::ZERO => {
                let query = Query::Look(self.id);
                let (row, token) = self.sagas.client.answer(&query).token().await?;
                if matches!(row, Answer::Row(None)) {
                    return Err(unknown(self.id));
                }
                token.index()
            }
            since => since,
        };
        let (to, answer) = oneshot::channel();
        self.sagas.coordinator.do_send(Wait { saga: self.id, since, to });
        let stopping = |_| Error::stopping(consensus_core::Outcome::Unknown);
        let standing = answer.await.map_err(stopping)??;
        judged(self.id, standing).ok_or_else(|| unknown(self.id))
    }
}

impl Saga<Bytes> {
    /// Returns it with what it brought as the value that it is.
    pub(super) fn decoded<T: DeserializeOwned>(self) -> Result<Saga<T>> {
        Ok(match self {
            Self::Completed(output) => Saga::Completed(decode(&output)?),
            Self::Compensated { failed, cause } => Saga::Compensated { failed, cause },
            Self::Stuck { step, cause, hint } => Saga::Stuck { step, cause, hint },
            Self::Abandoned => Saga::Abandoned,
        })
    }
}

impl<S> std::fmt::Debug for Run<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Run({:032x})", self.id.0)
    }
}

/// Says how a saga did; `None` while it is under way.
pub(super) fn judged(saga: SagaId, standing: Standing) -> Option<Saga<Bytes>> {
    let note = match standing {
        Standing::UnderWay | Standing::Unknown => return None,
        Standing::Ended(Ending::Completed(output)) => return Some(Saga::Completed(output)),
        Standing::Ended(Ending::Compensated { failed, cause }) => {
            return Some(Saga::Compensated { failed, cause });
        }
        Standing::Ended(Ending::Abandoned) => return Some(Saga::Abandoned),
        Standing::Stuck(note) => note,
    };
    let id = format!("{:032x}", saga.0);
    let hint = match &note.step {
        Some(step) => format!(
            "see to what keeps {step:?} from being done, then retry saga {id}; or skip {step:?}, \
             or abandon the saga"
        ),
        None => format!("see to the cause, then retry saga {id}, or abandon it"),
    };
    Some(Saga::Stuck { step: note.step, cause: note.cause, hint })
}

fn refused(refusal: Refusal, saga: SagaId) -> Error {
    match refusal {
        Refusal::Busy(limit) => {
            let what = if limit == ACTIVE_MAX { "sagas are under way" } else { "wait already" };
            let message =
                format!("{limit} {what}, the most there may be; back off, then try again");
            Error::new(Code::Busy, message)
        }
        Refusal::Reused => Error::new(
            Code::KeyReused,
            "the key was used with another input, or by another version; take a new key",
        ),
        Refusal::Unknown => unknown(saga),
        Refusal::Over => Error::new(
            Code::OrderRefused,
            "the saga has ended; nothing is left to be done about it",
        ),
        Refusal::Held(key, holder) => {
            let message = format!(
                "saga {:032x} holds {key:?}; start this one when that has ended, or have it wait",
                holder.0
            );
            Error::new(Code::KeyHeld, message)
        }
        Refusal::Circle => Error::new(
            Code::KeyHeld,
            "a saga that this one would wait for waits for it; hold all keys from the beginning",
        ),
        Refusal::Late => {
            Error::new(Code::OrderRefused, "the saga whose step this is asks for that step no more")
        }
    }
}

/// Says that the group answered what it was not asked.
fn odd(answer: &impl std::fmt::Debug) -> Error {
    let message = format!("the group of the sagas' logs answered {answer:?}");
    Error::new(Code::Undecodable, message)
}
