//! A call about to be made: how long it may take, how fresh its answer must be, and whether its
//! caller wants to read after it.

use std::{
    fmt,
    future::IntoFuture,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    CommitToken, GroupId, Outcome, ReadLevel,
    client::{Answered, Ask, CallError},
};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::{
    client::{IntoDuration, decode},
    error::{Code, Error, Result},
    inbox::{Called, Taker},
};

/// The reply to a call as it is encoded, and the token of the state that it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Bytes,
    pub(crate) token: Option<CommitToken>,
}

impl Answer {
    /// Makes the answer to a caller of what a client of `group` came to.
    pub(crate) fn of(
        result: std::result::Result<Answered, CallError>,
        group: GroupId,
        name: &str,
    ) -> Result<Self> {
        let Answered { reply, index } = result.map_err(|error| Error::of_call(&error, name))?;
        Ok(Self { reply, token: index.map(|index| CommitToken::new(group, index)) })
    }
}

/// Refuses a token of another group than is asked: its index would mean nothing.
pub(crate) fn check_token(token: Option<CommitToken>, group: GroupId, name: &str) -> Result {
    if token.is_none_or(|token| token.group() == group) {
        return Ok(());
    }
    let message = format!(
        "the commit token is of another group than {name:?}; read after a token that came with an \
         answer of {name:?}"
    );
    Err(Error::new(Code::ForeignToken, message))
}

/// What a caller asked of a call besides what it does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) deadline: Option<Duration>,
    pub(crate) reading: Option<Reading>,
}

/// How fresh a caller wants the answer to a query, whatever the query declares.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    At(ReadLevel),
    After(CommitToken),
}

impl Reading {
    /// Changes the level of a query; returns the token that it comes after, which must be of the
    /// group that is asked.
    pub(crate) fn overrule(self, ask: &mut Ask) -> Option<CommitToken> {
        let (wanted, after) = match self {
            Self::At(level) => (level, None),
            Self::After(token) => (ReadLevel::After { index: token.index() }, Some(token)),
        };
        if let Ask::Query { level, .. } = ask {
            *level = wanted;
        }
        after
    }
}

/// Marks the [`Call`] of a command.
#[derive(Debug)]
pub enum Writes {}

/// Marks the [`Call`] of a query, which takes a level: [`Call::stale`] and its siblings.
#[derive(Debug)]
pub enum Reads {}

/// A call that has not been made yet: `.await` makes it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<R, K = Writes> {
    taker: Arc<dyn Taker>,
    ask: Result<Ask>,
    terms: Terms,
    reply: PhantomData<fn() -> (R, K)>,
}

impl<R, K> Call<R, K> {
    pub(crate) fn new(taker: Arc<dyn Taker>, ask: Result<Ask>) -> Self {
        Self { taker, ask, terms: Terms::default(), reply: PhantomData }
    }

    fn with<T>(mut self, value: Result<T>, set: impl FnOnce(&mut Terms, T)) -> Self {
        match value {
            Ok(value) => set(&mut self.terms, value),
            // The first mistake is told.
            Err(error) => self.ask = self.ask.and(Err(error)),
        }
        self
    }

    /// Gives the call so much time: a `Duration`, or text such as `"250ms"`, `"2s"`, `"1m"`.
    ///
    /// A command that has no answer by then ends in an error that says whether it may have been
    /// applied.
    pub fn deadline(self, deadline: impl IntoDuration) -> Self {
        self.with(deadline.into_duration(), |terms, deadline| terms.deadline = Some(deadline))
    }

    pub(crate) fn reading(self, reading: Option<Reading>) -> Self {
        self.with(Ok(reading), |terms, reading| terms.reading = reading)
    }

    /// Asks for a token besides the reply: whoever reads [`after`](Call::after) it, on any node,
    /// sees what the command did; after a query's, at least what the query saw.
    pub fn token(self) -> WithToken<R, K> {
        WithToken { call: self }
    }

    /// Makes the call; the answer comes.
    fn begin(self) -> Result<oneshot::Receiver<Result<Answer>>> {
        let Self { taker, ask, terms: Terms { deadline, reading }, .. } = self;
        let mut ask = ask?;
        let after = reading.and_then(|reading| reading.overrule(&mut ask));
        let (answer, answered) = oneshot::channel();
        taker.take(Called { ask, after, deadline, answer });
        Ok(answered)
    }

    /// Makes the call and returns the reply as it is encoded.
    pub(crate) async fn raw(self) -> Result<Answer> {
        received(self.begin()?).await
    }
}

impl<R> Call<R, Reads> {
    /// Wants the answer to see every command that was answered anywhere before the call, whatever
    /// level the query declares.
    pub fn linearizable(self) -> Self {
        self.reading(Some(Reading::At(ReadLevel::Linearizable)))
    }

    /// Wants the answer to see every command that was answered anywhere before the call, as long as
    /// the members' clocks differ in rate by no more than the setting `clock_drift` declares: the
    /// leader may answer without a word to others. Where it cannot, the query is linearizable.
    ///
    /// A group whose members keep no leases refuses it, with
    /// [`Code::NoLeases`](crate::Code::NoLeases).
    pub fn lease(self) -> Self {
        self.reading(Some(Reading::At(ReadLevel::Lease)))
    }

    /// Is content with a state that is `max_lag` old: a `Duration`, or text such as `"250ms"`.
    ///
    /// The node that is called answers at once, from its own state, if it can prove that the state
    /// misses nothing that was answered anywhere longer ago than that, by its own clock. Else it
    /// asks the leader, as for a linearizable query. Without a leader the call fails at its
    /// deadline, with [`Code::TooStale`](crate::Code::TooStale).
    pub fn stale(self, max_lag: impl IntoDuration) -> Self {
        let max_lag = max_lag.into_duration();
        self.with(max_lag, |terms, max_lag| {
            terms.reading = Some(Reading::At(ReadLevel::Stale { max_lag }));
        })
    }

    /// Wants the answer to see what a command did, by the token that came with its reply. The node
    /// that is called waits until it has applied the command; it asks nobody.
    ///
    /// A token of another group is refused, with
    /// [`Code::ForeignToken`](crate::Code::ForeignToken). If the node does not get there in time,
    /// the call fails with [`Code::Behind`](crate::Code::Behind).
    pub fn after(self, token: CommitToken) -> Self {
        self.reading(Some(Reading::After(token)))
    }
}

impl<R, K> fmt::Debug for Call<R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl<R: DeserializeOwned + Send + 'static, K: 'static> IntoFuture for Call<R, K> {
    type Output = Result<R>;
    type IntoFuture = Calling<R, K>;

    fn into_future(self) -> Calling<R, K> {
        Calling { call: Some(self), answered: None }
    }
}

/// A call that is made when this is polled first; it resolves to the reply.
#[must_use = "a call does nothing until it is awaited"]
pub struct Calling<R, K = Writes> {
    call: Option<Call<R, K>>,
    /// Where the answer comes, once the call is made.
    answered: Option<oneshot::Receiver<Result<Answer>>>,
}

impl<R, K> fmt::Debug for Calling<R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").field("call", &self.call).finish_non_exhaustive()
    }
}

impl<R: DeserializeOwned, K> Future for Calling<R, K> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R>> {
        if let Some(call) = self.call.take() {
            match call.begin() {
                Ok(answered) => self.answered = Some(answered),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let answered = self.answered.as_mut().expect("a future is not polled once it is ready");
        let answer = ready!(Pin::new(answered).poll(cx));
        let answer = answer.unwrap_or_else(|_| Err(Error::stopping(Outcome::Unknown)));
        Poll::Ready(answer.and_then(|answer| decode(&answer.reply)))
    }
}

/// A call whose caller wants a token: `.await` makes it and gives the reply and the token.
#[must_use = "a call does nothing until it is awaited"]
#[derive(Debug)]
pub struct WithToken<R, K = Writes> {
    call: Call<R, K>,
}

impl<R: DeserializeOwned + Send + 'static, K: 'static> IntoFuture for WithToken<R, K> {
    type Output = Result<(R, CommitToken)>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Answer { reply, token } = self.call.raw().await?;
            Ok((decode(&reply)?, token.ok_or_else(Error::no_token)?))
        })
    }
}

/// Waits for the answer to a call.
pub(crate) async fn received(answered: oneshot::Receiver<Result<Answer>>) -> Result<Answer> {
    answered.await.unwrap_or_else(|_| Err(Error::stopping(Outcome::Unknown)))
}
